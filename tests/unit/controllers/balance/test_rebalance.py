"""The rebalancer, with the real state and catalog, and answers of metrics.k8s.io."""

import asyncio
import threading
from typing import Any

import msgspec
import pytest

from spillway.controllers.balance import move_planner
from spillway.controllers.balance.move_planner import ZonePlan
from spillway.controllers.balance.readings import SHARED_SECONDS
from spillway.domain.balance.arrivals import AGAIN_SECONDS, Arrivals
from spillway.domain.balance.bounds import PERIOD_SECONDS, WORKLOAD_SECONDS
from spillway.domain.balance.hot_nodes import hot_taint
from spillway.domain.balance.load import Loads
from spillway.domain.balance.move_effect import EFFECT_SECONDS
from spillway.domain.balance.moves import MovePlan, plan_moves
from spillway.domain.balance.reading_state import Measure
from spillway.domain.balance.zone_effects import ZoneEffects
from spillway.domain.model.host_ports import HostPort
from spillway.domain.model.names import ZONE_LABEL, NodeName, OwnerUid
from spillway.domain.model.proofs import with_proof
from spillway.domain.model.records import PodRecord, Taint
from spillway.domain.surge.hindrance import Left
from spillway.domain.surge.steps import Purpose, Surge, SurgeOutcome
from spillway.kube.errors import UnreachableError
from spillway.kube.writer import Eviction
from spillway.state.catalog import Kind
from spillway.state.mark_proof import MarkProof
from spillway.telemetry import balance as metrics
from tests.builders import make_namespace, make_node, make_pod, make_replicaset
from tests.support.rebalancing import NODES, SETTLE_SECONDS, START, Scene
from tests.support.world import Record, exact, policy_resource, resource

DEADLOCK_SECONDS = 5.0
"""How long a plan waits for the event loop, which never answers if the plan blocks it."""


async def test_a_dry_run_plans_and_moves_nothing() -> None:
    scene = Scene()
    await scene.later()
    assert scene.planned == ["shop/api-1"]
    assert not scene.evicted
    [event] = scene.events.said
    assert (event.about, event.what) == ("ZonalBalance/even", "Normal MovesPlanned")
    moves = scene.controller.moves("even")
    assert moves is not None
    assert (moves.planned, moves.done, moves.expected_imbalance_percent) == (1, 0, 25)
    assert moves.next == ("shop/api-1: busy (95 % to 70 %) to idle",)
    await scene.later()
    assert len(scene.events.said) == 1


async def test_the_event_loop_runs_while_moves_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    loop_ran, waited = threading.Event(), []

    def slowly(*arguments: Any) -> MovePlan:
        waited.append(loop_ran.wait(DEADLOCK_SECONDS))
        return plan_moves(*arguments)

    monkeypatch.setattr(move_planner, "plan_moves", slowly)
    scene = Scene()
    asyncio.get_running_loop().call_later(0.01, loop_ran.set)
    await scene.later()
    assert waited
    assert all(waited), "a request for admission is not answered meanwhile"
    assert scene.planned == ["shop/api-1"]


async def test_active_evicts_and_waits_until_the_load_shows_it() -> None:
    scene = Scene(mode="Active", by="Evict")
    await scene.later()
    assert scene.evicted == ["api-1"]
    assert [(one.about, one.what) for one in scene.events.said][1:] == [("Deployment/api", "Normal PodMoved")]
    await scene.later(EFFECT_SECONDS - 1.0)
    assert scene.evicted == ["api-1"]


async def test_moves_that_do_not_help_are_tried_again_later_and_not_with_the_same_workload() -> None:
    scene = Scene(mode="Active", by="Evict")
    await scene.later()
    await scene.later(EFFECT_SECONDS)
    assert len(scene.evicted) == 1
    await scene.later(EFFECT_SECONDS)
    assert scene.evicted == ["api-1", "cart-1"]


async def test_moves_that_help_are_followed_by_others() -> None:
    scene = Scene(mode="Active", by="Evict")
    await scene.later()
    await scene.clock.advance(EFFECT_SECONDS)
    scene.load(80.0, 20.0, 60.0)
    await scene.controller.reconcile("even")
    assert len(scene.evicted) == 2


