"""The requests that are expected to be added soon: the room that consolidation keeps free.

Contract: no clock of its own. With that room, no node is emptied that is soon needed again. Without a forecast, the
rise of the past is taken to go on: that of half the time for which a node has to stay empty to be worth its moves. A
new leader knows nothing of the past, so it waits until it has seen enough of it before it begins to empty a node.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from spillway.domain.model.usage import NOTHING, Usage

TREND_SHARE: Final = 1 / 2
LEAST_TREND_SHARE: Final = 1 / 6
"""A shorter time, after a start, tells no trend, and counts as one of this length: a rollout would look like a steep
rise."""


@dataclass(slots=True)
class RequestTrend:
    """What was requested in the past. `worth_seconds` is how long a node has to stay empty to be worth its moves."""

    _seen: deque[tuple[float, Usage]] = field(default_factory=deque)

    def note(self, requested: Usage, now: float, worth_seconds: float) -> None:
        """Remember what is requested now."""
        if self._seen and self._seen[-1][0] > now:
            # The clock was set back.
            self._seen.clear()
        self._seen.append((now, requested))
        while len(self._seen) > 1 and self._seen[1][0] <= now - worth_seconds * TREND_SHARE:
            self._seen.popleft()

    def known(self, worth_seconds: float) -> bool:
        """Whether enough of the past was seen to tell a trend."""
        return bool(self._seen) and self._seen[-1][0] - self._seen[0][0] >= worth_seconds * LEAST_TREND_SHARE

    def rise(self, worth_seconds: float) -> Usage:
        """What is added within `worth_seconds` if the trend goes on; 0 where it falls."""
        if not self._seen:
            return NOTHING
        (began, before), (ended, after) = self._seen[0], self._seen[-1]
        factor = worth_seconds / max(ended - began, worth_seconds * LEAST_TREND_SHARE, 1.0)
        added = after - before
        return Usage(*(max(round(amount * factor), 0) for amount in (added.pods, added.cpu_millis, added.memory_bytes)))
