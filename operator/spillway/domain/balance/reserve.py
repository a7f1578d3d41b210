"""The requests that are expected to be added soon: the room that consolidation keeps free.

Contract: no clock of its own. With that room, no node is emptied that is soon needed
again. Without a forecast, the rise of the last `TREND_SECONDS` is taken to go on.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

WORTH_SECONDS: Final = 1800.0
"""A node is worth its moves if it stays empty for so long."""
TREND_SECONDS: Final = 900.0
LEAST_TREND_SECONDS: Final = 300.0
"""A shorter time, after a start, counts as one of this length: a rollout would look like a steep rise."""

Requests = tuple[int, int]
"""Requested (millicores, bytes)."""


@dataclass(slots=True)
class RequestTrend:
    """What was requested in the last quarter of an hour."""

    _seen: deque[tuple[float, Requests]] = field(default_factory=deque)

    def note(self, requested: Requests, now: float) -> None:
        """Remember what is requested now."""
        self._seen.append((now, requested))
        while len(self._seen) > 1 and self._seen[1][0] <= now - TREND_SECONDS:
            self._seen.popleft()

    def rise(self) -> Requests:
        """What is added within `WORTH_SECONDS` if the trend goes on; 0 where it falls."""
        if not self._seen:
            return 0, 0
        (began, before), (ended, after) = self._seen[0], self._seen[-1]
        factor = WORTH_SECONDS / max(ended - began, LEAST_TREND_SECONDS)
        return max(round((after[0] - before[0]) * factor), 0), max(round((after[1] - before[1]) * factor), 0)


def total(rises: Iterable[tuple[int, Requests]]) -> Requests:
    """The requests of so many replicas of each kind."""
    cpu = memory = 0
    for replicas, (one_cpu, one_memory) in rises:
        cpu += replicas * one_cpu
        memory += replicas * one_memory
    return cpu, memory


def larger(one: Requests, other: Requests) -> Requests:
    """The larger of both, for each resource."""
    return max(one[0], other[0]), max(one[1], other[1])