@pytest.mark.parametrize(
    ("to", "loads", "helped"),
    [
        pytest.param("idle", (70.0, 20.0, 99.0), True, id="its node is less loaded, and another one got busy"),
        pytest.param("idle", (95.0, 20.0, 99.0), False, id="its node is as loaded as before"),
        pytest.param("other", (70.0, 20.0, 99.0), False, id="it came to a node that is now as busy"),
        pytest.param("", (70.0, 20.0, 99.0), False, id="it is not known where it came to"),
    ],
)
async def test_a_move_that_relieved_its_node_helped_although_nodes_are_no_more_even(
    to: str, loads: tuple[float, ...], *, helped: bool
) -> None:
    scene = Scene(mode="Active", by="Surge")
    await scene.later()
    assert scene.planned == ["shop/api-1"]
    scene.end(SurgeOutcome.SUCCEEDED, to=to)
    await scene.clock.advance(EFFECT_SECONDS)
    scene.load(*loads)
    await scene.controller.reconcile("even")
    assert bool(scene.in_progress) is helped, "the next moves begin, or wait"


async def test_no_pod_is_planned_to_a_node_to_which_others_have_just_come() -> None:
    scene = Scene(nodes={"idle": {"labels": {ZONE_LABEL: "a"}}})
    owner = make_replicaset("cart").uid
    await scene.clock.advance(SETTLE_SECONDS)
    now = scene.clock.now()
    for index in (3, 4):
        name = f"cart-{index}"
        scene.world.state.apply(
            make_pod(name, node=NodeName("idle"), owner_uid=owner, created=now - 1.0, ready_since=now)
        )
    scene.load(95.0, 20.0, 60.0)
    await scene.controller.reconcile("even")
    plan = scene.controller.plans["even"]
    assert isinstance(plan, MovePlan)
    # Two pods of two cores each come to the idle node, of eight cores.
    assert [(move.target, move.target_percent) for move in plan.moves] == [("other", (60.0, 85.0))]
    assert plan.before == pytest.approx(95.0 - 60.0)


async def test_moves_in_a_minute_are_bounded() -> None:
    scene = Scene(mode="Active", by="Evict", maxMovesPerMinute=1)
    scene.load(150.0, 20.0, 60.0)
    await scene.clock.advance(SETTLE_SECONDS)
    scene.load(150.0, 20.0, 60.0)
    await scene.controller.reconcile("even")
    assert len(scene.planned) == 2
    assert len(scene.evicted) == 1


async def test_a_workload_whose_eviction_is_blocked_is_no_move_and_makes_room_for_others() -> None:
    scene = Scene(mode="Active", by="Evict")
    scene.answer = Eviction.BLOCKED
    await scene.later()
    moves = scene.controller.moves("even")
    assert moves is not None
    assert moves.done == 0
    await scene.later(PERIOD_SECONDS)
    assert scene.evicted == ["api-1", "cart-1"]
    await scene.later(WORKLOAD_SECONDS)
    assert scene.evicted == ["api-1", "cart-1", "api-1"]


async def test_a_surge_is_asked_for_and_nothing_else_until_its_effect_shows() -> None:
    scene = Scene(mode="Active", by="Surge")
    await scene.later()
    assert (scene.planned, scene.evicted) == (["shop/api-1"], [])
    assert scene.in_progress == 1
    await scene.later(30.0)
    assert scene.in_progress == 1
    scene.end(SurgeOutcome.SUCCEEDED)
    moves = scene.controller.moves("even")
    assert moves is not None
    assert (moves.done, moves.in_progress) == (1, 0)
    assert ("Deployment/api", "Normal PodMoved") in [(one.about, one.what) for one in scene.events.said]
    await scene.later(EFFECT_SECONDS - 1.0)
    assert scene.in_progress == 0


@pytest.mark.parametrize("by", ["Evict", "Surge"])
async def test_a_pod_that_came_by_a_move_is_not_moved_again_for_an_hour(by: str) -> None:
    scene = Scene(mode="Active", by=by)
    for app in ("web", "cart"):
        scene.world.state.remove(scene.world.state.pods[make_pod(f"{app}-1").uid])
    await scene.later()
    moved = scene.clock.now()
    if by == "Surge":
        scene.surges.arrivals.note("Deployment/shop/api", moved, moved + 20.0)
        scene.end(SurgeOutcome.SUCCEEDED)
    scene.world.state.remove(scene.world.state.pods[make_pod("api-1").uid])
    # Its successor came to the busy node all the same.
    owner = make_replicaset("api").uid
    successor = make_pod(
        "api-3", node=NodeName("busy"), owner_uid=owner, created=moved + 10.0, ready_since=moved + 20.0
    )
    scene.world.state.apply(successor)
    scene.metrics.names.append("api-3")
    await scene.later(AGAIN_SECONDS - PERIOD_SECONDS, others=30.0)
    moves = scene.controller.moves("even")
    assert moves is not None
    assert (scene.planned, moves.left) == ([], ("Deployment/shop/api: MovedRecently",))
    assert (moves.done, moves.last_day) == (1, 1)
    await scene.later(4 * PERIOD_SECONDS, others=30.0)
    assert scene.planned == ["shop/api-3"]


