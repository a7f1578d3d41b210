"""What controllers leave as it is: pods that are governed, and what an unreadable resource may still ask for."""

from typing import Any

import msgspec
import pytest

from spillway.controllers.base import World
from spillway.controllers.nodes.cordon import CordonController
from spillway.controllers.nodes.sweep import SweepController
from spillway.controllers.nodes.taints import TaintController
from spillway.domain.model.names import ELASTIC_TAINT, NodeName
from spillway.domain.model.records import NamespaceRecord, PodRecord, Taint
from spillway.kube.writer import REFUSED_SECONDS
from spillway.state.catalog import Kind
from tests.builders import make_namespace, make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_writer import FakeWriter, answering
from tests.support.world import Record, make_world, policy_resource, resource

MARKS: dict[str, Any] = {"policy": "online", "tier": "fixed", "deletion_cost": -1, "cost_written": -1}


async def swept(world: World, pod: PodRecord) -> bool:
    writer = FakeWriter()
    await SweepController(world, writer).reconcile(pod.uid)
    return bool(writer.names)


@pytest.mark.parametrize(
    "marks",
    [
        pytest.param({"deletion_cost": -7, "cost_written": -7}, id="a scale-down gave it its first cost"),
        pytest.param(MARKS | {"policy": "before"}, id="marks of a policy that another has replaced"),
    ],
)
async def test_a_governed_pod_keeps_what_it_has(marks: dict[str, Any]) -> None:
    pod = make_pod(**marks)
    world = make_world([make_replicaset(), pod], [policy_resource()], FakeClock())
    assert not await swept(world, pod)


async def test_a_namespace_that_is_not_known_yet_is_waited_for() -> None:
    pod = make_pod(**MARKS)
    world = make_world([make_replicaset(), pod], [policy_resource()], FakeClock())
    world.state.remove(make_namespace("shop"))
    assert not await swept(world, pod)


async def test_a_namespace_that_is_not_selected_any_more_gives_its_pods_back() -> None:
    pod = make_pod(**MARKS)
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
    pod = make_pod(**MARKS)
    node = make_node("e1", taints=(Taint(ELASTIC_TAINT, "PreferNoSchedule", "online"),))
    records: list[Record] = [make_replicaset(), pod, node]
    world = make_world(records, [unreadable(Kind.ELASTIC_POLICY, "online")], FakeClock())
    assert world.catalog.unreadable(Kind.ELASTIC_POLICY) == {"online"}
    assert not await swept(world, pod)
    await TaintController(world, writer := FakeWriter()).reconcile("e1")
    assert writer.names == []

    gone = make_world(records, [], FakeClock())
    assert await swept(gone, pod)
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
    pod = make_pod(**MARKS)
    tainted = make_node("e1", taints=(Taint(ELASTIC_TAINT, "PreferNoSchedule", "online"),))
    closed = msgspec.structs.replace(tainted, name=NodeName("v1"), unschedulable=True, cordoned_by="eci")
    world = make_world([pod, tainted, closed], [], FakeClock())
    refusing = FakeWriter(answering(lambda _: False))
    assert await SweepController(world, refusing).reconcile(pod.uid) == REFUSED_SECONDS
    assert await TaintController(world, refusing).reconcile("e1") == REFUSED_SECONDS
    assert await CordonController(world, refusing).reconcile("v1") == REFUSED_SECONDS
