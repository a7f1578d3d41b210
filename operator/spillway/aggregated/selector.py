"""Label selectors as query parameters carry them: `kind=Deployment,workload in (cart, shop)`.

Contract: pure. The syntax of Kubernetes: `=`, `==`, `!=`, `in`, `notin`, a key alone, and `!key`; all parts must hold.
"""

import re
from collections.abc import Iterator
from typing import Final

from spillway.api.selector_operator import SelectorOperator
from spillway.domain.model.selectors import Requirement, Selector

_KEY: Final = r"[A-Za-z0-9][-A-Za-z0-9_./]*"
_PART: Final = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<alone>{_KEY})"
    rf"|(?P<key>{_KEY})(?:\s*(?P<sign>==|!=|=)\s*(?P<value>[-A-Za-z0-9_.]*)"
    rf"|\s+(?P<word>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,|$)"
)


class SelectorError(ValueError):
    """The text is not a label selector."""


def parse_selector(text: str) -> Selector:
    """The selector; the empty text selects everything.

    Raises:
        SelectorError: the text is no selector.

    """
    return Selector(frozenset(_parts(text)) if text.strip() else frozenset())


def _parts(text: str) -> Iterator[Requirement]:
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None or found.end() == at:
            raise SelectorError(f'"{text}" is not a label selector, for example kind=Deployment,workload=cart')
        at = found.end()
        if found["absent"]:
            yield found["alone"], SelectorOperator.DOES_NOT_EXIST, frozenset()
        elif found["sign"]:
            operator = SelectorOperator.NOT_IN if found["sign"] == "!=" else SelectorOperator.IN
            yield found["key"], operator, frozenset({found["value"]})
        elif found["word"]:
            values = frozenset(value.strip() for value in found["values"].split(","))
            operator = SelectorOperator.IN if found["word"] == "in" else SelectorOperator.NOT_IN
            yield found["key"], operator, values
        else:
            yield found["key"], SelectorOperator.EXISTS, frozenset()
