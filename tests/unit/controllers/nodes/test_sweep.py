"""Whose marks come off, and when a controller does not act at all."""

from typing import Any

import pytest

from spillway.controllers.base import GATE_SECONDS, World
from spillway.controllers.nodes.drain import stays_until_evicted
from spillway.controllers.nodes.sweep import SweepController
from spillway.domain.model.records import NodeRecord, Pending, Phase, PodRecord
from tests.builders import make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_writer import FakeWriter
from tests.support.world import make_world, policy_resource

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
        pytest.param([], {"policy": "online", **WAITING}, False, id="on its way to a pool, on which it counts"),
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
        pytest.param({"terminating": True}, True, id="on its way out"),
        pytest.param({"phase": Phase.SUCCEEDED}, False, id="finished"),
        pytest.param({"owner_kind": "DaemonSet"}, False, id="a daemon"),
    ],
)
def test_for_whom_a_drain_waits(changes: dict[str, Any], *, waits: bool) -> None:
    assert stays_until_evicted(make_pod(**changes)) is waits
