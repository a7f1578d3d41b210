"""When thresholds are planned, what is published, and what a failure leaves standing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from spillway.api.elasticpolicy import Saving, WorkloadThreshold
from spillway.controllers.base import World
from spillway.controllers.status.part import ObservedCondition
from spillway.controllers.threshold.controller import ThresholdController, fingerprint_of
from spillway.controllers.threshold.process import PlanFailedError
from spillway.controllers.threshold.status import not_planned, threshold_part
from spillway.domain.model.names import THRESHOLD, NodeName
from spillway.domain.threshold.request import Plan, PlannedPolicy, PlannedWorkload, PlanRequest, Stance
from spillway.state.catalog import Kind
from spillway.telemetry import threshold as metrics
from spillway.telemetry.registry import exposition
from tests.builders import make_node, make_pod, make_replicaset, make_statefulset
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
        self.kept = False
        self.excess = 0.0
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
                    saving_per_hour=5.4,
                    saving_per_hour_against_virtual=-1.2,
                    problem=self.problem,
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

    async def save(self, plan: Plan) -> None:
        self.saved.append(plan)


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


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def planner(clock: FakeClock) -> Planner:
    return Planner(clock)


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
    world: World, planner: Planner | None, store: Store | None = None, events: FakeRecorder | None = None
) -> ThresholdController:
    return ThresholdController(world, store or Store(), events or FakeRecorder(), planner, period_seconds=HOUR)


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


async def test_planned_published_kept_and_told(clock: FakeClock, planner: Planner) -> None:
    world, store, events = world_of(clock, policy()), Store(), FakeRecorder()
    controller = controller_of(world, planner, store, events)

    assert await controller.reconcile("plan") == HOUR
    await controller.reconcile("look")

    assert world.board.thresholds == {WEB: 2}
    assert store.saved[0].thresholds() == {WEB: 2}
    assert [said[:2] for said in events.said] == [("ElasticPolicy/online", "Normal ThresholdsPlanned")]
    status = status_of(controller)
    assert status.thresholds == (
        WorkloadThreshold(
            workload=WEB,
            replicas=2,
            reason="Auto",
            confidence=90,
            saving_per_hour="5.40",
            saving_per_hour_against_virtual="-1.20",
        ),
    )
    assert status.owned_nodes_advised == 3
    assert status.saving == Saving(per_hour="5.40", per_hour_against_virtual="-0.25", currency="CNY")
    assert not told(controller)
    assert b'spillway_workload_replicas{namespace="shop",kind="Deployment",workload="web"} 3\n' in (
        metrics.WORKLOAD_REPLICAS.text
    )
    assert b'workload="web",reason="Auto"} 2\n' in metrics.THRESHOLD.text
    assert b'workload="web",against="owned"} 5.4\n' in metrics.WORKLOAD_SAVING.text
    assert b'workload="web",against="virtual"} -1.2\n' in metrics.WORKLOAD_SAVING.text


async def test_the_request_counts_what_is_owned_and_who_is_not_ours(clock: FakeClock, planner: Planner) -> None:
    await controller_of(world_of(clock, policy()), planner).reconcile("plan")

    [request] = planner.requests
    # 8 cores, of which a DaemonSet's pod requests one; the elastic node is not owned.
    assert (request.capacity_cores, request.node_cores) == (7.0, 8.0)
    assert (request.capacity_gib, request.node_gib) == (31.0, 32.0)
    assert request.policies[0].elastic_cores == 4.0
    [web] = request.workloads
    assert (web.workload, web.stance, web.replicas, web.request_cores, web.load) == (WEB, "Auto", 3, 0.5, 0.65)


async def test_a_workload_that_sleeps_is_planned_with_what_its_replicas_requested(
    clock: FakeClock, planner: Planner
) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, planner)
    await controller.reconcile("plan")
    for index in range(3):
        world.state.remove(make_pod(f"web-{index}"))
    for _ in range(2):
        await clock.advance(HOUR)
        await controller.reconcile("plan")

    assert [(one.workloads[0].request_cores, one.workloads[0].request_gib) for one in planner.requests] == [
        (0.5, 1.0)
    ] * 3


async def test_a_workload_that_is_awake_between_plans_alone_is_known_all_the_same(
    clock: FakeClock, planner: Planner
) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, planner)
    await controller.reconcile("look")
    for index in range(3):
        world.state.remove(make_pod(f"web-{index}"))
    await controller.reconcile("look")
    await controller.reconcile("plan")

    assert [planner.requests[0].workloads[0].request_cores] == [0.5]


@pytest.mark.parametrize(
    ("more", "annotation", "stance", "pinned"),
    [
        pytest.param({}, "", Stance.AUTO, 0, id="auto"),
        pytest.param({}, "7", Stance.PINNED, 7, id="annotation"),
        pytest.param({}, "many", Stance.AUTO, 0, id="a bad annotation is none"),
        pytest.param({"placement": {"virtual": "Never"}}, "7", Stance.PHYSICAL, 0, id="never"),
        pytest.param({"placement": {"virtual": "Always"}}, "", Stance.VIRTUAL, 0, id="always"),
    ],
)
async def test_how_a_workload_takes_part(  # noqa: PLR0917
    clock: FakeClock, planner: Planner, more: dict[str, Any], annotation: str, stance: Stance, pinned: int
) -> None:
    await controller_of(world_of(clock, policy(**more), annotation=annotation), planner).reconcile("plan")

    [need] = planner.requests[0].workloads
    assert (need.stance, need.pinned) == (stance, pinned)


async def test_demand_by_query_and_load_by_utilization(clock: FakeClock, planner: Planner) -> None:
    by_query = {"target": {"query": 'sum(rps{app="$(workload)",ns="$(namespace)"})', "perReplica": "200"}}
    by_cpu = {"target": {"metric": "cpu", "utilization": 60}}
    await controller_of(world_of(clock, policy(scaling=by_query)), planner).reconcile("plan")
    await controller_of(world_of(clock, policy(scaling=by_cpu)), planner).reconcile("plan")

    first, second = (request.workloads[0] for request in planner.requests)
    assert (first.query, first.per_replica, first.load) == ('sum(rps{app="web",ns="shop"})', 200.0, 0.65)
    assert (second.query, second.load) == ("", 0.6)


async def test_a_history_too_short_to_plan_from_is_read_for_as_long_as_it_takes(
    clock: FakeClock, planner: Planner
) -> None:
    await controller_of(world_of(clock, policy(threshold={"mode": "Auto", "history": "1d"})), planner).reconcile("plan")

    assert planner.requests[0].workloads[0].history_seconds == 2 * 86_400


async def test_at_most_once_a_period_unless_the_policies_change(clock: FakeClock, planner: Planner) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, planner)
    await controller.reconcile("plan")
    await clock.advance(HOUR / 2)
    assert await controller.reconcile("plan") == HOUR / 2
    assert len(planner.requests) == 1

    world.catalog.upsert("ElasticPolicy", policy(threshold={"mode": "Auto", "max": 5}, version=2))
    assert await controller.reconcile("plan") == HOUR
    await clock.advance(HOUR)
    await controller.reconcile("plan")
    assert len(planner.requests) == 3
    assert planner.requests[1].previous == {WEB: 2}


async def test_a_change_that_does_not_matter_asks_for_no_plan(clock: FakeClock) -> None:
    before = fingerprint_of(world_of(clock, policy()))

    assert before
    assert fingerprint_of(world_of(clock, policy(mode="Recommend"))) == before
    schedules = [{"name": "evening", "start": "0 18 * * *", "duration": "1h", "replicas": 4}]
    assert fingerprint_of(world_of(clock, policy(scaling={"schedules": schedules}))) == before
    assert fingerprint_of(world_of(clock, policy(threshold={"priority": 5}))) != before
    assert not fingerprint_of(world_of(clock, policy(threshold={"mode": "Manual", "replicas": 3})))


async def test_a_lost_prometheus_leaves_the_last_plan_and_says_so(clock: FakeClock, planner: Planner) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, planner)
    await controller.reconcile("plan")
    await controller.reconcile("look")
    await clock.advance(HOUR)
    planner.trouble = "PrometheusUnreachable"

    pauses = [await controller.reconcile("plan") for _ in range(7)]

    assert pauses == [30, 60, 120, 240, 480, 900, 900]
    assert world.board.thresholds == {WEB: 2}
    assert told(controller) == {"StalePlan": "PrometheusUnreachable"}
    [stale] = [one for one in status_of(controller).conditions if one.type == "StalePlan"]
    assert "1970-01-01T00:16:40Z stays in force" in stale.message

    planner.trouble = ""
    await controller.reconcile("plan")
    assert not told(controller)


async def test_a_new_leader_begins_with_the_kept_plan(clock: FakeClock, planner: Planner) -> None:
    store = Store()
    await controller_of(world_of(clock, policy()), planner, store).reconcile("plan")
    await clock.advance(600)

    world = world_of(clock, policy())
    heir = controller_of(world, planner, Store(store.saved[0]))
    assert not world.board.thresholds_read.is_set()
    assert await heir.reconcile("plan") == HOUR - 600
    assert world.board.thresholds_read.is_set()
    assert world.board.thresholds == {WEB: 2}
    assert len(planner.requests) == 1


async def test_elastic_nodes_count_for_a_day_after_they_are_gone_also_for_a_new_leader(
    clock: FakeClock, planner: Planner
) -> None:
    world, store = world_of(clock, policy()), Store()
    controller = controller_of(world, planner, store)
    await controller.reconcile("plan")
    world.state.remove(world.state.nodes[NodeName("e1")])
    await clock.advance(12 * HOUR)
    await controller.reconcile("plan")
    heir = controller_of(world, planner, Store(store.saved[-1]))
    for hours in (11, 2):
        await clock.advance(hours * HOUR)
        await heir.reconcile("plan")

    assert [one.policies[0].elastic_cores for one in planner.requests] == [4.0, 4.0, 4.0, 0.0]


async def test_without_prometheus_or_history_everything_is_physical_and_the_status_says_why(
    clock: FakeClock, planner: Planner
) -> None:
    without = controller_of(world_of(clock, policy()), None)
    assert await without.reconcile("plan") is None
    await without.reconcile("look")
    assert told(without) == {"Learning": "NoPrometheus"}
    assert without.world.board.thresholds == {}

    planner.keep = None
    young = controller_of(world_of(clock, policy()), planner)
    await young.reconcile("plan")
    await young.reconcile("look")
    assert told(young) == {"Learning": "LearningHistory"}
    assert status_of(young).thresholds == (WorkloadThreshold(workload=WEB, reason="LearningHistory"),)


async def test_a_query_that_is_refused_is_told_with_what_prometheus_said(clock: FakeClock, planner: Planner) -> None:
    planner.keep, planner.problem = None, "bad_data: unclosed left brace"
    controller = controller_of(world_of(clock, policy()), planner)
    await controller.reconcile("plan")
    await controller.reconcile("look")

    assert told(controller) == {"Learning": "QueryRefused"}
    [message] = [one.message for one in status_of(controller).conditions if one.holds]
    assert f"The query of {WEB} is refused: bad_data: unclosed left brace" in message


@pytest.mark.parametrize(("problem", "reason"), [("", "HistoryLost"), ("bad_data: no", "QueryRefused")])
async def test_a_threshold_that_outlived_its_history_is_told(
    clock: FakeClock, planner: Planner, problem: str, reason: str
) -> None:
    planner.kept, planner.problem = True, problem
    controller = controller_of(world_of(clock, policy()), planner)
    await controller.reconcile("plan")
    await controller.reconcile("look")

    assert told(controller) == {"StalePlan": reason}
    [message] = [one.message for one in status_of(controller).conditions if one.holds]
    assert message.startswith(f"{WEB} has less than 2 days of history now")
    assert problem in message
    assert [one.replicas for one in status_of(controller).thresholds] == [2]


async def test_minima_above_the_target_are_told(clock: FakeClock, planner: Planner) -> None:
    planner.excess = 5.5
    controller = controller_of(world_of(clock, policy()), planner)
    await controller.reconcile("plan")
    await controller.reconcile("look")

    assert told(controller) == {"OverTarget": "MinimaExceedTarget"}
    [message] = [one.message for one in status_of(controller).conditions if one.holds]
    assert "is 5.5 cores more than the 4.55 that the target allows" in message
    assert b'spillway_threshold_owned_cores{what="excess"} 5.5\n' in exposition()


async def test_a_bad_annotation_that_stands_is_told_once(clock: FakeClock, planner: Planner) -> None:
    events = FakeRecorder()
    controller = controller_of(world_of(clock, policy(), annotation="many"), planner, events=events)
    await controller.reconcile("plan")
    await controller.reconcile("look")
    await controller.reconcile("look")

    bad = [(about, message) for about, what, message in events.said if what == "Warning InvalidThreshold"]
    assert [about for about, _ in bad] == ["Deployment/web"]
    assert THRESHOLD in bad[0][1]
    assert told(controller) == {"InvalidThreshold": "BadAnnotation"}


async def test_no_class_of_mode_auto_asks_for_nothing_and_withdraws(clock: FakeClock, planner: Planner) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, planner)
    await controller.reconcile("plan")
    world.catalog.upsert("ElasticPolicy", policy(threshold={"mode": "Manual", "replicas": 4}, version=2))
    assert await controller.reconcile("plan") is None
    await controller.reconcile("look")

    assert world.board.thresholds == {}
    assert [(one.workload, one.replicas, one.reason) for one in status_of(controller).thresholds] == [
        (WEB, 4, "Manual")
    ]
    assert len(planner.requests) == 1


async def test_the_list_is_bounded_to_the_largest(clock: FakeClock, planner: Planner) -> None:
    world = world_of(clock, policy())
    for index in range(80):
        world.state.apply(make_replicaset(f"w{index:02}", replicas=index, owner_uid=f"d-{index}"))
    controller = controller_of(world, planner)
    await controller.reconcile("plan")
    await controller.reconcile("look")

    names = [one.workload for one in status_of(controller).thresholds]
    assert len(names) == 64
    assert "Deployment/shop/w79" in names
    assert "Deployment/shop/w03" not in names


@pytest.mark.parametrize(
    ("more", "workloads", "named"),
    [
        pytest.param({}, ["StatefulSet/shop/db", "CloneSet/shop/game", WEB], True, id="any kind"),
        pytest.param({"match": {"kinds": ["StatefulSet"]}}, ["StatefulSet/shop/db"], True, id="that kind"),
        pytest.param({"match": {"kinds": ["Deployment"]}}, ["StatefulSet/shop/db"], False, id="another kind"),
        pytest.param({}, [WEB, "Rollout/shop/r", "Job/shop/j", "CronJob/shop/c"], False, id="planned, or no service"),
    ],
)
async def test_auto_for_a_kind_without_replicasets_is_told_as_void(
    clock: FakeClock, planner: Planner, more: dict[str, Any], workloads: list[str], *, named: bool
) -> None:
    world = world_of(clock, policy(**more))
    controller = controller_of(world, planner)
    await controller.reconcile("plan")
    await controller.reconcile("look")
    model = world.governance.policies["online"]

    found = not_planned(model, workloads, controller.report)

    assert found.holds == named
    assert ("StatefulSet/shop/db" in found.message) == named
    assert WEB not in found.message
    assert found in threshold_part("online", controller.report, found).conditions


async def test_the_status_lists_statefulsets_with_their_own_number(clock: FakeClock, planner: Planner) -> None:
    world = world_of(clock, policy())
    world.state.apply(make_statefulset("db", threshold="1"))
    world.state.apply(make_statefulset("queue"))
    world.state.apply(make_statefulset("bad", threshold="many"))
    controller = controller_of(world, planner)
    await controller.reconcile("look")

    part = threshold_part("online", controller.report)
    thresholds: Any = part.fields["thresholds"]
    listed = {one.workload: (one.replicas, one.reason) for one in thresholds}
    assert listed["StatefulSet/shop/db"] == (1, "Annotation")
    assert listed["StatefulSet/shop/queue"] == (None, "NotPlanned")
    [invalid] = [one for one in part.conditions if one.type == "InvalidThreshold"]
    assert invalid.holds
    assert "StatefulSet/shop/bad" in invalid.message
    void = not_planned(
        world.governance.policies["online"], ["StatefulSet/shop/db", "StatefulSet/shop/queue"], controller.report
    )
    assert "StatefulSet/shop/queue" in void.message
    assert "StatefulSet/shop/db" not in void.message, "it has a number"