async def test_a_mark_that_proves_nothing_keeps_no_workload_once_the_keys_are_known() -> None:
    scene = Scene()
    keys = scene.world.membership.proof = MarkProof()
    mark = Surge(2, 1, START, make_pod("api-1").uid, Purpose.REBALANCE, "even").mark
    api = scene.world.state.replicasets[make_replicaset("api").uid]
    # As after the restore of a backup, in which the ReplicaSet had another uid.
    mark = with_proof(mark, keys.of_surge(api.namespace, OwnerUid("before"), mark))
    scene.world.state.apply(msgspec.structs.replace(api, surge=mark))
    await scene.later()
    assert scene.planned == ["shop/cart-1"], "another replica may have written the mark"
    keys.use(b"secret")
    await scene.later()
    assert scene.planned == ["shop/api-1"]


@pytest.mark.parametrize("why", [Left.AUTOSCALER_AT_MAXIMUM, Left.AT_QUOTA, Left.PAUSED, SurgeOutcome.NO_ROOM])
async def test_a_workload_whose_surge_is_given_back_rests_and_its_reason_is_shown(why: Left | SurgeOutcome) -> None:
    scene = Scene(mode="Active", by="Surge")
    await scene.later()
    scene.end(why)
    moves = scene.controller.moves("even")
    assert moves is not None
    assert (moves.done, moves.left) == (0, (f"Deployment/shop/api: {why.value}",))
    assert ("Deployment/api", "Normal MoveLeft") in [(one.about, one.what) for one in scene.events.said]
    await scene.later(PERIOD_SECONDS)
    assert scene.planned == ["shop/cart-1"]
    assert scene.in_progress == 1, "another workload has its turn at once, because no load has to show an effect"


async def test_after_moves_of_which_one_succeeded_all_wait_until_the_load_shows_it() -> None:
    scene = Scene(mode="Active", by="Surge")
    await scene.clock.advance(SETTLE_SECONDS)
    scene.load(150.0, 20.0, 60.0)
    await scene.controller.reconcile("even")
    assert scene.in_progress == 2
    scene.end(SurgeOutcome.SUCCEEDED)
    scene.end(Left.AT_QUOTA)
    await scene.later(PERIOD_SECONDS)
    assert scene.in_progress == 0


async def test_a_workload_with_one_replica_is_moved_by_surge_and_left_by_evict() -> None:
    for by, planned in (("Surge", ["shop/api-1"]), ("Evict", [])):
        scene = Scene(mode="DryRun", by=by, change=_single)
        for app in ("web", "api", "cart"):
            scene.world.state.remove(scene.world.state.pods[make_pod(f"{app}-2").uid])
        await scene.later()
        assert scene.planned == planned, by
    moves = scene.controller.moves("even")
    assert moves is not None
    assert "Deployment/shop/api: SingleReplica" in moves.left


@pytest.mark.parametrize("by", ["Surge", "Evict"])
async def test_a_workload_that_only_its_schedules_scale_is_neither_moved_by_surge_nor_evicted(by: str) -> None:
    scene = Scene(exact(policy_resource()), mode="Active", by=by)
    await scene.later()
    assert (scene.planned, scene.evicted, scene.in_progress) == ([], [], 0)
    moves = scene.controller.moves("even")
    assert moves is not None
    assert "Deployment/shop/api: ExactReplicas" in moves.left


@pytest.mark.parametrize("by", ["Surge", "Evict"])
async def test_nothing_is_moved_while_another_descheduler_runs(by: str) -> None:
    scene = Scene(mode="Active", by=by)
    labels = {"app.kubernetes.io/name": "descheduler"}
    scene.world.state.apply(make_pod("descheduler", labels=labels, owner_uid="", owner_kind="Job"))
    await scene.later()
    assert scene.controller.descheduler == "shop/descheduler"
    assert (scene.planned, scene.evicted, scene.in_progress) == (["shop/api-1"], [], 0)


