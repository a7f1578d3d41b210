"""Controllers when a namespace comes to be selected, or comes after what is in it; and what they do not keep."""

from typing import Any

import pytest

from spillway.controllers.base import World
from spillway.controllers.scale_down.deletion_cost import DeletionCostController
from spillway.controllers.status.workload_counts import WorkloadCounts
from spillway.domain.model.records import NamespaceRecord, PodRecord
from spillway.kube.writer import Writer
from tests.builders import make_namespace, make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world, policy_resource


class Writes(Writer):
    """Keeps the names of the pods that would be written."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def annotate_pod(self, pod: PodRecord, _: Any) -> bool:
        self.names.append(pod.name)
        return True


def team_policy(mode: str = "Enforce") -> dict[str, Any]:
    raw = policy_resource(mode=mode)
    raw["spec"]["workloads"] = [{"name": "default", "match": {"namespaces": {"matchLabels": {"team": "a"}}}}]
    return raw


def labelled(**labels: str) -> NamespaceRecord:
    return NamespaceRecord(uid="ns-shop", name="shop", labels=labels)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def world(clock: FakeClock) -> World:
    return make_world([make_node(), make_replicaset(replicas=1), make_pod()], [team_policy()], clock)


async def test_pods_get_their_cost_once_their_namespace_is_selected(world: World, clock: FakeClock) -> None:
    controller = DeletionCostController(world, writer := Writes(), settle_seconds=20.0)
    list(controller.subscribe())
    await controller.reconcile("rs-web")
    assert writer.names == []
    world.state.apply(labelled(team="a"))
    wait = await controller.reconcile("rs-web")
    assert wait == 20.0, "not before it was still for a while"
    await clock.advance(wait)
    await controller.reconcile("rs-web")
    assert writer.names == ["web-1"]


async def test_the_counts_follow_a_namespace(world: World) -> None:
    counts = WorkloadCounts(world)
    list(counts.subscribe())
    await counts.refresh()
    assert len(counts.policy("online").workloads) == 0
    for namespace, governed in ((labelled(team="a"), 1), (labelled(), 0)):
        world.state.apply(namespace)
        await counts.refresh()
        assert len(counts.policy("online").workloads) == governed
    world.state.remove(make_namespace("shop"))
    world.state.apply(labelled(team="a"))
    await counts.refresh()
    assert len(counts.policy("online").workloads) == 1, "a namespace that is seen later than its ReplicaSet"


async def test_nothing_is_kept_of_replicasets_that_are_gone() -> None:
    """Every rollout makes one: a leader that lives for months sees very many."""
    world = make_world([make_node()], [policy_resource(mode="Recommend")], FakeClock())
    controller = DeletionCostController(world, Writes(), settle_seconds=0.0)
    list(controller.subscribe())
    for number in range(100):
        replicaset = make_replicaset(f"web-{number}")
        world.state.apply(replicaset)
        await controller.reconcile(replicaset.uid)
        world.state.remove(replicaset)
    kept = (controller._stirred, controller._recommended, controller.queue._due)
    assert [len(one) for one in kept] == [0, 0, 0]
