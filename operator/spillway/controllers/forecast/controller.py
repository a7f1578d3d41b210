"""The controller of forecasts: it asks the forecasting process at each step of the grid, and publishes what it answers.

Contract: one key. Forecasts are refreshed soon after each step of five minutes has ended, at an offset of this
process's own, and at once after a relevant change of the policies; while histories are still being read, one refresh
follows the other. A failed refresh changes nothing: what was published ages, and counts no more after `STALE_SECONDS`.
It is tried again with growing delays. What was published of a workload whose demand alone cannot be read ages as well,
so that headroom knows that a forecast is missing and not that nothing rises; after a day it is withdrawn. While no
class asks for a forecast no process runs and Prometheus is not asked.
Steps are those of the time of demand (`Pace`); what is published has times of the clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.forecast.observe import Requests, WorkloadsToForecast, asked_of, asks
from spillway.controllers.forecast.process import RefreshFailedError
from spillway.domain.forecast.pace import Pace
from spillway.domain.forecast.refresh import NO_SAMPLES, DemandProblem, Refreshed, RefreshRequest
from spillway.domain.forecast.spec import STEP_SECONDS
from spillway.domain.model import event_reasons
from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.model.named_workloads import named
from spillway.domain.model.owners import workload_of
from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.scaling.demand import STALE_SECONDS, DemandForecast
from spillway.kube.protocols import Recorder
from spillway.sources.prometheus import NoPrometheusError
from spillway.state.signal import Signal
from spillway.telemetry import forecast as metrics

REFRESH: Final = "refresh"
LATE_SECONDS: Final = 20.0
"""Seconds after the end of a step until its samples are there."""
OFFSETS_SECONDS: Final = 30
"""Operators of several clusters do not ask one Prometheus at the same time."""
CHANGED_SECONDS: Final = 3.0
AGAIN_SECONDS: Final = 1.0
OLDER_SECONDS: Final = 120.0
"""The time for older history in one refresh."""
RETRY_SECONDS: Final = 10.0
LONGEST_RETRY_SECONDS: Final = 300.0


class Forecasting(Protocol):
    """The forecasting process."""

    async def refresh(self, request: RefreshRequest) -> Refreshed:
        """The answer, or `RefreshFailedError`."""

    async def close(self) -> object:
        """End it; the next request starts it again."""


@dataclass(slots=True)
class ForecastReport:
    """The forecasts in force, and what is wrong with them."""

    policies: Mapping[str, str] = field(default_factory=dict)
    """The policy of each workload that asks for a forecast."""
    problems: Mapping[str, DemandProblem] = field(default_factory=dict)
    made: float = 0.0
    """Unix seconds of the last refresh; 0.0 without one."""
    backlog: int = 0
    trouble: str = ""
    """Why the last refresh failed, in one word; empty if it did not."""
    message: str = ""

    def stale(self, now: float) -> bool:
        """Whether there has been no refresh for too long."""
        return bool(self.trouble) and (not self.made or now - self.made > STALE_SECONDS)


class ForecastController(Controller):
    """The controller of forecasts."""

    name: ClassVar = "forecasts"

    def __init__(
        self,
        world: World,
        events: Recorder,
        process: Forecasting | None,
        *,
        offset_seconds: float,
        workload_series: int,
        pace: Pace = Pace(),  # noqa: B008 - it is frozen
    ) -> None:
        """`process` is None where no Prometheus is configured; `workload_series` bounds the series of the metrics."""
        super().__init__(world)
        self._events = events
        self._process = process
        self._offset_seconds = offset_seconds
        self._workload_series = workload_series
        self._pace = pace
        self._shown: frozenset[str] = frozenset()
        self._requests: Requests = {}
        """The requests once seen of each workload, which may have no pods at a refresh."""
        self._failures = 0
        self._seen_policies = ""
        self._reported: dict[str, str] = {}
        self.report = ForecastReport()
        self.report_changed: Signal[()] = Signal("ForecastReport")
        """Emitted when the report has changed."""

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            if self._process is not None:
                await self._process.close()

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self._policies_changed)

    def all_keys(self) -> Iterable[str]:
        return [REFRESH]

    async def reconcile(self, key: str) -> float | None:  # noqa: ARG002  # there is one
        self._seen_policies = policies_text(self.world)
        if not self._seen_policies:
            await self._withdraw()
            return None
        now = self.world.now()
        then = self._pace.demand_time(now)
        asked = await asked_of(self.world, self._requests, then)
        self._requests = asked.requests
        if self._process is None:
            self.report = ForecastReport(
                policies=_policies(asked),
                trouble=NoPrometheusError.reason,
                message="no Prometheus is configured (--prometheus-url)",
            )
            self.report_changed.emit()
            return None
        # The first forecasts do not wait for older history.
        seconds = OLDER_SECONDS if self.report.made else 0.0
        try:
            found = await self._process.refresh(RefreshRequest(then, tuple(asked.needs), seconds))
        except RefreshFailedError as error:
            return self._failed(error, asked)
        self._failures = 0
        self._publish(found, asked, now)
        if found.backlog and found.trouble is None:
            return AGAIN_SECONDS
        return self._until_next()

    def _until_next(self) -> float:
        now = self.world.now()
        late = LATE_SECONDS + self._offset_seconds
        due = (self._pace.demand_time(now) - late) // STEP_SECONDS + 1
        return self._pace.clock_time(due * STEP_SECONDS + late) - now

    def _failed(self, error: RefreshFailedError, asked: WorkloadsToForecast) -> float:
        self._failures += 1
        metrics.REFRESHES.labels("failed").inc()
        pause = backoff_seconds(self._failures, first=RETRY_SECONDS, longest=LONGEST_RETRY_SECONDS)
        self.log.warning("no forecasts, the last ones age", reason=error.reason, error=str(error), retry=pause)
        before = self.report
        self.report = ForecastReport(
            policies=_policies(asked),
            problems=before.problems,
            made=before.made,
            backlog=before.backlog,
            trouble=error.reason,
            message=str(error),
        )
        self.report_changed.emit()
        return pause

    def _publish(self, found: Refreshed, asked: WorkloadsToForecast, now: float) -> None:
        metrics.REFRESHES.labels("made").inc()
        metrics.REFRESH_SECONDS.observe(found.seconds)
        metrics.MADE.set(now)
        forecasts = {
            one.workload: DemandForecast(
                made=self._pace.clock_time(one.made),
                present=one.present,
                highest=one.highest,
                predictable=one.predictable,
                later=one.later,
                soon_after=one.soon_after,
            )
            for one in found.forecasts
        }
        problems = {one.workload: one for one in (*asked.problems, *found.problems) if self._counts(one, asked)}
        metrics.set_workloads(forecast=len(forecasts), backfilling=found.backlog, unusable=len(problems))
        self._show(forecasts)
        self.world.board.set_forecasts(self._aging(problems, now) | forecasts)
        self.report = ForecastReport(policies=_policies(asked), problems=problems, made=now, backlog=found.backlog)
        self._report_problems(asked)
        self.report_changed.emit()

    def _aging(self, problems: Mapping[str, DemandProblem], now: float) -> dict[str, DemandForecast]:
        """The last forecasts of workloads whose demand cannot be read, for a day."""
        return {
            workload: one
            for workload, one in self.world.board.forecasts.items()
            if workload in problems and now - one.made < DAY_SECONDS
        }

    @staticmethod
    def _counts(problem: DemandProblem, asked: WorkloadsToForecast) -> bool:
        """Whether it is a problem: a workload without replicas uses nothing."""
        observed = asked.observed.get(problem.workload)
        return observed is not None and (problem.reason != NO_SAMPLES or observed.replicas > 0)

    def _show(self, forecasts: Mapping[str, DemandForecast]) -> None:
        """Replace the values of the metrics; a hundredth of a replica decides about who has series."""
        sizes = {key: round(100 * one.highest) for key, one in forecasts.items()}
        self._shown = named(self._shown, sizes, size=self._workload_series)
        metrics.set_forecasts({key: one for key, one in forecasts.items() if key in self._shown})

    async def _withdraw(self) -> None:
        """Withdraw the forecasts, because no class asks for one."""
        if self._process is not None:
            await self._process.close()
        if self.world.board.forecasts or self.report.policies or self.report.trouble:
            self.world.board.set_forecasts({})
            self._shown = frozenset()
            metrics.set_forecasts({})
            metrics.set_workloads(forecast=0, backfilling=0, unusable=0)
            metrics.MADE.set(0)
            self.report = ForecastReport()
            self.report_changed.emit()

    def _report_problems(self, asked: WorkloadsToForecast) -> None:
        said = {key: f"There is no forecast: {one.message}." for key, one in self.report.problems.items()}
        for workload, message in said.items():
            if self._reported.get(workload) != message:
                owner = workload_of(asked.observed[workload].newest)
                self._events.record(owner.reference, "Warning", event_reasons.DEMAND_UNUSABLE, message)
        self._reported = said

    def _policies_changed(self) -> None:
        if self.world.catalog.loaded and policies_text(self.world) != self._seen_policies:
            self.queue.add_after(REFRESH, CHANGED_SECONDS)


def policies_text(world: World) -> str:
    """The parts of the policies that forecasts depend on, as text; empty if no class asks for one."""
    asking = [policy for policy in world.governance.policies.values() if asks(policy)]
    return "\n".join(
        f"{policy.metadata.name} {one.name} {one.match!r} {one.scaling!r}"
        for policy in asking
        for one in policy.spec.workloads
    )


def _policies(asked: WorkloadsToForecast) -> Mapping[str, str]:
    return {workload: one.claim.policy for workload, one in asked.observed.items()}