def _single(record: Record) -> Record:
    return msgspec.structs.replace(record, replicas=1) if hasattr(record, "replicas") else record


def _unready(record: Record) -> Record:
    return msgspec.structs.replace(record, ready=False) if getattr(record, "name", "").endswith("-2") else record


def _young(record: Record) -> Record:
    return msgspec.structs.replace(record, ready_since=START) if hasattr(record, "ready_since") else record


@pytest.mark.parametrize(
    ("more", "change"),
    [
        pytest.param((policy_resource(mode="Recommend"),), None, id="a policy in Recommend"),
        pytest.param((), _single, id="more pods than replicas"),
        pytest.param((), _unready, id="a replica that is not ready"),
        pytest.param(
            (), lambda one: one if not hasattr(one, "surge") else msgspec.structs.replace(one, surge="x"), id="a surge"
        ),
    ],
)
async def test_a_workload_that_is_not_settled_is_left(more: tuple[dict[str, Any], ...], change: Any) -> None:
    scene = Scene(*more, change=change)
    await scene.later()
    assert not scene.planned


async def test_a_workload_that_has_just_changed_and_a_young_pod_are_left() -> None:
    scene = Scene()
    await scene.later(SETTLE_SECONDS - 1.0)
    assert not scene.planned
    young = Scene(change=_young)
    await young.later(SETTLE_SECONDS - 1.0)
    assert not young.planned


@pytest.mark.parametrize(
    "closed",
    [
        {"unschedulable": True},
        {"ready": False},
        {"taints": (hot_taint("even"),)},
        {"taints": (Taint("gpu", "NoSchedule"),)},
    ],
    ids=["cordoned", "not ready", "hot", "tainted"],
)
async def test_a_node_that_takes_no_pods_is_no_target(closed: dict[str, Any]) -> None:
    scene = Scene(nodes={"idle": closed})
    await scene.later()
    assert all(move.target != "idle" for move in scene.controller.plans["even"].moves)


@pytest.mark.parametrize("by", ["Surge", "Evict"])
@pytest.mark.parametrize(
    "taken",
    [{"extended": {"ephemeral-storage": 60}}, {"host_ports": (HostPort(80),)}],
    ids=["ephemeral storage", "host port"],
)
async def test_a_node_of_which_other_pods_have_taken_what_a_pod_needs_is_no_target(
    taken: dict[str, Any], by: str
) -> None:
    scene = Scene(
        mode="Active",
        by=by,
        nodes={name: {"extended": {"ephemeral-storage": 200}, "labels": {ZONE_LABEL: "a"}} for name in NODES},
        change=lambda one: one if not isinstance(one, PodRecord) else msgspec.structs.replace(one, **taken),
    )
    for name in ("idle", "other"):
        more = taken if "host_ports" in taken else {"extended": {"ephemeral-storage": 150}}
        scene.world.state.apply(make_pod(f"db-{name}", node=NodeName(name), owner_uid="", cpu_millis=10, **more))
    await scene.later()
    assert (scene.planned, scene.evicted, scene.in_progress) == ([], [], 0)


LEAVES = (Taint("karpenter.sh/disrupted", "NoSchedule"),)
ELASTIC_POLICY = policy_resource(elastic={"nodeSelector": {"matchLabels": {"pool": "elastic"}}})


@pytest.mark.parametrize(
    ("more", "nodes", "planned"),
    [
        pytest.param((), {"busy": {"taints": LEAVES}}, ["shop/api-2: other (60 % to 35 %) to idle"], id="the busy one"),
        pytest.param((), {"idle": {"taints": LEAVES}}, ["shop/api-1: busy (95 % to 70 %) to other"], id="the idle one"),
        pytest.param(
            (ELASTIC_POLICY,),
            {"idle": {"labels": {ZONE_LABEL: "a", "pool": "elastic"}}},
            ["shop/api-1: busy (95 % to 70 %) to other"],
            id="the idle node is elastic and empty",
        ),
    ],
)
async def test_beside_a_node_autoscaler(more: tuple[dict[str, Any], ...], nodes: Any, planned: list[str]) -> None:
    scene = Scene(*more, nodes=nodes)
    await scene.later()
    moves = scene.controller.moves("even")
    assert moves is not None
    assert list(moves.next) == planned


