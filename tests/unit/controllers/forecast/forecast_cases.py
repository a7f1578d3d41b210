"""A forecast controller with a forecasting process in memory, for the tests of its subjects."""

from collections.abc import Mapping
from typing import Any

from spillway.controllers.base import World
from spillway.controllers.forecast.controller import ForecastController
from spillway.controllers.forecast.process import RefreshFailedError
from spillway.domain.forecast.pace import Pace
from spillway.domain.forecast.refresh import DemandProblem, Refreshed, RefreshProblem, RefreshRequest, WorkloadDemand
from spillway.state.catalog import Kind
from tests.builders import make_pod, make_replicaset, make_statefulset
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.support.world import Record, make_world, resource

WEB = "Deployment/shop/web"
REAL_TIME = Pace()
CPU: Mapping[str, Any] = {"metric": "cpu", "utilization": 50}


class Process:
    """Answers that every workload needs `highest` replicas; fails while `trouble` is set."""

    def __init__(self, clock: FakeClock) -> None:
        self.requests: list[RefreshRequest] = []
        self.highest = 12.34
        self.later = 0.0
        self.made: float | None = None
        """When the forecasts were made; None for now."""
        self.trouble = ""
        self.backlog = 0
        self.older_trouble: RefreshProblem | None = None
        self.problems: tuple[DemandProblem, ...] = ()
        self.closed = 0
        self._clock = clock

    async def refresh(self, request: RefreshRequest) -> Refreshed:
        self.requests.append(request)
        if self.trouble:
            raise RefreshFailedError(self.trouble, "no one answers")
        failed = {one.workload for one in self.problems}
        made = self._clock.now() if self.made is None else self.made
        return Refreshed(
            forecasts=tuple(
                WorkloadDemand(one.workload, made, 5.0, self.highest, predictable=True, later=self.later)
                for one in request.needs
                if one.workload not in failed
            ),
            problems=self.problems,
            backlog=self.backlog,
            seconds=1.5,
            trouble=self.older_trouble,
        )

    async def close(self) -> None:
        self.closed += 1


def policy(
    target: Mapping[str, Any] | None = CPU,
    *,
    version: int = 1,
    mode: str = "Active",
    headroom: Mapping[str, Any] | None = None,
    per_hour: int | None = None,
    **forecast: Any,
) -> dict[str, Any]:
    scaling: dict[str, Any] = {"target": target, "forecast": {"mode": mode, **forecast}} if target is not None else {}
    scaling |= {"maxScalingsPerHour": per_hour} if per_hour is not None else {}
    workloads = [{"name": "default", "scaling": scaling}]
    more = {} if headroom is None else {"headroom": headroom}
    return resource(
        Kind.ELASTIC_POLICY, "online", version=version, mode="Enforce", tiers={}, workloads=workloads, **more
    )


def world_of(clock: FakeClock, resource: Mapping[str, Any], *, statefulset: bool = False) -> World:
    """Three replicas of 500m and a GiB; and three of a StatefulSet, if asked for."""
    records: list[Record] = [make_replicaset(replicas=3), *(make_pod(f"web-{index}") for index in range(3))]
    if statefulset:
        records += [
            make_statefulset(replicas=3),
            *(make_pod(f"db-{index}", owner_uid="sts-db", owner_kind="StatefulSet") for index in range(3)),
        ]
    return make_world(records, [resource], clock)


def controller_of(
    world: World,
    process: Process | None,
    events: FakeRecorder | None = None,
    *,
    workload_series: int = 1000,
    pace: Pace = REAL_TIME,
) -> ForecastController:
    return ForecastController(
        world, events or FakeRecorder(), process, offset_seconds=7.0, workload_series=workload_series, pace=pace
    )
