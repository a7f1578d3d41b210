"""Whose marks come off, and what an unreadable resource may still ask for: of pods, taints and cordons."""

from typing import Any

import msgspec
import pytest

from spillway.controllers.base import GATE_SECONDS, World
from spillway.controllers.nodes.cordon import CordonController
from spillway.controllers.nodes.drain import stays_until_evicted
from spillway.controllers.nodes.sweep import SweepController
from spillway.controllers.nodes.taints import TaintController
from spillway.domain.model.names import ELASTIC_TAINT, NodeName
from spillway.domain.model.records import NamespaceRecord, NodeRecord, Pending, Phase, PodRecord, Taint
from spillway.kube.writer import REFUSED_SECONDS
from spillway.state.catalog import Kind
from tests.builders import make_namespace, make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_writer import FakeWriter, answering
from tests.support.world import Record, make_world, policy_resource, resource

MARKED: dict[str, Any] = {"policy": "online", "tier": "fixed", "deletion_cost": -1, "cost_written": -1}

WAITING: dict[str, Any] = {"node": "", "pending": Pending(placement="virtual", pools="eci-a")}


def sweeper(
    *resources: dict[str, Any], pod: PodRecord, known: bool = True
) -> tuple[SweepController, World, FakeWriter]:
    owners = [make_replicaset()] if known else []
    world = make_world([*owners, pod], resources, FakeClock())
    writer = FakeWriter()
    return SweepController(world, writer), world, writer


@pytest.mark.parametrize(
    ("resources", "marks", "swept"),
    [
        pytest.param([policy_resource()], MARKED, False, id="its policy enforces"),
        pytest.param([], MARKED, True, id="its policy is gone"),
        pytest.param([policy_resource(mode="Recommend")], MARKED, True, id="its policy only recommends"),
        pytest.param(
            [policy_resource("online", version=2), policy_resource("older", mode="Recommend")],
            MARKED,
            True,
            id="an older policy governs it now, and only recommends",
        ),
        pytest.param([], {"deletion_cost": 4}, False, id="never marked"),
        pytest.param([], {"policy": "online", **WAITING}, False, id="sent to a pool, on which it counts"),
        pytest.param([], {"policy": "online", **WAITING, "node": "v1"}, True, id="it has arrived"),
    ],
)
async def test_swept(resources: list[dict[str, Any]], marks: dict[str, Any], *, swept: bool) -> None:
    pod = make_pod(**marks)
    controller, _, writer = sweeper(*resources, pod=pod)
    await controller.reconcile("*")
    assert (len(controller.queue) == 1) is swept
    await controller.reconcile(pod.uid)
    assert (writer.names == [pod.name]) is swept


async def test_a_mark_that_turns_up_late_is_seen() -> None:
    pod = make_pod()
    controller, world, _ = sweeper(pod=pod)
    list(controller.subscribe())
    world.state.apply(make_pod(**MARKED))
    assert len(controller.queue) == 1


async def test_a_pod_that_is_stuck_in_terminating_loses_its_marks_later() -> None:
    pod = make_pod(terminating=True, **MARKED)
    controller, world, writer = sweeper(pod=pod)
    list(controller.subscribe())
    await controller.reconcile("*")
    assert len(controller.queue) == 0, "most pods are gone soon"
    await controller.reconcile(pod.uid)
    assert writer.names == [pod.name], "once its time has come"
    world.state.remove(pod)
    await controller.reconcile(pod.uid)
    assert writer.names == [pod.name]


async def test_nothing_is_done_on_stale_data() -> None:
    pod = make_pod(**MARKED)
    clock = FakeClock()
    world = make_world([make_replicaset(), pod], [], clock)
    writer = FakeWriter()
    controller = SweepController(world, writer)
    await clock.advance(100)
    world.state.touch(NodeRecord)
    assert await controller._gated(pod.uid) == GATE_SECONDS
    assert writer.names == []
    world.state.mark_synced()
    assert await controller._gated(pod.uid) is None
    assert writer.names == [pod.name]


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        pytest.param({}, True, id="running"),
        pytest.param({"terminating": True}, True, id="terminating"),
        pytest.param({"phase": Phase.SUCCEEDED}, False, id="finished"),
        pytest.param({"owner_kind": "DaemonSet"}, False, id="a daemon"),
    ],
)
def test_for_whom_a_drain_waits(changes: dict[str, Any], *, waits: bool) -> None:
    assert stays_until_evicted(make_pod(**changes)) is waits