async def test_without_a_load_or_the_use_of_pods_there_is_no_plan() -> None:
    scene = Scene()
    await scene.later()
    scene.metrics.down = True
    await scene.clock.advance(SHARED_SECONDS)
    await scene.controller.reconcile("even")
    assert not scene.planned
    state = scene.world.board.readings["even", Measure.MOVE_USE]
    assert state.unknown(scene.clock.now(), 180.0) is None, "not for long"
    problem = state.unknown(scene.clock.now() + 180.0, 180.0)
    assert problem is not None
    assert problem.reason == "MetricsUnreachable"
    scene.metrics.down = False
    await scene.controller.reconcile("even")
    assert scene.planned
    assert scene.world.board.readings["even", Measure.MOVE_USE].problem is None
    await scene.clock.advance(181.0)
    await scene.controller.reconcile("even")
    assert not scene.planned


async def test_a_namespace_whose_pods_cannot_be_read_holds_up_no_other() -> None:
    scene = Scene()
    evil = make_replicaset("evil", namespace="evil", replicas=2)
    pods = [
        make_pod(f"evil-{node}", namespace="evil", node=NodeName(node), owner_uid=evil.uid, ready_since=0.0)
        for node in ("busy", "other")
    ]
    records: list[Record] = [make_namespace("evil"), evil, *pods]
    for record in records:
        scene.world.state.apply(record)
    scene.metrics.unreadable = "evil"
    await scene.later()
    assert not scene.planned, "it may have been metrics.k8s.io as a whole"
    await scene.later()
    moves = scene.controller.moves("even")
    assert moves is not None
    assert scene.planned
    assert moves.left == ("Deployment/evil/evil: Unread",)
    assert scene.world.board.readings["even", Measure.MOVE_USE].problem is None


async def test_no_reading_counts_as_good_where_nothing_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    await scene.later()
    scene.metrics.down = True
    await scene.clock.advance(SHARED_SECONDS)
    await scene.controller.reconcile("even")
    bad = scene.world.board.readings["even", Measure.MOVE_USE]
    assert bad.problem is not None
    scene.metrics.down = False

    async def refused(*_: Any) -> None:
        raise UnreachableError("a workload could not be read")

    with monkeypatch.context() as patch:
        patch.setattr(scene.controller._planner, "plan", refused)
        await scene.controller.reconcile("even")
    assert scene.world.board.readings["even", Measure.MOVE_USE] == bad, "another request failed"

    await scene.clock.advance(181.0)
    await scene.controller.reconcile("even")
    assert scene.world.board.readings["even", Measure.MOVE_USE] == bad, "the load of the nodes is not known"


async def test_a_balance_that_plans_no_moves_any_more_has_none() -> None:
    scene = Scene()
    await scene.later()
    scene.world.catalog.replace(Kind.ZONAL_BALANCE, [resource(Kind.ZONAL_BALANCE, "even", version=2)], 60)
    assert await scene.controller.reconcile("even") is None
    assert scene.controller.moves("even") is None
    assert not scene.world.board.readings


def _in_zones(record: Record) -> Record:
    """`busy` is in zone a, `idle` in b and `other` in c; `web` has both replicas in a."""
    name = getattr(record, "name", "")
    if name in NODES:
        return msgspec.structs.replace(record, labels={ZONE_LABEL: "abc"[NODES.index(name)]})
    return msgspec.structs.replace(record, node=NodeName("busy")) if name == "web-2" else record


async def test_uneven_zones_come_first_and_no_effect_on_the_load_is_waited_for() -> None:
    scene = Scene(change=_in_zones, mode="Active", by="Surge")
    await scene.later()
    moves = scene.controller.moves("even")
    assert moves is not None
    assert (moves.next, moves.in_progress) == (("shop/web-1: busy (a, 2 replicas) to idle (b, 0)",), 1)
    [event] = scene.events.said
    assert event.message.startswith("Zones are to be evened to a maxSkew of 1: moves planned: 1, first shop/web-1:")
    await scene.later(PERIOD_SECONDS)
    assert scene.in_progress == 1, "one move of a workload at a time"
    pod = scene.world.state.pods[next(iter(scene.surges._asked.values())).pod]
    scene.end(SurgeOutcome.SUCCEEDED)
    scene.world.state.apply(msgspec.structs.replace(pod, node=NodeName("idle")))
    # Zones are even now, so the load is next, without a wait for what the move did to it.
    await scene.later(PERIOD_SECONDS)
    assert scene.planned == ["shop/api-1"]
    assert scene.in_progress == 1


