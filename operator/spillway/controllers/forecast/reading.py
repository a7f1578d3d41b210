"""The reading of demand into memory: what is new at each refresh, and older history in the time that is left.

Contract: runs in the forecasting process, and keeps the histories of all workloads between two requests. What has ended
since the last refresh is read first, with the two steps before it once more, because samples arrive late. Then older
history is read a day at a time, for all workloads before the next day, so that every workload is forecast soon and well
later. After each request Prometheus is left alone for a part of the time that it took. A workload that fails is
tried again alone, after a pause that doubles, and delays no other.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from typing import Final

import structlog

from spillway.domain.forecast.demand_grid import DemandGrid, Identity
from spillway.domain.forecast.refresh import DemandNeed, DemandProblem, DemandSource, RefreshRequest
from spillway.domain.forecast.spec import DAY_STEPS, STEP_SECONDS
from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.threshold.history import History
from spillway.sources.batches import Batches, Patience
from spillway.sources.prometheus_use import DemandQuery, demands
from spillway.sources.queries import Queries

log: Final = structlog.get_logger(__name__)

OVERLAP_STEPS: Final = 2
CHUNK_STEPS: Final = DAY_STEPS
REST_SHARE: Final = 0.25
"""So much of the time of a request passes before the next one for older history."""
FAILING_SECONDS: Final = 60.0
"""What batches that fail may cost in one refresh."""
FIRST_RETRY_SECONDS: Final = 300.0
LONGEST_RETRY_SECONDS: Final = 3600.0


class Row:
    """How far the demand of one workload has been read."""

    def __init__(self, end: int) -> None:
        self.since = self.until = end
        """Steps from `since` to `until` are read."""
        self.added = end
        self.failures = 0
        self.retry_at = 0.0
        self.problem: DemandProblem | None = None


class Reading:
    """The histories of all workloads, and how far they are read."""

    def __init__(
        self,
        prometheus: Queries,
        business: Queries,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`business` sends users' queries for their newest values; long histories are read by `prometheus`."""
        self._prometheus = prometheus
        self._business = business
        self._now = 0.0
        self._clock = clock
        self._sleep = sleep
        self._grid: DemandGrid | None = None
        self.rows: dict[Identity, Row] = {}
        self.requests = 0

    @property
    def grid(self) -> DemandGrid:
        """The histories.

        Raises:
            RuntimeError: before the first request.
        """
        if self._grid is None:
            raise RuntimeError("nothing has been asked for")
        return self._grid

    def prepare(self, request: RefreshRequest) -> Mapping[Identity, DemandNeed]:
        """Begin the rows of new workloads, and forget those that are not asked for any more."""
        self._now = request.now
        end = int(request.now // STEP_SECONDS)
        needs = {identity_of(one): one for one in request.needs}
        steps = max((one.history_steps for one in request.needs), default=DAY_STEPS)
        if self._grid is None:
            self._grid = DemandGrid(steps, end)
        elif steps > self._grid.steps:
            self._grid = self._grid.resized(steps)
        self._grid.advance(end)
        for gone in self.rows.keys() - needs.keys():
            self._grid.forget(gone)
            del self.rows[gone]
        for new in needs.keys() - self.rows.keys():
            self._grid.add(new)
            self.rows[new] = Row(self._grid.end)
        return needs

    async def read_new(self) -> None:
        """Read what has ended since each workload was read last; of a new one, the last day.

        Raises:
            PrometheusError: Prometheus does not answer.
        """
        end, batches = self.grid.end, self._batches()
        sound: list[Identity] = []
        for identity, row in self.rows.items():
            if row.until <= end - DAY_STEPS:
                # What is missing is longer than one request asks for: it counts as older history.
                row.since = row.until = end
            if row.problem is None:
                sound.append(identity)
            elif row.retry_at <= self._now:
                await self._read(batches, [identity], self._first(identity), end)
        sound.sort(key=self._first)
        for first, members in groupby(sound, key=self._first):
            await self._read(batches, list(members), first, end)

    async def read_older(self, needs: Mapping[Identity, DemandNeed], seconds: float) -> None:
        """Read older history for at most so long, the newest of all workloads first.

        Raises:
            PrometheusError: Prometheus does not answer.
        """
        begun, batches = self._clock(), self._batches()
        while self._clock() - begun < seconds:
            missing = self.missing(needs)
            if not missing:
                return
            since = max(self.rows[one].since for one in missing)
            due = [one for one in missing if self.rows[one].since == since]
            await self._read(batches, due, since - CHUNK_STEPS, since, until=begun + seconds, rest=REST_SHARE)

    def missing(self, needs: Mapping[Identity, DemandNeed]) -> list[Identity]:
        """The workloads without a problem whose history does not reach back as far as they ask."""
        end = self.grid.end
        return [
            one
            for one, need in needs.items()
            if self.rows[one].problem is None and self.rows[one].since > end - need.history_steps
        ]

    def _first(self, identity: Identity) -> int:
        row = self.rows[identity]
        return row.until - OVERLAP_STEPS if row.until > row.since else self.grid.end - CHUNK_STEPS

    def _batches(self) -> Batches[DemandQuery]:
        return Batches(self._prometheus.check, lambda one: one.workload, Patience(budget=FAILING_SECONDS))

    async def _read(
        self,
        batches: Batches[DemandQuery],
        members: Sequence[Identity],
        first: int,
        end: int,
        *,
        until: float = float("inf"),
        rest: float = 0.0,
    ) -> None:
        by_key = {one.workload: one for one in members}
        wanted = [DemandQuery(one.workload, DemandSource(one.source), one.query) for one in members]
        business = self._business if end == self.grid.end else None
        begun = self._clock()
        async for batch in demands(self._prometheus, batches, wanted, first, end, business=business):
            self.requests += 1
            for found in batch:
                self._note(by_key[found.workload], found, first, end)
            if rest:
                await self._sleep(rest * (self._clock() - begun))
            begun = self._clock()
            if begun >= until:
                return

    def _note(self, identity: Identity, found: History, first: int, end: int) -> None:
        row = self.rows[identity]
        if found.problem is not None and end < self.grid.end:
            # Its newer history was read: it is forecast without this day.
            row.since = min(row.since, first)
            return
        if found.problem is not None:
            row.failures += 1
            row.retry_at = self._now + backoff_seconds(
                row.failures, first=FIRST_RETRY_SECONDS, longest=LONGEST_RETRY_SECONDS
            )
            row.problem = DemandProblem(identity.workload, found.problem.reason, found.problem.message)
            return
        row.failures, row.problem = 0, None
        self.grid.write(identity, found.times, found.replicas)
        row.since, row.until = min(row.since, first), max(row.until, end)


def identity_of(need: DemandNeed) -> Identity:
    """The row of a workload."""
    return Identity(need.workload, str(need.source), need.query)