async def is_swept(world: World, pod: PodRecord) -> bool:
    writer = FakeWriter()
    await SweepController(world, writer).reconcile(pod.uid)
    return bool(writer.names)


@pytest.mark.parametrize(
    "marks",
    [
        pytest.param({"deletion_cost": -7, "cost_written": -7}, id="a scale-down gave it its first cost"),
        pytest.param(MARKED | {"policy": "before"}, id="marks of a policy that another has replaced"),
    ],
)
async def test_a_governed_pod_keeps_what_it_has(marks: dict[str, Any]) -> None:
    pod = make_pod(**marks)
    world = make_world([make_replicaset(), pod], [policy_resource()], FakeClock())
    assert not await is_swept(world, pod)


async def test_a_namespace_that_is_not_known_yet_is_waited_for() -> None:
    pod = make_pod(**MARKED)
    world = make_world([make_replicaset(), pod], [policy_resource()], FakeClock())
    world.state.remove(make_namespace("shop"))
    assert not await is_swept(world, pod)


async def test_a_namespace_that_is_not_selected_any_more_gives_its_pods_back() -> None:
    pod = make_pod(**MARKED)
    policy = policy_resource()
    policy["spec"]["workloads"] = [
        {"name": "default", "match": {"namespaces": {"matchLabels": {"team": "a"}}}},
    ]
    world = make_world([make_namespace("shop", team="a"), make_replicaset(), pod], [policy], FakeClock())
    controller = SweepController(world, writer := FakeWriter())
    list(controller.subscribe())
    world.state.apply(NamespaceRecord(uid="ns-shop", name="shop", labels={}))
    assert len(controller.queue) == 1
    await controller.reconcile(pod.uid)
    assert writer.names == [pod.name]


def unreadable(kind: Kind, name: str) -> dict[str, Any]:
    return resource(kind, name, mode="AModeOfALaterVersion", cordon="ACordonOfALaterVersion", nodeSelector={})


async def test_a_policy_that_cannot_be_read_is_not_gone() -> None:
    pod = make_pod(**MARKED)
    node = make_node("e1", taints=(Taint(ELASTIC_TAINT, "PreferNoSchedule", "online"),))
    records: list[Record] = [make_replicaset(), pod, node]
    world = make_world(records, [unreadable(Kind.ELASTIC_POLICY, "online")], FakeClock())
    assert world.catalog.unreadable(Kind.ELASTIC_POLICY) == {"online"}
    assert not await is_swept(world, pod)
    await TaintController(world, writer := FakeWriter()).reconcile("e1")
    assert writer.names == []

    gone = make_world(records, [], FakeClock())
    assert await is_swept(gone, pod)
    await TaintController(gone, writer).reconcile("e1")
    assert writer.names == ["e1"]


async def test_what_a_budget_closed_that_cannot_be_read_stays_closed() -> None:
    node = make_node("v1", unschedulable=True, cordoned_by="eci")
    world = make_world([node], [unreadable(Kind.VIRTUAL_NODE_BUDGET, "eci")], FakeClock())
    await CordonController(world, writer := FakeWriter()).reconcile("v1")
    assert writer.names == []

    await CordonController(make_world([node], [], FakeClock()), writer).reconcile("v1")
    assert writer.names == ["v1"]


async def test_a_refused_write_is_tried_again_without_a_change_to_hear_of() -> None:
    pod = make_pod(**MARKED)
    tainted = make_node("e1", taints=(Taint(ELASTIC_TAINT, "PreferNoSchedule", "online"),))
    closed = msgspec.structs.replace(tainted, name=NodeName("v1"), unschedulable=True, cordoned_by="eci")
    world = make_world([pod, tainted, closed], [], FakeClock())
    refusing = FakeWriter(answering(lambda _: False))
    assert await SweepController(world, refusing).reconcile(pod.uid) == REFUSED_SECONDS
    assert await TaintController(world, refusing).reconcile("e1") == REFUSED_SECONDS
    assert await CordonController(world, refusing).reconcile("v1") == REFUSED_SECONDS