def _three_in_one_zone(record: Record) -> Record:
    """`busy` and `other` are in zone a, with three replicas of `web`; `idle` is in b."""
    name = getattr(record, "name", "")
    if name in NODES:
        return msgspec.structs.replace(record, labels={ZONE_LABEL: "aba"[NODES.index(name)]})
    return make_replicaset("web", replicas=3) if record == make_replicaset("web", replicas=2) else record


async def _uneven(**rebalance: Any) -> Scene:
    scene = Scene(change=_three_in_one_zone, **rebalance)
    owner = make_replicaset("web").uid
    scene.world.state.apply(make_pod("web-3", node=NodeName("busy"), owner_uid=owner, ready_since=0.0))
    scene.metrics.names.append("web-3")
    for app in ("api", "cart"):
        scene.world.state.remove(make_replicaset(app, replicas=2))
        for index in (1, 2):
            scene.world.state.remove(scene.world.state.pods[make_pod(f"{app}-{index}").uid])
    return scene


@pytest.mark.parametrize("zone", ["a", "b"])
async def test_a_pod_is_not_moved_to_a_zone_in_which_it_may_not_run(zone: str) -> None:
    scene = await _uneven(mode="Active", by="Evict")
    scene.template["nodeSelector"] = {ZONE_LABEL: zone}
    await scene.later()
    plan = scene.controller.plans["even"]
    assert isinstance(plan, ZonePlan) is (zone == "b")
    # A move within its zone, for the load of nodes, is another matter.
    assert [(move.key, move.target) for move in plan.moves] == [("shop/web-1", "idle" if zone == "b" else "other")]
    read = [path for path in scene.workloads.read if path.endswith("/web")]
    assert [path.split("/")[-2] for path in read] == ["deployments", "replicasets"]
    await scene.later(PERIOD_SECONDS)
    assert [path for path in scene.workloads.read if path.endswith("/web")] == read


