"""One pass over the statuses: what is written, and what follows a write."""

from datetime import datetime

import pytest

from spillway.api import Resource
from spillway.api.common import Status
from spillway.api.elasticpolicy import WorkloadThreshold
from spillway.controllers.base import World
from spillway.controllers.policies.status import ResourceContributor
from spillway.controllers.status.controller import StatusController
from spillway.controllers.status.node_summary import NodeSummary
from spillway.controllers.status.part import Contributor, Contributors, ObservedCondition, StatusPart
from spillway.controllers.status.workload_counts import WorkloadCounts
from spillway.kube.errors import ApiError
from spillway.state.catalog import Kind
from spillway.telemetry.registry import REGISTRY
from tests.builders import make_node
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.support.fake_writer import FakeWriter, Respond, Write
from tests.support.world import ELASTIC, make_world, policy_resource, resource


def refusing(*refused: str) -> Respond:
    """Statuses of these names are refused."""

    async def respond(write: Write) -> bool:
        if write.name in refused:
            raise ApiError(422, "Invalid", "conditions: too long")
        return True

    return respond


class Broken:
    """A contributor that finds every resource broken, and counts the writes of its part."""

    def __init__(self) -> None:
        self.written = 0

    def part(self, _model: Resource, _current: Status, _now: datetime) -> StatusPart:
        ready = ObservedCondition("Ready", holds=False, reason="Broken", message="")
        return StatusPart(conditions=(ready,), on_written=self._count)

    def _count(self) -> None:
        self.written += 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def statuses(
    world: World, writer: FakeWriter, *more: Contributor[Resource, Status], events: FakeRecorder | None = None
) -> StatusController:
    counts, nodes = WorkloadCounts(world), NodeSummary(world)
    all_kinds = (ResourceContributor(world, counts, nodes), *more)
    return StatusController(
        world,
        writer,
        events or FakeRecorder(),
        Contributors(policies=all_kinds, budgets=all_kinds, balances=all_kinds),
        counts=counts,
        nodes=nodes,
        period_seconds=1.0,
    )


async def test_a_write_is_followed_by_its_events_and_acknowledged_to_the_contributor(clock: FakeClock) -> None:
    world, events, broken = make_world([make_node()], [policy_resource()], clock), FakeRecorder(), Broken()
    controller = statuses(world, FakeWriter(), broken, events=events)
    await controller.reconcile("*")
    assert ([said.what for said in events.said], broken.written) == (["Warning Broken"], 1)
    await controller.reconcile("*")
    assert ([said.what for said in events.said], broken.written) == (["Warning Broken"], 1), (
        "at rest nothing is written"
    )


async def test_each_node_is_exported_in_one_tier_however_many_policies_there_are(clock: FakeClock) -> None:
    sizes = {"own": 20, "elastic": 10, "virtual": 5}
    nodes = [
        make_node(f"{pool}-{number}", cpu_millis=2000, labels={"pool": pool})
        for pool, count in sizes.items()
        for number in range(count)
    ]
    pool = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector={"matchLabels": {"pool": "virtual"}})
    policies = [policy_resource(elastic=ELASTIC, virtual={"budgets": ["eci"]}), policy_resource("plain", version=2)]
    world = make_world(nodes, [*policies, pool], clock)

    await statuses(world, FakeWriter()).reconcile("*")

    for name, factor in (("spillway_nodes", 1), ("spillway_node_cores", 2)):
        found = [REGISTRY.get_sample_value(name, {"tier": tier}) for tier in ("fixed", "elastic", "virtual")]
        assert found == [20 * factor, 10 * factor, 5 * factor]
    of_plain = {"policy": "plain", "tier": "fixed"}
    assert REGISTRY.get_sample_value("spillway_policy_nodes", of_plain) == 35, "a policy counts all that it knows"


async def test_nothing_follows_a_write_that_is_refused(clock: FakeClock) -> None:
    world, events, broken = make_world([make_node()], [policy_resource()], clock), FakeRecorder(), Broken()
    with pytest.raises(ExceptionGroup):
        await statuses(world, FakeWriter(refusing("online")), broken, events=events).reconcile("*")
    assert (events.said, broken.written) == ([], 0)


async def test_a_status_that_is_refused_holds_up_no_other(clock: FakeClock) -> None:
    resources = [policy_resource(), resource(Kind.ZONAL_BALANCE, "even")]
    world = make_world([make_node()], resources, clock)
    writer = FakeWriter(refusing("online"))
    controller = statuses(world, writer)
    with pytest.raises(ExceptionGroup):
        await controller.reconcile("*")
    assert [write.name for write in writer.done] == ["even"]


class Named:
    """A contributor that names a workload."""

    workload = "web"

    def part(self, _model: Resource, _current: Status, _now: datetime) -> StatusPart:
        late = ObservedCondition("StalePlan", holds=True, reason="PlanFailed", message="")
        return StatusPart({"thresholds": (WorkloadThreshold(workload=self.workload),)}, (late,))


class Advised:
    """A contributor that advises a number of nodes."""

    nodes = 1

    def part(self, _model: Resource, _current: Status, _now: datetime) -> StatusPart:
        return StatusPart({"owned_nodes_advised": self.nodes})


async def test_a_part_that_is_not_valid_is_left_out_and_the_others_are_written(clock: FakeClock) -> None:
    world, named, advised = make_world([make_node()], [policy_resource()], clock), Named(), Advised()
    controller = statuses(world, writer := FakeWriter(), named, advised)
    await controller.reconcile("*")
    first = writer.writes[-1].body
    assert any(one["type"] == "StalePlan" and one["status"] == "True" for one in first["conditions"])
    named.workload, advised.nodes = "x" * 600, 2
    with pytest.raises(ExceptionGroup, match="statuses not written") as failed:
        await controller.reconcile("*")
    assert "WorkloadThreshold" in str(failed.value.exceptions[0])
    assert writer.writes[-1].body == {**first, "ownedNodesAdvised": 2}, "what it said, and its conditions, stay"
    named.workload = "api"
    await controller.reconcile("*")
    assert [one["workload"] for one in writer.writes[-1].body["thresholds"]] == ["api"]


@pytest.mark.parametrize("conditions", [[], [{"type": "Ready", "status": "True"}]], ids=["none", "not ours"])
async def test_a_resource_that_was_never_understood_says_so_and_keeps_the_rest_of_its_status(
    clock: FakeClock, conditions: list[dict[str, str]]
) -> None:
    raw = policy_resource()
    raw["spec"]["mode"] = "Someday"
    raw["status"] = {"observedGeneration": 1, "workloads": {"governed": 7}, "conditions": conditions}
    raw["metadata"]["generation"] = 4
    world = make_world([make_node()], [raw], clock)
    controller = statuses(world, writer := FakeWriter())
    await controller.reconcile("*")
    (write,) = writer.writes
    status = write.body
    ready, stalled = status["conditions"]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "False", "Invalid")
    assert (stalled["type"], stalled["status"], stalled["reason"]) == ("Stalled", "True", "Invalid")
    assert "spec.mode" in ready["message"]
    assert (status["workloads"], status["observedGeneration"]) == ({"governed": 7}, 4)
    await controller.reconcile("*")
    assert len(writer.writes) == 1, "at rest nothing is written"
