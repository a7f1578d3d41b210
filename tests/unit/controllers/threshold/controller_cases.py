"""A threshold controller with a planner and a store of plans in memory, for the tests of its subjects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spillway.api.elasticpolicy import Saving, WorkloadThreshold
from spillway.controllers.base import World
from spillway.controllers.status.part import ObservedCondition
from spillway.controllers.threshold.controller import ThresholdController
from spillway.controllers.threshold.process import PlanFailedError
from spillway.controllers.threshold.status import threshold_part
from spillway.domain.threshold.basis import Basis
from spillway.domain.threshold.request import Plan, PlannedPolicy, PlannedWorkload, PlanRequest, Stance
from spillway.state.catalog import Kind
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.support.world import ELASTIC, Record, make_world, resource

HOUR = 3600.0
WEB = "Deployment/shop/web"


class Planner:
    """Makes plans that keep `keep` replicas of each Auto workload; fails while `trouble` is set."""

    def __init__(self, clock: FakeClock) -> None:
        self.requests: list[PlanRequest] = []
        self.keep: int | None = 2
        self.trouble = ""
        self.problem = ""
        self.problem_reason = ""
        self.kept = False
        self.excess = 0.0
        self.unplaced: dict[str, float] = {}
        self._clock = clock

    async def __call__(self, request: PlanRequest) -> Plan:
        self.requests.append(request)
        if self.trouble:
            raise PlanFailedError(self.trouble, "no one answers")
        auto = [one for one in request.workloads if one.stance is Stance.AUTO]
        return Plan(
            made=self._clock.now(),
            fingerprint=request.fingerprint,
            capacity_cores=request.capacity_cores,
            peak_cores=1.0,
            allowed_cores=request.capacity_cores * 0.65,
            excess_cores=self.excess,
            unplaced_cores=sum(self.unplaced.values()),
            unplaced=tuple(self.unplaced),
            seconds=0.5,
            policies=(
                PlannedPolicy(
                    name="online",
                    auto=len(auto),
                    learning=0,
                    currency="CNY",
                    saved_vs_owned=5.4,
                    saved_vs_virtual=-0.25,
                    owned_nodes_advised=3,
                ),
            ),
            workloads=tuple(
                PlannedWorkload(
                    workload=one.workload,
                    policy=one.policy,
                    threshold=self.keep,
                    kept=self.kept,
                    owned=self.keep or 0,
                    peak=9,
                    request_cores=one.request_cores,
                    request_gib=one.request_gib,
                    confidence=90,
                    basis=Basis.FORECAST,
                    forecast_loss_percent=62,
                    saving_per_hour=5.4,
                    saving_per_hour_against_virtual=-1.2,
                    problem=self.problem,
                    problem_reason=self.problem_reason,
                )
                for one in auto
            ),
        )


class Store:
    def __init__(self, kept: Plan | None = None) -> None:
        self.kept = kept
        self.saved: list[Plan] = []

    async def load(self) -> Plan | None:
        return self.kept

    async def save(self, value: Plan, made: float) -> None:
        assert made == value.made
        self.saved.append(value)


def policy(*, threshold: Mapping[str, Any] | None = None, version: int = 1, **more: Any) -> dict[str, Any]:
    workload_class = {"name": "default", "threshold": threshold if threshold is not None else {"mode": "Auto"}}
    tiers = more.pop("tiers", {"elastic": ELASTIC})
    return resource(
        Kind.ELASTIC_POLICY,
        "online",
        version=version,
        mode=more.pop("mode", "Enforce"),
        tiers=tiers,
        workloads=[{**workload_class, **more}],
    )


def world_of(clock: FakeClock, resource: Mapping[str, Any], *, annotation: str = "") -> World:
    records: list[Record] = [
        make_node("n1", cpu_millis=8000),
        make_node("e1", labels={"pool": "elastic"}, cpu_millis=4000),
        make_replicaset(replicas=3, threshold=annotation),
        *(make_pod(f"web-{index}") for index in range(3)),
        make_pod("agent", owner_uid="ds", owner_kind="DaemonSet", cpu_millis=1000),
    ]
    return make_world(records, [resource], clock)


def controller_of(
    world: World,
    planner: Planner | None,
    store: Store | None = None,
    events: FakeRecorder | None = None,
    *,
    workload_series: int = 1000,
) -> ThresholdController:
    return ThresholdController(
        world,
        store or Store(),
        events or FakeRecorder(),
        planner,
        period_seconds=HOUR,
        workload_series=workload_series,
    )


@dataclass(frozen=True)
class ThresholdStatus:
    thresholds: tuple[WorkloadThreshold, ...]
    saving: Saving | None
    owned_nodes_advised: int | None
    conditions: tuple[ObservedCondition, ...]


def status_of(controller: ThresholdController) -> ThresholdStatus:
    part = threshold_part("online", controller.report)
    fields: dict[str, Any] = dict(part.fields)
    return ThresholdStatus(**fields, conditions=part.conditions)


def told(controller: ThresholdController) -> dict[str, str]:
    return {one.type: one.reason for one in status_of(controller).conditions if one.holds}
