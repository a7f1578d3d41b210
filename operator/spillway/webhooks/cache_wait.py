"""The wait until the ReplicaSet controller's cache can be expected to hold the deletion costs that were written.

The controller chooses victims from its own cache of pods, which lags on a busy control plane and cannot be observed.
What can be observed is how many deletion costs changed in the last second (whichever replica wrote them) and how late
this replica's own watch was.

Contract: called only after this replica's watch has shown the costs, which is necessary and not sufficient. The wait
grows with both figures and is bounded by `LONGEST_SECONDS` and by the deadline; it is recomputed while it lasts, since
the load may still grow.
Figures: docs/explanation/admission.md.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from spillway.admission.deadline import Clock, Deadline
from spillway.domain.model.records import PodRecord
from spillway.state.cluster import ClusterState

SHORTEST_SECONDS: Final = 0.01
SECONDS_PER_COST: Final = 0.0006
"""What one changed cost of the last second adds: in a storm of writes every controller is behind."""
LAG_FACTOR: Final = 1.0
LONGEST_SECONDS: Final = 0.3

_WINDOW_SECONDS: Final = 1.0
_BUCKET_SECONDS: Final = 0.05


class CacheWait:
    """A count of recent changes of deletion costs, and the wait that follows from it."""

    def __init__(
        self, state: ClusterState, clock: Clock, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._buckets: deque[tuple[float, int]] = deque()
        self._changes = 0
        self._unsubscribe = state.subscribe(PodRecord, self._pod_changed)

    def close(self) -> None:
        self._unsubscribe()

    def seconds(self, lag_seconds: float) -> float:
        """The wait at the present load, when the watch showed the writes `lag_seconds` after their answers."""
        self._forget(self._clock())
        wanted = SHORTEST_SECONDS + SECONDS_PER_COST * self._changes + LAG_FACTOR * lag_seconds
        return min(wanted, LONGEST_SECONDS)

    async def wait(self, lag_seconds: float, deadline: Deadline) -> tuple[float, bool]:
        """Wait; return the seconds waited and whether that was long enough for the deadline to allow it."""
        started = self._clock()
        while (left := started + self.seconds(lag_seconds) - self._clock()) > 0:
            if deadline.remaining <= 0:
                return self._clock() - started, False
            await self._sleep(deadline.within(min(left, _BUCKET_SECONDS)))
        return self._clock() - started, True

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if old is None or new is None or old.deletion_cost == new.deletion_cost:
            return
        now = self._clock()
        if self._buckets and now - self._buckets[-1][0] < _BUCKET_SECONDS:
            at, count = self._buckets[-1]
            self._buckets[-1] = (at, count + 1)
        else:
            self._forget(now)
            self._buckets.append((now, 1))
        self._changes += 1

    def _forget(self, now: float) -> None:
        while self._buckets and now - self._buckets[0][0] > _WINDOW_SECONDS:
            self._changes -= self._buckets.popleft()[1]
