"""What the upkeep of deletion costs plans, and when it leaves a workload alone."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from spillway.controllers.base import World
from spillway.controllers.scale_down.deletion_cost import DeletionCostController
from spillway.domain.model.names import COST_WRITTEN, POD_DELETION_COST, POLICY, POOL, TIER, NodeName, OwnerUid, PodUid
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.scale_down.marking import depth_for
from tests.builders import make_namespace, make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_writer import FakeWriter, Respond, Write
from tests.support.world import ELASTIC, make_world, policy_resource, team_policy

Changes = dict[str, dict[str, str | None]]


def following(world: World, then: Callable[[], object] = lambda: None) -> Respond:
    """Apply to the state what is written, as the watch would, and then let something else happen."""

    async def respond(write: Write) -> bool:
        assert write.pod is not None
        world.state.apply(with_marks(write.pod, write.body))
        then()
        return True

    return respond


def with_marks(pod: PodRecord, annotations: Any) -> PodRecord:
    changes: dict[str, Any] = {}
    names = {POLICY: "policy", TIER: "tier", POOL: "pool"}
    for key, value in annotations.items():
        if key == POD_DELETION_COST:
            changes["deletion_cost"] = int(value)
        elif key == COST_WRITTEN:
            changes["cost_written"] = int(value)
        else:
            changes[names[key]] = value or ""
    return msgspec.structs.replace(pod, **changes)


NODES = [
    make_node("n1", labels={"topology.kubernetes.io/zone": "a"}),
    make_node("n2", labels={"topology.kubernetes.io/zone": "b"}),
    make_node("e1", labels={"pool": "elastic", "topology.kubernetes.io/zone": "a"}),
]


def bare(*nodes: str) -> list[PodRecord]:
    return [make_pod(f"web-{i}", node=NodeName(node), created=float(i)) for i, node in enumerate(nodes)]


def world_of(*records: Any, mode: str = "Enforce", replicas: int = 3, clock: FakeClock | None = None) -> World:
    resources = [policy_resource(mode=mode, elastic=ELASTIC)]
    return make_world([*NODES, make_replicaset(replicas=replicas), *records], resources, clock or FakeClock())


def controller_of(world: World) -> tuple[DeletionCostController, FakeWriter]:
    writer = FakeWriter(following(world))
    return DeletionCostController(world, writer, settle_seconds=20.0), writer


def planned(world: World) -> Changes:
    controller, _ = controller_of(world)
    replicaset = world.state.replicasets[OwnerUid("rs-web")]
    claim = world.claim_of(replicaset)
    assert claim is not None
    changes = controller.plan(replicaset, claim)
    return {world.state.pods[uid].name: dict(annotations) for uid, annotations in changes.items()}


def test_pods_without_marks_get_all_of_them() -> None:
    changes = planned(world_of(*bare("n1", "n2", "e1")))
    assert set(changes) == {"web-0", "web-1", "web-2"}
    assert changes["web-2"][TIER] == "elastic"
    assert changes["web-0"][POLICY] == "online"
    for annotations in changes.values():
        assert annotations[POD_DELETION_COST] == annotations[COST_WRITTEN]
    order = sorted(changes, key=lambda name: int(changes[name][POD_DELETION_COST] or 0))
    assert order[0] == "web-2"
    assert list(changes) == order, "the next victim is written first"


async def test_at_rest_there_is_nothing_to_write() -> None:
    world = world_of(*bare("n1", "n2", "e1"))
    controller, writer = controller_of(world)
    await controller.reconcile("rs-web")
    assert len(writer.names) == 3
    assert planned(world) == {}


def test_a_pod_whose_node_changed_tier_is_repaired() -> None:
    pods = bare("n1", "n2", "e1")
    marked = [with_marks(pod, {POLICY: "online", TIER: "fixed"}) for pod in pods]
    changes = planned(world_of(*marked))
    assert changes["web-2"][TIER] == "elastic"
    assert TIER not in changes.get("web-0", {})


@pytest.mark.parametrize(
    ("records", "replicas"),
    [
        pytest.param(
            [*bare("n1", "n2"), make_pod("web-9", node=NodeName("e1"), deletion_cost=5)],
            3,
            id="another client writes costs",
        ),
        pytest.param(bare("n1", "n2", "e1"), 2, id="a scale-down is under way"),
        pytest.param([], 3, id="no pods"),
    ],
)
def test_left_alone(records: list[Any], replicas: int) -> None:
    assert planned(world_of(*records, replicas=replicas)) == {}


def successor(**changes: Any) -> ReplicaSetRecord:
    return make_replicaset("web-new", owner_uid=OwnerUid("deploy-web"), owner_name="web", revision=2, **changes)


def of_successor(**changes: Any) -> PodRecord:
    return make_pod("web-new-1", owner_uid=OwnerUid("rs-web-new"), node=NodeName("n1"), **changes)


async def test_an_old_replicaset_is_left_alone_until_the_rollout_stands_still() -> None:
    clock = FakeClock()
    world = world_of(*bare("n1", "n2", "e1"), clock=clock)
    controller, writer = controller_of(world)
    world.state.apply(successor())
    assert await controller.reconcile("rs-web") == pytest.approx(600)
    await clock.advance(500)
    world.state.apply(of_successor(created=1490.0, ready_since=1500.0))
    world.state.mark_synced()
    assert await controller.reconcile("rs-web") == pytest.approx(600)
    assert writer.names == []
    await clock.advance(600)
    world.state.mark_synced()
    assert await controller.reconcile("rs-web") is None
    assert sorted(writer.names) == ["web-0", "web-1", "web-2"]


async def test_an_aborted_canary_gives_the_stable_replicaset_back_at_once() -> None:
    world = world_of(*bare("n1", "n2", "e1"))
    controller, writer = controller_of(world)
    list(controller.subscribe())
    world.state.apply(successor())
    assert (await controller.reconcile("rs-web") or 0) > 20
    world.state.apply(successor(replicas=0))
    assert await controller.reconcile("rs-web") == pytest.approx(20), "it has been stirred and settles"
    assert writer.names == []


async def test_somebodys_cost_that_is_taken_off_is_written_again() -> None:
    pods = [
        with_marks(pod, {POLICY: "online", TIER: tier, POD_DELETION_COST: str(-index), COST_WRITTEN: str(-index)})
        for index, (pod, tier) in enumerate(zip(bare("n1", "n2"), ("fixed", "fixed"), strict=True))
    ]
    world = world_of(*pods, replicas=2)
    controller, writer = controller_of(world)
    await controller.reconcile("rs-web")
    writer.writes.clear()
    own = world.state.pods[pods[0].uid]
    world.state.apply(msgspec.structs.replace(own, deletion_cost=1000))
    await controller.reconcile("rs-web")
    assert writer.names == []
    world.state.apply(msgspec.structs.replace(own, deletion_cost=None))
    await controller.reconcile("rs-web")
    assert writer.names == ["web-0"]
    again = world.state.pods[own.uid]
    assert again.deletion_cost == again.cost_written is not None


async def test_recommend_writes_nothing() -> None:
    world = world_of(*bare("n1", "n2", "e1"), mode="Recommend")
    controller, writer = controller_of(world)
    await controller.reconcile("rs-web")
    assert writer.names == []


async def test_writing_ends_when_somebody_scales_meanwhile() -> None:
    world = world_of(*bare("n1", "n2", "e1"))

    writer = FakeWriter(following(world, lambda: world.state.apply(make_replicaset(replicas=1))))
    controller = DeletionCostController(world, writer, settle_seconds=20.0)
    await controller.reconcile("rs-web")
    assert len(writer.names) == 1


async def test_writing_ends_when_admission_writes_meanwhile() -> None:
    world = world_of(*bare("n1", "n2", "e1"))

    def overtake() -> None:
        other = world.state.pods[PodUid("uid-web-0")]
        world.state.apply(with_marks(other, {POD_DELETION_COST: "-9", COST_WRITTEN: "-9"}))

    writer = FakeWriter(following(world, overtake))
    controller = DeletionCostController(world, writer, settle_seconds=20.0)
    await controller.reconcile("rs-web")
    assert writer.names == ["web-2"]


async def test_a_workload_on_the_move_waits_until_it_is_still_but_not_for_ever() -> None:
    clock = FakeClock()
    world = world_of(*bare("n1", "n2", "e1"), clock=clock)
    controller, writer = controller_of(world)
    list(controller.subscribe())
    waits = []
    for step in range(12):
        world.state.apply(make_pod(f"extra-{step}", node=NodeName("n1")))
        await clock.advance(10)
        world.state.mark_synced()
        waits.append(await controller.reconcile("rs-web"))
        if writer.names or waits[-1] is None:
            break
    assert waits[0] == pytest.approx(10)
    assert waits[-1] is None
    assert len(waits) == 10, "after five settling times it is looked at all the same"


@pytest.mark.parametrize(("replicas", "depth"), [(1, 2), (4, 2), (9, 3), (40, 10), (10_000, 64)])
def test_depth(replicas: int, depth: int) -> None:
    assert depth_for(replicas) == depth


async def test_pods_get_their_cost_once_their_namespace_is_selected() -> None:
    clock = FakeClock()
    world = make_world([make_node(), make_replicaset(replicas=1), make_pod()], [team_policy()], clock)
    controller = DeletionCostController(world, writer := FakeWriter(), settle_seconds=20.0)
    list(controller.subscribe())
    await controller.reconcile("rs-web")
    assert writer.names == []
    world.state.apply(make_namespace(team="a"))
    wait = await controller.reconcile("rs-web")
    assert wait == 20.0, "not before it was still for a while"
    await clock.advance(wait)
    await controller.reconcile("rs-web")
    assert writer.names == ["web-1"]


async def test_nothing_is_kept_of_replicasets_that_are_gone() -> None:
    """Every rollout makes one: a leader that lives for months sees very many."""
    world = make_world([make_node()], [policy_resource(mode="Recommend")], FakeClock())
    controller = DeletionCostController(world, FakeWriter(), settle_seconds=0.0)
    list(controller.subscribe())
    for number in range(100):
        replicaset = make_replicaset(f"web-{number}")
        world.state.apply(replicaset)
        await controller.reconcile(replicaset.uid)
        world.state.remove(replicaset)
    kept = (controller._stirred, controller._recommended, controller.queue._due)
    assert [len(one) for one in kept] == [0, 0, 0]
