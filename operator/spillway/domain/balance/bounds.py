"""The bounds of the moves of one resource: how many in a minute, and which workloads rest.

Contract: no clock of its own. A workload is left alone for `WORKLOAD_SECONDS` once a move of it is asked for, so that
what protects one workload holds up no other; each move in a row that was given back doubles that time, up to
`LONGEST_REST_SECONDS`; a workload that has not been tried for as long after its rest counts as one that never failed. A
move that an autoscaler or a rollout overtook may be tried again sooner, `OVERTAKEN_MOST` times until one succeeds. A
new leader knows of the moves before it only those that are in progress: it may begin as many in a minute as are allowed
beside those that have ended, and try once what has failed. That is bounded by how often the leader changes, and costs
an additional replica for a short time, never one that is missing. If the clock is set back, what is remembered moves
back with it, so that no bound lasts longer.
"""

import math
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.surge.hindrance import PASSING, Left
from spillway.domain.surge.steps import SurgeOutcome

WORKLOAD_SECONDS: Final = 600.0
"""After a move, its workload is left alone for so long."""
LONGEST_REST_SECONDS: Final = 6 * 3600.0
"""A workload whose moves fail is left alone for so long at most."""
OVERTAKEN_MOST: Final = 3
"""So many moves in a row of a workload are tried again soon after another client changed it."""
_MINUTE: Final = 60.0
_DAY: Final = 24 * 3600.0
PERIOD_SECONDS: Final = 30.0
"""The time between two passes of who moves pods, unless something settles sooner."""
_SHORTEST_PERIOD_SECONDS: Final = 5.0


def pass_period(settle_seconds: float) -> float:
    """Seconds until the next pass of who moves pods: at most half of the time for which something must be settled."""
    return min(PERIOD_SECONDS, max(settle_seconds / 2, _SHORTEST_PERIOD_SECONDS))


def passes(why: Left | SurgeOutcome) -> bool:
    """Whether a move ended because another client changed its workload, or without a decision about its workload."""
    return why in PASSING if isinstance(why, Left) else why in (SurgeOutcome.OVERTAKEN, SurgeOutcome.WITHDRAWN)


@dataclass(slots=True)
class MoveBounds:
    """What is remembered of the moves of one resource."""

    resting: dict[str, float] = field(default_factory=dict)
    """Until when a workload is left alone."""
    done: int = 0
    """The moves that succeeded."""
    _day: deque[float] = field(default_factory=deque)
    """When moves succeeded in the last day."""
    _recent: deque[float] = field(default_factory=deque)
    """When moves were begun in the last minute."""
    _failed: Counter[str] = field(default_factory=Counter)
    """How many moves of a workload failed in a row, could not begin, or did not help."""
    _refused: dict[str, Left | SurgeOutcome] = field(default_factory=dict)
    """Why the last move of a workload failed, did not begin, or did not help."""
    _overtaken: dict[str, tuple[int, float]] = field(default_factory=dict)
    """How many moves of a workload were overtaken in a row, and until when it rests for the last one."""
    _latest: float = field(default=-math.inf, compare=False)
    """The last time at which it was asked how many moves may begin."""

    @classmethod
    def resumed(cls, begun: Iterable[float]) -> Self:
        """The bounds of a new leader; `begun` are the times at which the moves in progress began, in order."""
        found = cls()
        for at in begun:
            found.began(at)
        return found

    def allowed(self, per_minute: int, now: float, going: Iterable[float] = ()) -> int:
        """How many moves may begin now.

        `going` are the times since which moves are in progress. Those that take longer than a minute count as well, but
        one always remains, so that they stop no others.
        """
        self._follow_clock(now)
        # Clocks of leaders differ: a move that is in progress may have begun in the future.
        self._recent = deque(min(at, now) for at in self._recent if at > now - _MINUTE)
        over = [name for name in self._failed if self.resting.get(name, 0.0) <= now - LONGEST_REST_SECONDS]
        for name in over:
            self.helped(name)
        failed = self._failed.keys()
        self._overtaken = {name: one for name, one in self._overtaken.items() if one[1] > now - LONGEST_REST_SECONDS}
        self.resting = {name: until for name, until in self.resting.items() if until > now or name in failed}
        slow = sum(since <= now - _MINUTE for since in going)
        return max(per_minute - len(self._recent) - min(slow, per_minute - 1), 0)

    def _follow_clock(self, now: float) -> None:
        back, self._latest = self._latest - now, now
        if back > 0:
            self._recent = deque(at - back for at in self._recent)
            self._day = deque(at - back for at in self._day)
            self.resting = {name: until - back for name, until in self.resting.items()}
            self._overtaken = {name: (times, until - back) for name, (times, until) in self._overtaken.items()}

    def last_day(self, now: float) -> int:
        """How many moves succeeded in the last 24 hours."""
        while self._day and self._day[0] <= now - _DAY:
            self._day.popleft()
        return len(self._day)

    def rest(self, workload: str, now: float) -> None:
        """Leave a workload alone from now on."""
        self.resting[workload] = now + WORKLOAD_SECONDS

    def began(self, at: float) -> None:
        """Count a move that began at this time, which is not before that of the last one."""
        self._recent.append(at)

    @property
    def failing(self) -> Collection[str]:
        """The workloads whose last moves failed, could not begin, or did not help."""
        return self._failed.keys()

    def succeeded(self, workload: str, now: float, *, seconds: float = WORKLOAD_SECONDS) -> None:
        """Note that a move succeeded; its workload is left alone for so long."""
        self.moved(now)
        self.helped(workload)
        self.resting[workload] = now + seconds

    def moved(self, now: float) -> None:
        """Count a move that succeeded, of which it is not known yet whether it helped."""
        self.done += 1
        self._day.append(now)

    def helped(self, workload: str) -> None:
        """Forget the moves of a workload that failed before one that helped."""
        self._failed.pop(workload, None)
        self._refused.pop(workload, None)
        self._overtaken.pop(workload, None)

    def given_back(self, workload: str, why: Left | SurgeOutcome, now: float) -> None:
        """Note that a move failed, could not begin, or did not help."""
        self._failed[workload] += 1
        self._refused[workload] = why
        self.resting[workload] = now + backoff_seconds(
            self._failed[workload], first=WORKLOAD_SECONDS, longest=LONGEST_REST_SECONDS
        )

    def overtaken(self, workload: str, why: Left | SurgeOutcome, now: float, *, settle: float) -> None:
        """Note that a move was overtaken (`passes`): its workload may be moved once it is left alone for `settle`.

        Each one in a row doubles that time; after `OVERTAKEN_MOST` it counts as a move that failed, because a client
        that always undoes the surge would else be asked for one for ever.
        """
        times = self._overtaken.pop(workload, (0, 0.0))[0] + 1
        if times > OVERTAKEN_MOST:
            self.given_back(workload, why, now)
            return
        self.resting[workload] = now + backoff_seconds(times, first=settle, longest=WORKLOAD_SECONDS)
        self._overtaken[workload] = times, self.resting[workload]
        self._refused.pop(workload, None)

    def refused(self, now: float) -> Mapping[str, Left | SurgeOutcome]:
        """Why workloads are left alone whose last move failed, or did not begin."""
        return {name: why for name, why in self._refused.items() if self.resting.get(name, 0.0) > now}