async def test_a_workload_whose_pods_come_back_to_the_same_zone_is_seldom_moved() -> None:
    scene, moved = await _uneven(mode="Active", by="Evict"), []
    before = metrics.MOVES_WITHOUT_EFFECT.labels("even")._value.get()
    for _ in range(24 * 12):
        # The state does not change: it is as if each pod had come back. The load asks for nothing.
        await scene.clock.advance(SETTLE_SECONDS)
        scene.load(60.0, 60.0, 60.0)
        await scene.controller.reconcile("even")
        moved.append(len(scene.evicted))
    assert 3 <= moved[-1] <= 12
    assert moved[-1] - moved[len(moved) // 2] <= 3, "less and less often"
    assert metrics.MOVES_WITHOUT_EFFECT.labels("even")._value.get() - before >= moved[-1] - 1


async def test_a_workload_whose_zones_are_made_uneven_after_each_move_is_moved_ever_less() -> None:
    scene, moved = await _uneven(mode="Active", by="Evict"), []
    pod = scene.world.state.pods[make_pod("web-1").uid]
    for _ in range(24 * 12):
        await scene.clock.advance(SETTLE_SECONDS)
        scene.load(60.0, 60.0, 60.0)
        before = len(scene.evicted)
        await scene.controller.reconcile("even")
        # The next pod comes to the other zone; once the move was judged, its owner brings it back.
        to = NodeName("busy" if len(scene.evicted) == before else "idle")
        if scene.world.state.pods[pod.uid].node != to:
            scene.world.state.apply(msgspec.structs.replace(pod, node=to, ready_since=scene.clock.now()))
        moved.append(len(scene.evicted))
    assert 3 <= moved[-1] <= 12
    assert moved[-1] - moved[len(moved) // 2] <= 3, "less and less often"


async def test_a_workload_whose_zones_do_not_become_even_delays_no_moves_for_the_load() -> None:
    scene = Scene(change=_in_zones, mode="Active", by="Evict")
    await scene.later()
    assert scene.evicted == ["web-1"]
    await scene.later()
    moves = scene.controller.moves("even")
    assert moves is not None
    assert "Deployment/shop/web: NoEffect" in moves.left
    assert scene.evicted == ["web-1", "api-1"]


async def test_arrivals_of_the_day_before_are_forgotten_in_each_pass() -> None:
    scene = Scene()
    scene.surges.arrivals.note("Deployment/shop/gone", START, START)
    await scene.later(23 * 3600.0)
    assert scene.surges.arrivals != Arrivals()
    await scene.later(3600.0)
    assert scene.surges.arrivals == Arrivals()


async def test_moves_of_a_workload_that_is_gone_are_forgotten() -> None:
    scene = await _uneven(mode="Active", by="Evict")
    await scene.later()
    memory = scene.controller._memories["even"]
    assert memory.zone_effects.pending == {"Deployment/shop/web"}
    scene.world.state.remove(scene.world.state.replicasets[make_replicaset("web").uid])
    await scene.later(PERIOD_SECONDS)
    assert memory.zone_effects == ZoneEffects()


async def test_a_leader_that_starts_while_a_zone_is_down_moves_nothing() -> None:
    scene = Scene(change=_in_zones, nodes={"idle": {"ready": False}}, mode="Active", by="Surge")
    await scene.later()
    moves = scene.controller.moves("even")
    assert moves is not None
    assert (moves.next, moves.left) == ((), ("Zone/b: ZoneDown",))


async def test_a_zone_that_is_down_is_named_while_the_load_is_not_known() -> None:
    scene = Scene(change=_in_zones, nodes={"idle": {"ready": False}}, mode="Active", by="Surge")
    scene.world.board.set_loads("even", Loads({}, scene.clock.now()))
    await scene.controller.reconcile("even")
    moves = scene.controller.moves("even")
    assert moves is not None
    assert moves.left == ("Zone/b: ZoneDown",)


@pytest.mark.parametrize("gone", [False, True], ids=["its nodes are not ready", "its nodes are gone"])
async def test_nothing_is_moved_while_a_zone_is_down_or_has_just_come_back(*, gone: bool) -> None:
    scene = Scene(change=_in_zones, mode="Active", by="Surge")
    await scene.controller.reconcile("even")
    state = scene.world.state
    node = state.nodes[NodeName("idle")]
    if gone:
        state.remove(node)
    else:
        state.apply(msgspec.structs.replace(node, ready=False))
    for _ in range(2):
        await scene.later()
        moves = scene.controller.moves("even")
        assert moves is not None
        assert (moves.next, moves.in_progress, moves.left) == ((), 0, ("Zone/b: ZoneDown",))
    state.apply(node)
    await scene.later(PERIOD_SECONDS)
    await scene.later(SETTLE_SECONDS - 1.0)
    assert scene.in_progress == 0
    await scene.later(1.0)
    assert scene.in_progress == 1


@pytest.mark.parametrize(
    ("by", "spread", "planned"),
    [
        pytest.param("Surge", {"zoneSpread": {}}, 0, id="by surge the pod counts itself"),
        pytest.param("Evict", {"zoneSpread": {}}, 1, id="by eviction it is gone"),
        pytest.param("Surge", {}, 1, id="no spread"),
    ],
)
async def test_a_pod_goes_only_to_a_zone_in_which_its_spread_leaves_it_a_place(
    by: str, spread: dict[str, Any], planned: int
) -> None:
    """With one replica in each of two zones, and none in a third zone, which has no room."""
    scene = Scene(by=by, spec=spread, nodes={"other": {"labels": {ZONE_LABEL: "b"}}})
    scene.world.state.apply(make_node("full", labels={ZONE_LABEL: "c"}, cpu_millis=0))
    await scene.later()
    assert len(scene.planned) == planned


@pytest.mark.parametrize("left", [frozenset[NodeName](), None], ids=["other pods exclude every node", "none matter"])
async def test_a_plan_is_computed_again_for_other_pods_only_a_few_times(
    monkeypatch: pytest.MonkeyPatch, left: frozenset[NodeName] | None
) -> None:
    plans: list[int] = []

    def plan(*arguments: Any, **more: Any) -> MovePlan:
        found = plan_moves(*arguments, **more)
        plans.append(len(found.moves))
        return found

    monkeypatch.setattr(move_planner, "plan_moves", plan)
    monkeypatch.setattr(move_planner, "nodes_left", lambda *_, **__: left)
    monkeypatch.setattr(move_planner, "COMPARED_ROUNDS", 1)
    scene = Scene()
    await scene.later()
    assert len(scene.planned) == (1 if left is None else 0)
    # Another workload would be planned in each further round.
    assert sum(count > 0 for count in plans) <= 3
