"""Label selectors as query parameters carry them: `kind=Deployment,workload in (cart, shop)`.

Contract: pure. The syntax of Kubernetes: `=`, `==`, `!=`, `in`, `notin`, a key alone, and `!key`; all parts must hold.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_KEY: Final = r"[A-Za-z0-9][-A-Za-z0-9_./]*"
_PART: Final = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<alone>{_KEY})"
    rf"|(?P<key>{_KEY})(?:\s*(?P<sign>==|!=|=)\s*(?P<value>[-A-Za-z0-9_.]*)"
    rf"|\s+(?P<word>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,|$)"
)


class SelectorError(ValueError):
    """The text is not a label selector."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One part of a selector."""

    key: str
    values: frozenset[str] | None
    """None stands for any value."""
    wanted: bool
    """False where the label must not have one of the values; it may then be absent."""

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet it."""
        value = labels.get(self.key)
        has = value is not None and (self.values is None or value in self.values)
        return has is self.wanted


def parse_selector(text: str) -> tuple[Requirement, ...]:
    """The parts of a selector; none of the empty one, which selects everything.

    Raises:
        SelectorError: the text is no selector.

    """
    return tuple(_parts(text)) if text.strip() else ()


def _parts(text: str) -> Iterator[Requirement]:
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None or found.end() == at:
            raise SelectorError(f'"{text}" is not a label selector, for example kind=Deployment,workload=cart')
        at = found.end()
        if found["absent"]:
            yield Requirement(found["alone"], None, wanted=False)
        elif found["sign"]:
            yield Requirement(found["key"], frozenset({found["value"]}), wanted=found["sign"] != "!=")
        elif found["word"]:
            values = frozenset(value.strip() for value in found["values"].split(","))
            yield Requirement(found["key"], values, wanted=found["word"] == "in")
        else:
            yield Requirement(found["key"], None, wanted=True)
