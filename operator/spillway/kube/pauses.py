"""Pauses between tries: the back-off with jitter, and a counter of failures that sleeps by it.

Contract: the n-th pause doubles the one before, up to a longest, and is spread by jitter between its half and its
whole, so that clients that failed together do not come back together. Each caller gives its first and its longest
pause: those of writes are in `writer`.
"""

from collections.abc import Callable

from spillway.domain.model.backoff import backoff_seconds
from spillway.kube.ratelimit import Sleep


def pause_seconds(failures: int, *, first: float, longest: float, jitter: float) -> float:
    """The pause after this many failures (at least 1); `jitter` is between 0 and 1."""
    return backoff_seconds(failures, first=first, longest=longest) * (0.5 + jitter / 2)


class Backoff:
    """Growing pauses of one task; `reset` after a success."""

    def __init__(self, first: float, longest: float, *, sleep: Sleep, jitter: Callable[[], float]) -> None:
        self._first = first
        self._longest = longest
        self._sleep = sleep
        self._jitter = jitter
        self._failures = 0

    def reset(self) -> None:
        self._failures = 0

    async def pause(self, *, at_least: float = 0.0) -> None:
        """Sleep; `at_least` is what the server asked for, within the longest pause."""
        self._failures += 1
        pause = pause_seconds(self._failures, first=self._first, longest=self._longest, jitter=self._jitter())
        await self._sleep(min(self._longest, max(at_least, pause)))
