"""The most of something that was seen within the last day: elastic nodes come in the evening and go at night.

Contract: pure; a `Seen` is (Unix seconds, amount), oldest first. Only those that can still become the most are kept, so
amounts fall from entry to entry, and there are no more of them than there were different highs in a day.
"""

from collections.abc import Sequence
from typing import Final

Seen = tuple[float, float]

WINDOW_SECONDS: Final = 86_400.0


def seen_now(before: Sequence[Seen], now: float, amount: float) -> tuple[Seen, ...]:
    """What is still to be remembered with this amount seen now; the first is the most."""
    recent = [one for one in before if now - one[0] < WINDOW_SECONDS and one[1] > amount]
    return (*recent, (now, amount))
