"""How long to wait after our costs stand, so that the ReplicaSet controller's own cache has them too.

The controller chooses victims from its cache of pods, which follows the same watch as ours, but not at the same moment:
on a busy control plane it lags by what it still has to work off. Nobody can look into that cache. What we can see is
how many deletion costs changed lately (whichever replica of ours wrote them) and how late our own watch was.

Contract: called only after own costs were seen on our watch (necessary, not sufficient). The wait grows with both and
is bounded by `LONGEST_SECONDS` and by the deadline; it is looked at anew while it lasts, since the load may still grow.
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


class Settling:
    """Counts changes of deletion costs and waits accordingly."""

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
        """How long to wait at the present load, having seen our own writes `lag_seconds` after they were answered."""
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
