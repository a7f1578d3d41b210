"""Foresight in the demo: the demand of two weeks in a real Prometheus, and what the operator foresees from it.

Contract: demand runs as fast as the day is played (`Pace`), so a step of the forecaster, which is five minutes, is over
within seconds. Its time is in the past of the clock, because Prometheus takes no samples of the future. The operator,
its forecaster, its API of external metrics, HPAs and node autoscaler are the real ones.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from demo.past import PAST_DAYS, PER_CORE, DemandOfDays
from demo.scenario import REQUEST_MILLIS, Day
from harness.operator import Installation
from harness.prometheus import PushedPrometheus
from harness.samples import Samples
from harness.tasks import cancelled
from localcluster import ClusterError
from spillway.domain.forecast.pace import Pace
from spillway.domain.headroom.hold import HOLD_SECONDS
from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.scaling.autoscalers import METRIC

SERIES: Final = "shop_requests_per_second"
"""The business metric, with the label `workload`. Both contenders have the same demand."""
VALUES: Final = {"externalMetrics": {"enabled": True}}
"""Of the chart: the recommended replicas are served to HPAs."""

UTILIZATION: Final = 100
"""Of the request, in percent: the load of a replica for which replicas are recommended. That of the HPAs is lower, as a
reserve for a load that they see late; what is foreseen needs none of it. This, the start-up and the window were chosen
by replays of other days than those that the demo plays by default."""
CORES_PER_REPLICA: Final = REQUEST_MILLIS / 1000 * UTILIZATION / 100
STARTUP_SECONDS: Final = 3.25
"""Of the clock, from a forecast until its replicas serve: the operator's passes, a period of the HPA, the scheduler."""
WINDOW_SECONDS: Final = 6.5
MAX_HEADROOM_NODES: Final = 10
BEFORE_SECONDS: Final = 30.0
"""From the push of the past until the day begins: the operator reads the past in it."""
_MARGIN_SECONDS: Final = 900.0
_PUSH_SECONDS: Final = 0.5
_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What the operator says of the demand at one moment."""

    cores: float = 0.0
    """The sum of the forecasts: the highest load of each workload within the window."""
    headroom: int = 0
    """The replicas for which it keeps room on elastic nodes."""


class Foresight:
    """The demand of one run's day, recorded in a Prometheus while it is played."""

    def __init__(self, day: Day, server: PushedPrometheus) -> None:
        self.day = day
        self._server = server
        self.pace = Pace(DAY_SECONDS / day.seconds, round(time.time() + day.seconds + _MARGIN_SECONDS))
        self._demand = DemandOfDays(day, 0.0)
        self._pushed = 0.0

    @property
    def flags(self) -> Sequence[str]:
        """Of the operator."""
        return (
            f"--prometheus-url={self._server.url}",
            f"--demand-speed={self.pace.speed!r}",
            f"--demand-meets={self.pace.meets!r}",
            f"--headroom-hold-seconds={HOLD_SECONDS / self.pace.speed!r}",
        )

    @property
    def begins(self) -> float:
        """The time of the clock at which the day begins."""
        return self.pace.clock_time(self._demand.begins)

    def push_past(self) -> None:
        """Write the demand of the days before, and set the begin of the played one."""
        self._demand = DemandOfDays(self.day, self.pace.demand_time(time.time() + BEFORE_SECONDS))
        self._pushed = self._demand.past_begins
        self._push()

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        """Go on writing the demand for the length of the block."""

        async def push() -> None:
            while True:
                await asyncio.sleep(_PUSH_SECONDS)
                with suppress(ClusterError):  # the next one writes what is missing
                    await asyncio.to_thread(self._push)

        pushing = asyncio.create_task(push())
        try:
            yield
        finally:
            await cancelled(pushing)

    def _push(self) -> None:
        now = self.pace.demand_time(time.time())
        times = self._demand.minutes(self._pushed, now)
        if times.size:
            self._server.push(
                [
                    ({"__name__": SERIES, "workload": one.name}, times, self._demand.at(one, times))
                    for one in self.day.workloads
                ]
            )
            self._pushed = float(np.nextafter(times[-1], np.inf))

    async def wait_begin(self, operator: Installation, workloads: int) -> bool:
        """Until the day begins; whether the operator has a forecast of so many workloads from their whole history."""
        complete = False
        while (left := self.begins - time.time()) > 0:
            if not complete:
                complete = await asyncio.to_thread(forecasts_complete, operator, workloads)
            await asyncio.sleep(min(left, _POLL_SECONDS))
        return complete

    def scaling(self) -> dict[str, Any]:
        """The field `scaling` of a workload class; durations are those of the day."""
        return {
            "target": {
                "query": f'max({SERIES}{{workload="$(workload)"}})',
                "perReplica": f"{PER_CORE * CORES_PER_REPLICA:g}",
            },
            "forecast": {
                "mode": "Active",
                "startup": self._duration(STARTUP_SECONDS),
                "window": self._duration(WINDOW_SECONDS),
                "history": f"{PAST_DAYS}d",
            },
        }

    def about(self) -> dict[str, Any]:
        """The settings of a run, in durations of the day."""
        forecast = self.scaling()["forecast"]
        return {
            "startup": forecast["startup"],
            "window": forecast["window"],
            "history": forecast["history"],
            "utilization_percent": UTILIZATION,
            "demand_speed": self.pace.speed,
            "headroom_max_nodes": MAX_HEADROOM_NODES,
        }

    def _duration(self, clock_seconds: float) -> str:
        return f"{math.ceil(clock_seconds * self.pace.speed / 60)}m"


def headroom() -> dict[str, Any]:
    """The field `headroom` of a policy."""
    return {"from": "Forecast", "min": {"pods": 0}, "max": {"nodes": MAX_HEADROOM_NODES}}


def external_metric(workload: str) -> dict[str, Any]:
    """The recommended replicas as a metric of an HPA."""
    return {
        "type": "External",
        "external": {
            "metric": {"name": METRIC, "selector": {"matchLabels": {"kind": "Deployment", "workload": workload}}},
            "target": {"type": "AverageValue", "averageValue": "1"},
        },
    }


def forecasts_complete(operator: Installation, workloads: int) -> bool:
    """Whether so many workloads have a forecast from their whole history; False where the operator does not answer."""
    pages = _pages(operator)
    ready, backfilling = (
        sum(page.total("spillway_forecast_workloads", state=state) for page in pages)
        for state in ("forecast", "backfilling")
    )
    return ready == workloads and not backfilling


def foreseen(operator: Installation, namespace: str, policy: str) -> Foreseen:
    """What the operator foresees for a contender now; nothing where it does not answer."""
    pages = _pages(operator)
    replicas = sum(page.total("spillway_forecast_demand_replicas", namespace=namespace) for page in pages)
    return Foreseen(
        CORES_PER_REPLICA * replicas,
        round(sum(page.total("spillway_headroom_pods", policy=policy) for page in pages)),
    )


def _pages(operator: Installation) -> list[Samples]:
    """The metrics of each process; none where one does not answer."""
    try:
        return [operator.metrics(index) for index in operator.running]
    except (OSError, ClusterError):
        return []
