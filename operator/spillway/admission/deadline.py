"""The deadline of an admission request: how long a handler may still hold it.

Contract: a handler checks the deadline before it waits. The deadline is the shorter of the webhook's own bound and of
the time that the API server waits (it sends `?timeout=2s`), less a margin for the way of the answer; so the handler
answers by itself, with a counted reason, before the API server times out. Where the installation has set a longer
`timeoutSeconds` than the usual one, requests may be held that much longer; a caller alone cannot lengthen them.
"""

import re
from collections.abc import Callable
from typing import Final

Clock = Callable[[], float]
"""Monotonic seconds."""

MARGIN_SECONDS: Final = 0.25
USUAL_TIMEOUT_SECONDS: Final = 2.0
"""The `timeoutSeconds` for which the webhooks' bounds are chosen: the chart's default."""
LONGEST_TIMEOUT_SECONDS: Final = 10.0
"""The longest `timeoutSeconds` that may be set."""
_DURATION: Final = re.compile(r"(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?", re.ASCII)


class Deadline:
    """A point in monotonic time."""

    __slots__ = ("_at", "_clock", "_stretch", "started")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._stretch = max(1.0, seconds / USUAL_TIMEOUT_SECONDS)
        self.started = clock()
        self._at = self.started + seconds

    @property
    def remaining(self) -> float:
        """Seconds left; never negative."""
        return max(0.0, self._at - self._clock())

    @property
    def elapsed(self) -> float:
        """Seconds since the request came in."""
        return self._clock() - self.started

    def within(self, seconds: float) -> float:
        """`seconds`, or what is left if that is less."""
        return min(seconds, self.remaining)

    def patience(self, seconds: float) -> float:
        """As `within`, for an answer of another: a request that may be held longer than usual waits longer for it."""
        return min(seconds * self._stretch, self.remaining)


def hold_seconds(bound: float, asked: str, timeout: float = USUAL_TIMEOUT_SECONDS) -> float:
    """The longest time to hold a request: `bound`, or less if the API server waits less.

    `asked` is the value of the `timeout` parameter that the API server sends, in Go's notation ("2s"); what cannot be
    read, or is absent, leaves the bound as it is. `timeout` is the webhooks' `timeoutSeconds`: what it is longer than
    usual extends the bound.
    """
    match = _DURATION.fullmatch(asked)
    if not asked or match is None:
        return bound
    minutes, seconds, millis = match.groups()
    patience = 60 * int(minutes or 0) + float(seconds or 0) + int(millis or 0) / 1000
    patience = min(patience, timeout)
    extended = bound + max(0.0, patience - USUAL_TIMEOUT_SECONDS)
    return max(0.05, min(extended, patience - MARGIN_SECONDS))
