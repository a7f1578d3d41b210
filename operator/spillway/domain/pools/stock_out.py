"""Tells a stock-out from any other trouble, by what a provider says of a pod.

Contract: a sign matches where everything that it names holds: the reason is exactly that, the expression is found in
the message. One sign is enough. An expression that cannot be compiled matches nothing (the validating webhook refuses
it; it may have come while nobody validated), and never stops the others.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from spillway.api.virtualnodebudget import StockOut

LONGEST_MESSAGE = 2048
"""A provider's answer may be long, and an expression may be slow: what says "no stock" stands at the beginning."""


@dataclass(frozen=True, slots=True)
class Signs:
    """The signs of one pool, compiled."""

    signs: tuple[tuple[str | None, re.Pattern[str] | None], ...] = ()

    @classmethod
    def of(cls, stock_out: StockOut | None) -> Self:
        """As the budget's spec gives them; without `stockOut` nothing is a sign."""
        found = []
        for sign in () if stock_out is None else stock_out.detect:
            pattern = _compiled(sign.message_regex) if sign.message_regex is not None else None
            if sign.message_regex is None or pattern is not None:
                found.append((sign.reason, pattern))
        return cls(tuple(found))

    def match(self, reason: str, message: str) -> bool:
        """Whether this says that there is no stock."""
        text = message[:LONGEST_MESSAGE]
        return any(
            (wanted is None or wanted == reason) and (pattern is None or pattern.search(text) is not None)
            for wanted, pattern in self.signs
        )

    @property
    def reasons(self) -> frozenset[str] | None:
        """The reasons that can be a sign; None where any can."""
        reasons = {wanted for wanted, _ in self.signs}
        return None if None in reasons else frozenset(reason for reason in reasons if reason is not None)


@lru_cache(maxsize=256)
def _compiled(expression: str) -> re.Pattern[str] | None:
    try:
        return re.compile(expression)
    except re.error:
        return None
