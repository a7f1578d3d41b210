"""The reference page of the chart's values, generated from `values.yaml` and the comments in it.

Contract: a comment directly above a key describes it. A mapping that is not empty has a row of its own only if it is
described; everything else is a value, shown with its default.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import yaml

CHART: Final = Path(__file__).resolve().parents[2] / "charts" / "spillway"
_EMPTY: Final = ('""', "[]", "{}")


def values_page(chart: Path = CHART) -> Iterator[str]:
    """The lines of the page."""
    text = (chart / "values.yaml").read_text(encoding="utf-8")
    yield "# Values of the chart"
    yield ""
    yield (
        "Every value is checked against `values.schema.json` before anything is installed; an unknown name is refused. "
        "[Install](../how-to/install.md) shows the usual ones."
    )
    yield ""
    yield "| value | default | meaning |"
    yield "|---|---|---|"
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if isinstance(root, yaml.MappingNode):
        yield from _rows(root, "", text.splitlines())


def _rows(mapping: yaml.MappingNode, prefix: str, lines: Sequence[str]) -> Iterator[str]:
    for key, value in mapping.value:
        name = f"{prefix}{key.value}"
        meaning = _comment_above(key.start_mark.line, lines)
        nested = isinstance(value, yaml.MappingNode) and value.value and not value.flow_style
        if not nested:
            yield f"| `{name}` | {_default(value)} | {meaning} |"
        elif isinstance(value, yaml.MappingNode):
            if meaning:
                yield f"| `{name}` | | {meaning} |"
            yield from _rows(value, f"{name}.", lines)


def _comment_above(line: int, lines: Sequence[str]) -> str:
    found: list[str] = []
    for above in reversed(lines[:line]):
        if not above.lstrip().startswith("#"):
            break
        found.append(above.lstrip().removeprefix("#").strip())
    return " ".join(reversed(found)).replace("|", "\\|")


def _default(value: yaml.Node) -> str:
    plain = yaml.safe_load(yaml.serialize(value))
    shown = json.dumps(plain, ensure_ascii=False)
    return "none" if shown in _EMPTY else f"`{shown}`"
