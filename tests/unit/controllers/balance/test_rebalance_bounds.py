"""What bounds the moves of the rebalancer: whose pods stay, what is looked at again, and whom a move holds up."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from spillway.controllers.balance import move_planner
from spillway.controllers.balance.workload_looks import LOOK_SECONDS
from spillway.domain.balance.bounds import PERIOD_SECONDS
from spillway.domain.balance.move_effect import EFFECT_SECONDS
from spillway.domain.balance.moves import MovePlan, plan_moves
from spillway.domain.model.names import ZONE_LABEL, NodeName
from spillway.domain.model.records import ReplicaSetRecord
from spillway.domain.surge.steps import Purpose, SurgeOutcome
from spillway.state.catalog import Kind
from spillway.state.cluster import STALE_AFTER_SECONDS
from tests.builders import make_node, make_pod, make_replicaset, make_statefulset
from tests.support.rebalancing import APPS, NODES, SETTLE_SECONDS, Scene
from tests.support.world import Record, policy_resource, resource

BY_CPU = {"load": {"weights": {"cpu": 100, "memory": 0}}}
POOL = {"matchLabels": {"pool": "fixed"}}


def left(scene: Scene) -> tuple[str, ...]:
    moves = scene.controller.moves("even")
    assert moves is not None
    return moves.left


def rebalances(scene: Scene, *, spec: Any = None, **rebalance: Any) -> None:
    """The ZonalBalance has this spec now."""
    changed = resource(Kind.ZONAL_BALANCE, "even", version=2, **{**BY_CPU, "rebalance": rebalance, **(spec or {})})
    scene.world.catalog.replace(Kind.ZONAL_BALANCE, [changed], 60)


# What is looked at again when a move begins


def _one_is_not_ready(scene: Scene) -> None:
    pod = scene.world.state.pods[make_pod("api-2").uid]
    scene.world.state.apply(msgspec.structs.replace(pod, ready=False, ready_since=0.0))


def _scaled_to_one(scene: Scene) -> None:
    state = scene.world.state
    state.apply(msgspec.structs.replace(state.replicasets[make_replicaset("api").uid], replicas=1))
    if pod := state.pods.get(make_pod("api-2").uid):
        state.remove(pod)


def _rolls_out(scene: Scene) -> None:
    newer = msgspec.structs.replace(make_replicaset("api-new", revision=2), owner_uid="deploy-api", owner_name="api")
    scene.world.state.apply(newer)


def _on_a_held_pool(scene: Scene) -> None:
    virtual = {"virtual": "true"}
    held = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector={"matchLabels": virtual}, cordon="Hold")
    scene.world.catalog.replace(Kind.VIRTUAL_NODE_BUDGET, [held], 60)
    scene.world.state.apply(make_node("other", labels=virtual))


def _target_cordoned(scene: Scene) -> None:
    node = scene.world.state.nodes[NodeName("idle")]
    scene.world.state.apply(msgspec.structs.replace(node, unschedulable=True))


CHANGES: dict[str, Callable[[Scene], None]] = {
    "a replica is not ready": _one_is_not_ready,
    "scaled to one replica": _scaled_to_one,
    "a rollout": _rolls_out,
    "a replica on a held pool": _on_a_held_pool,
    "the target is cordoned": _target_cordoned,
    "mode DryRun": lambda scene: rebalances(scene, mode="DryRun", by="Evict"),
    "another way": lambda scene: rebalances(scene, mode="Active", by="Surge"),
    "other nodes": lambda scene: rebalances(scene, mode="Active", by="Evict", spec={"nodeSelector": POOL}),
    "the ZonalBalance is deleted": lambda scene: scene.world.catalog.replace(Kind.ZONAL_BALANCE, [], 60),
    "a policy in Recommend": lambda scene: scene.world.catalog.replace(
        Kind.ELASTIC_POLICY, [policy_resource(mode="Recommend")], 60
    ),
    "the state is stale": lambda scene: scene.clock.forward(STALE_AFTER_SECONDS + 1.0),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_what_changes_while_the_plan_is_computed_counts(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, loop = Scene(mode="Active", by="Evict"), asyncio.get_running_loop()

    def meanwhile(*arguments: Any) -> MovePlan:
        done = threading.Event()
        loop.call_soon_threadsafe(CHANGES[what], scene)
        loop.call_soon_threadsafe(done.set)
        assert done.wait(5.0)
        return plan_moves(*arguments)

    monkeypatch.setattr(move_planner, "plan_moves", meanwhile)
    await scene.later()
    assert scene.planned == ["shop/api-1"]
    assert scene.evicted == []
    moves = scene.controller.moves("even")
    assert moves is not None
    assert moves.done == 0


# Workloads against whose pods their own objects speak


CLAIM = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}


@pytest.mark.parametrize("by", ["Surge", "Evict"])
@pytest.mark.parametrize(
    ("template", "annotations", "reason"),
    [
        ({}, {"karpenter.sh/do-not-disrupt": "true"}, "DoNotDisrupt"),
        ({}, {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}, "DoNotDisrupt"),
        (CLAIM, {}, "Volumes"),
    ],
)
async def test_pods_that_are_to_stay_on_their_node_are_not_moved(
    by: str, template: dict[str, Any], annotations: dict[str, str], reason: str
) -> None:
    scene = Scene(mode="Active", by=by)
    scene.template, scene.annotations = template, annotations
    await scene.later()
    assert (scene.planned, scene.evicted, scene.in_progress) == ([], [], 0)
    assert f"Deployment/shop/api: {reason}" in left(scene)
    read = len(scene.workloads.read)
    await scene.later(2 * LOOK_SECONDS)
    assert len(scene.workloads.read) == read, "a ReplicaSet keeps its template"


@pytest.mark.parametrize("by", ["Surge", "Evict"])
async def test_a_paused_deployment_is_left_until_it_goes_on(by: str) -> None:
    scene = Scene(mode="Active", by=by)
    scene.spec["paused"] = True
    await scene.later()
    assert (scene.evicted, scene.in_progress) == ([], 0)
    assert "Deployment/shop/api: Paused" in left(scene)
    del scene.spec["paused"]
    await scene.later(LOOK_SECONDS)
    assert "Deployment/shop/api: Paused" in left(scene), "what was read counts for a while"
    await scene.later(PERIOD_SECONDS)
    assert scene.evicted == (["api-1"] if by == "Evict" else [])
    assert scene.in_progress == (1 if by == "Surge" else 0)


async def test_what_keeps_a_workload_from_an_additional_replica_does_not_keep_it_from_an_eviction() -> None:
    for by, evicted in (("Surge", []), ("Evict", ["api-1"])):
        scene = Scene(mode="Active", by=by)
        scene.spec["minReadySeconds"] = 901
        await scene.later()
        assert scene.evicted == evicted
        assert ("Deployment/shop/api: CannotSurge" in left(scene)) is (by == "Surge")


@pytest.mark.parametrize("by", ["Surge", "Evict"])
@pytest.mark.parametrize(
    ("node", "more", "named"),
    [
        pytest.param("busy", (), True, id="on a busy node"),
        pytest.param("idle", (), False, id="on another node"),
        pytest.param("busy", (policy_resource(mode="Recommend"),), False, id="a policy that recommends governs it"),
    ],
)
async def test_a_statefulset_with_pods_that_would_be_moved_is_left(
    by: str, node: str, more: tuple[dict[str, Any], ...], *, named: bool
) -> None:
    scene = Scene(*more, mode="Active", by=by)
    for app in APPS:
        scene.world.state.apply(make_replicaset(app, replicas=0))
    db = make_statefulset(replicas=1)
    pod = make_pod("db-0", node=NodeName(node), owner_uid=db.uid, owner_kind="StatefulSet", owner_name="db")
    scene.world.state.apply(db)
    scene.world.state.apply(pod)
    await scene.later()
    assert (scene.planned, scene.evicted, scene.in_progress) == ([], [], 0)
    assert left(scene) == (("StatefulSet/shop/db: CannotSurge",) if named else ())


async def test_the_template_of_a_workload_of_another_kind_is_read_from_its_replicaset() -> None:
    def of_rollouts(record: Record) -> Record:
        if not isinstance(record, ReplicaSetRecord):
            return record
        return msgspec.structs.replace(record, owner_kind="Rollout", owner_api_version="argoproj.io/v1alpha1")

    scene = Scene(mode="Active", by="Evict", change=of_rollouts)
    scene.annotations["karpenter.sh/do-not-disrupt"] = "true"
    await scene.later()
    assert (scene.planned, scene.evicted) == ([], [])
    assert "Rollout/shop/api: DoNotDisrupt" in left(scene)
    assert "/apis/apps/v1/namespaces/shop/replicasets/api" in scene.workloads.read


async def test_a_replicaset_that_went_while_its_pods_remain_costs_one_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(mode="Active", by="Evict")
    plans: list[MovePlan] = []

    def gone(*arguments: Any) -> MovePlan:
        if not plans:
            scene.world.state.remove(make_replicaset("api"))
        plans.append(plan_moves(*arguments))
        return plans[-1]

    monkeypatch.setattr(move_planner, "plan_moves", gone)
    await scene.later()
    assert scene.evicted == []
    assert len(plans) == 1


# Zones


def _of_zones(zones: str) -> Callable[[Record], Record]:
    """The three nodes are in these zones and have the label of a pool; each workload asks for four replicas."""

    def change(record: Record) -> Record:
        name = getattr(record, "name", "")
        if name in NODES:
            labels = {ZONE_LABEL: zones[NODES.index(name)], "pool": "fixed"}
            return msgspec.structs.replace(record, labels=labels)
        if isinstance(record, ReplicaSetRecord):
            return msgspec.structs.replace(record, replicas=4)
        return record

    return change


@pytest.mark.parametrize("spec", [{}, {"nodeSelector": POOL}], ids=["not measured", "not selected"])
async def test_replicas_on_nodes_that_are_not_measured_or_not_selected_count_in_their_zones(
    spec: dict[str, Any],
) -> None:
    scene = Scene(spec=spec, change=_of_zones("aba"), mode="Active", by="Evict")
    scene.world.state.apply(make_node("more", labels={ZONE_LABEL: "b"}))
    for app in APPS:
        for index in (3, 4):
            owner = make_replicaset(app).uid
            pod = make_pod(f"{app}-{index}", node=NodeName("more"), owner_uid=owner, ready_since=0.0)
            scene.world.state.apply(pod)
    await scene.clock.advance(SETTLE_SECONDS)
    scene.load(60.0, 60.0, 60.0)
    await scene.controller.reconcile("even")
    assert (scene.planned, scene.evicted, left(scene)) == ([], [], ()), "two in each zone"


async def test_what_a_move_for_zones_did_is_judged_by_all_nodes() -> None:
    scene = Scene(change=_of_zones("aba"), mode="Active", by="Evict")
    state, owner = scene.world.state, make_replicaset("web").uid
    for app in ("api", "cart"):
        state.remove(make_replicaset(app))
    state.apply(make_node("more", labels={ZONE_LABEL: "b"}))
    for index in (3, 4):
        state.apply(make_pod(f"web-{index}", node=NodeName("busy"), owner_uid=owner, ready_since=0.0))
        scene.metrics.names.append(f"web-{index}")
    await scene.clock.advance(SETTLE_SECONDS)
    scene.load(60.0, 60.0, 60.0)
    await scene.controller.reconcile("even")
    [name] = scene.evicted
    # Its successor comes to a node that is not measured.
    state.remove(state.pods[make_pod(name).uid])
    state.apply(make_pod("web-5", node=NodeName("more"), owner_uid=owner, ready_since=scene.clock.now()))
    await scene.clock.advance(SETTLE_SECONDS)
    scene.load(60.0, 60.0, 60.0)
    await scene.controller.reconcile("even")
    assert "Deployment/shop/web: NoEffect" not in left(scene)


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        pytest.param({"zoneKey": "rack"}, {"rack": "r"}, id="another label for zones"),
        pytest.param({"nodeSelector": POOL}, {}, id="fewer nodes"),
    ],
)
async def test_zones_that_a_changed_spec_leaves_out_are_not_down(spec: dict[str, Any], labels: dict[str, str]) -> None:
    def change(record: Record) -> Record:
        if (name := getattr(record, "name", "")) not in NODES:
            return record
        zones = {ZONE_LABEL: "b"} if name == "other" else {ZONE_LABEL: "a", "pool": "fixed"}
        return msgspec.structs.replace(record, labels=zones | labels)

    scene = Scene(change=change)
    await scene.later()
    rebalances(scene, spec=spec, mode="DryRun")
    await scene.later()
    assert not [line for line in left(scene) if line.startswith("Zone/")]
    assert scene.planned


# A move that takes long


async def test_a_move_that_takes_long_holds_up_only_its_own_workload() -> None:
    scene = Scene(mode="Active", by="Surge")
    await scene.later()
    assert scene.in_progress == 1
    await scene.later(EFFECT_SECONDS - 1.0)
    assert scene.in_progress == 1, "the load is about to change"
    await scene.later(1.0)
    assert scene.in_progress == 2
    owners = [request.owner for request in scene.surges._asked.values()]
    assert len(set(owners)) == 2


async def test_moves_that_take_long_count_in_those_of_a_minute_and_one_more_is_always_allowed() -> None:
    scene = Scene(mode="Active", by="Surge", maxMovesPerMinute=1)
    await scene.later()
    await scene.later(EFFECT_SECONDS)
    assert scene.in_progress == 2


async def test_a_move_that_took_long_and_ends_counts_for_its_own_reason() -> None:
    scene = Scene(mode="Active", by="Surge")
    await scene.later()
    await scene.later(EFFECT_SECONDS)
    scene.end(SurgeOutcome.SUCCEEDED)
    memory = scene.controller._memories["even"]
    assert not next(iter(memory.effects.values())).judged, "the load has to show it"


def _zones_differ(scene: Scene) -> None:
    state = scene.world.state
    for name, zone in zip(NODES, "aba", strict=True):
        state.apply(msgspec.structs.replace(state.nodes[NodeName(name)], labels={ZONE_LABEL: zone}))


async def test_moves_for_zones_wait_for_no_other_workload_and_two_leave_a_node_at_once() -> None:
    scene = Scene(mode="Active", by="Surge")
    await scene.later()
    assert scene.in_progress == 1
    _zones_differ(scene)
    await scene.later(PERIOD_SECONDS)
    await scene.later(PERIOD_SECONDS)
    assert scene.in_progress == 2, "all replicas that may be moved are on one node"
    scene.end(SurgeOutcome.NO_ROOM)
    await scene.later(PERIOD_SECONDS)
    assert scene.in_progress == 2


async def test_moves_from_a_node_that_take_long_hold_up_only_their_own_workloads() -> None:
    scene = Scene(mode="Active", by="Surge")
    await scene.later()
    _zones_differ(scene)
    await scene.later(PERIOD_SECONDS)
    assert scene.in_progress == 2
    await scene.later(EFFECT_SECONDS)
    workloads = set(scene.surges.going(Purpose.REBALANCE, "even"))
    assert workloads == {f"Deployment/shop/{app}" for app in APPS}


async def test_moves_go_on_after_the_clock_was_set_back() -> None:
    scene = Scene(mode="Active", by="Evict")
    await scene.later()
    assert len(scene.evicted) == 1
    scene.clock.forward(-3600.0)
    await scene.later(PERIOD_SECONDS)
    assert len(scene.evicted) == 1, "the move before did not help"
    await scene.later(EFFECT_SECONDS)
    assert len(scene.evicted) == 2
