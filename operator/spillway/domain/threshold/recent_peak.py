"""The highest amount within the last day, for elastic nodes, which come in the evening and go at night.

Contract: pure; a `Sample` is (Unix seconds, amount), oldest first. Only those that can still become the most are kept,
so amounts fall from entry to entry, and there are no more of them than there were different highs in a day.
"""

from collections.abc import Sequence
from typing import Final

from spillway.domain.model.units import DAY_SECONDS

Sample = tuple[float, float]

WINDOW_SECONDS: Final = float(DAY_SECONDS)


def seen_now(before: Sequence[Sample], now: float, amount: float) -> tuple[Sample, ...]:
    """The entries to remember after this amount was seen; the first is the highest."""
    recent = [one for one in before if now - one[0] < WINDOW_SECONDS and one[1] > amount]
    return (*recent, (now, amount))
