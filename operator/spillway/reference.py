"""The reference pages of metrics, Events, conditions, marks, commands and the chart's values, generated from the code.

`python -m spillway.reference` writes them into `docs/reference` (or the folder that is named). Contract: the same code
gives the same bytes; a test compares them with the committed files. A metric is described by its help text, an Event
and a mark by the docstring of its name, a condition by `spillway.api.condition_reasons`.
"""

import argparse
import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

from spillway import telemetry
from spillway.api.condition_reasons import CONDITIONS, ConditionMeaning
from spillway.domain.model import event_reasons, names
from spillway.reference_commands import commands_page
from spillway.reference_values import values_page
from spillway.telemetry.registry import Description, described

_HEADER: Final = "<!-- Generated from operator/spillway by `python -m spillway.reference`. Do not edit. -->\n\n"
_TITLES: Final = {
    "kube": "Kubernetes API",
    "scale_down": "Scale-down",
    "budget": "Budgets and costs",
    "http": "HTTP servers",
    "threshold": "Thresholds",
}
_EVENT: Final = re.compile(r"(Warning|Normal|Warning or Normal), on (.+?): (.+)", re.DOTALL)
_MARK: Final = re.compile(r"(Annotation|Label|Taint) (that users set )?on an? (.+?): (.+)", re.DOTALL)
_MARK_KEY: Final = re.compile(r"(?:[a-z]+\.)?spillway\.dev/.+|controller\.kubernetes\.io/pod-deletion-cost")


class EventReason(NamedTuple):
    """One reason of an Event."""

    reason: str
    type: str
    on: str
    meaning: str


class Mark(NamedTuple):
    """One annotation, label or taint."""

    key: str
    form: str
    by_users: bool
    on: str
    meaning: str


def metrics() -> Mapping[str, Sequence[Description]]:
    """The metrics by the title of the module that creates them."""
    found: dict[str, list[Description]] = {}
    for info in sorted(pkgutil.iter_modules(telemetry.__path__), key=lambda one: one.name):
        title = _TITLES.get(info.name, info.name.replace("_", " ").capitalize())
        values = vars(importlib.import_module(f"{telemetry.__name__}.{info.name}")).values()
        if listed := [one for one in map(described, values) if one is not None]:
            found[title] = listed
    return found


def events() -> Sequence[EventReason]:
    """The reasons of Spillway's own Events."""
    return [EventReason(value, *_fields(_EVENT, name, text)) for name, value, text in _documented(event_reasons)]


def marks() -> Sequence[Mark]:
    """The keys that Spillway writes on other objects, and those that users set."""
    found = []
    for name, value, text in _documented(names):
        if name != "LANDING" and _MARK_KEY.fullmatch(value):
            form, by_users, on, meaning = _fields(_MARK, name, text)
            found.append(Mark(value, form, bool(by_users), on, meaning))
    return found


def _documented(module: ModuleType) -> Iterator[tuple[str, str, str]]:
    """The constant texts of a module: name, value, and docstring."""
    body = ast.parse(inspect.getsource(module)).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            value = getattr(module, node.target.id)
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(value, str):
                said = text.value if isinstance(text, ast.Constant) else ""
                yield node.target.id, value, " ".join(str(said).split())


def _fields(form: re.Pattern[str], name: str, text: str) -> tuple[str, ...]:
    found = form.fullmatch(text)
    if found is None:
        raise ValueError(f"the docstring of {name} does not have the form {form.pattern!r}: {text!r}")
    return found.groups()


def pages() -> Mapping[str, str]:
    """The Markdown of each page by file name."""
    return {
        "metrics.md": _page(_metrics_page()),
        "events.md": _page(_events_page()),
        "conditions.md": _page(_conditions_page()),
        "marks.md": _page(_marks_page()),
        "command-line.md": _page(commands_page()),
        "values.md": _page(values_page()),
    }


def _page(lines: Iterable[str]) -> str:
    return _HEADER + "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _metrics_page() -> Iterator[str]:
    yield "# Metrics"
    yield ""
    yield "[Metrics, Events, conditions and marks](observability.md) says where they are served."
    for title, found in metrics().items():
        yield ""
        yield f"## {title}"
        yield ""
        rows = ((f"`{one.name}`", one.type, ", ".join(one.labels), one.meaning) for one in found)
        yield from _table(("metric", "type", "labels", "meaning"), rows)


def _events_page() -> Iterator[str]:
    yield "# Events"
    yield ""
    yield (
        "Besides these, a condition of one of Spillway's resources that changes causes an Event with the reason of "
        "the [condition](conditions.md): Warning when it gets worse, Normal when it gets better. The workload is the "
        "Deployment, or the ReplicaSet, StatefulSet, Job or other owner that has no Deployment."
    )
    yield ""
    rows = ((f"`{one.reason}`", one.type, one.on, _sentence(one.meaning)) for one in events())
    yield from _table(("reason", "type", "on", "meaning"), rows)


def _conditions_page() -> Iterator[str]:
    yield "# Conditions"
    yield ""
    yield (
        "`Ready`, `Accepting`, `Healthy`, `InStock` and `HeadroomReady` are True while all is well. Every other "
        "condition is True in an exceptional situation: it appears when it is first True, and then stays, with the "
        "status False once the situation is over. The reason `Resolved` then says that the condition does not apply "
        "any more."
    )
    for one in CONDITIONS:
        yield ""
        yield from _condition(one)


def _condition(one: ConditionMeaning) -> Iterator[str]:
    yield f"## {one.type}"
    yield ""
    yield f"On {one.kind}. {one.meaning}"
    yield ""
    rows = ((str(reason.holds), f"`{reason.reason}`", reason.meaning) for reason in one.reasons)
    yield from _table(("status", "reason", "meaning"), rows)


def _marks_page() -> Iterator[str]:
    yield "# Marks on other objects"
    yield ""
    yield (
        "The annotations, labels and taints that Spillway writes on objects that are not its own, and those that users "
        "set for it. [Uninstall](../how-to/uninstall.md) says which of them are removed, and when."
    )
    for title, by_users in (("Set by Spillway", False), ("Set by users", True)):
        yield ""
        yield f"## {title}"
        yield ""
        rows = (
            (
                f"`{one.key}`" if not one.key.endswith(".") else f"`{one.key}NAME`",
                one.form.lower(),
                one.on,
                _sentence(one.meaning),
            )
            for one in marks()
            if one.by_users == by_users
        )
        yield from _table(("key", "form", "on", "meaning"), rows)


def _sentence(text: str) -> str:
    return text if text.startswith("`") else text[0].upper() + text[1:]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the pages."""
    parser = argparse.ArgumentParser(prog="python -m spillway.reference", description="Generate reference pages.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/reference"), help="folder for the pages")
    folder: Path = parser.parse_args(arguments).folder
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
