"""The requests that are expected to be added soon: the room that consolidation keeps free.

Contract: no clock of its own. With that room, no node is emptied that is soon needed
again. Without a forecast, the rise of the last `TREND_SECONDS` is taken to go on.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from spillway.domain.model.usage import NOTHING, Usage

WORTH_SECONDS: Final = 1800.0
"""A node is worth its moves if it stays empty for so long."""
TREND_SECONDS: Final = 900.0
LEAST_TREND_SECONDS: Final = 300.0
"""A shorter time, after a start, counts as one of this length: a rollout would look like a steep rise."""


@dataclass(slots=True)
class RequestTrend:
    """What was requested in the last quarter of an hour."""

    _seen: deque[tuple[float, Usage]] = field(default_factory=deque)

    def note(self, requested: Usage, now: float) -> None:
        """Remember what is requested now."""
        self._seen.append((now, requested))
        while len(self._seen) > 1 and self._seen[1][0] <= now - TREND_SECONDS:
            self._seen.popleft()

    def rise(self) -> Usage:
        """What is added within `WORTH_SECONDS` if the trend goes on; 0 where it falls."""
        if not self._seen:
            return NOTHING
        (began, before), (ended, after) = self._seen[0], self._seen[-1]
        factor = WORTH_SECONDS / max(ended - began, LEAST_TREND_SECONDS)
        added = after - before
        return Usage(*(max(round(amount * factor), 0) for amount in (added.pods, added.cpu_millis, added.memory_bytes)))
