"""Every subscription of the leader's controllers ends with them, and so does every one of admission."""

import gc
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from spillway.app.controllers import Controllers
from spillway.app.settings import Settings
from spillway.controllers.base import World
from spillway.kube.client import KubeClient
from spillway.state.catalog import Kind
from spillway.state.open_pools import OpenPools
from spillway.state.signal import Signal
from spillway.webhooks.assembly import Admission, build_admission
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.support.world import Record, make_world, policy_resource, resource

CLIENT = cast("KubeClient", SimpleNamespace())


def listeners() -> Mapping[int, int]:
    """How many listeners each signal of this process has."""
    gc.collect()
    found: list[Signal[Any]] = [one for one in gc.get_objects() if isinstance(one, Signal)]
    return {id(one): len(one._listeners) for one in found}


def scene() -> tuple[World, FakeClock]:
    clock = FakeClock(1000.0)
    budget = resource(Kind.VIRTUAL_NODE_BUDGET, "v", nodeSelector={"matchLabels": {"pool": "v"}})
    records: list[Record] = [make_node("n1", labels={"pool": "v"}), make_replicaset(), make_pod("web-1")]
    return make_world(records, [budget, policy_resource(virtual={"budgets": ["v"]})], clock), clock


def admission_of(world: World, clock: FakeClock) -> Admission:
    return build_admission(
        world.state,
        lambda: world.governance,
        CLIENT,
        board=world.board,
        membership=world.membership,
        clock=clock.now,
        now=clock.now,
    )


async def test_the_leaders_controllers_leave_no_listener_behind() -> None:
    world, clock = scene()
    admission = admission_of(world, clock)
    open_pools = OpenPools(admission.usage, world.board, lambda: world.governance)
    controllers = Controllers(Settings.of(), CLIENT, world, open_pools, FakeRecorder(), may_write=lambda: True).all
    before = listeners()
    subscriptions = [unsubscribe for controller in controllers for unsubscribe in controller.subscribe()]
    assert sum(listeners().values()) > sum(before.values()) + len(controllers)
    for unsubscribe in subscriptions:
        unsubscribe()
    assert listeners() == before
    admission.close()


def test_admission_leaves_no_listener_behind() -> None:
    world, clock = scene()
    before = listeners()
    admission = admission_of(world, clock)
    admission.close()
    after = listeners()
    assert {signal: count for signal, count in after.items() if count} == {
        signal: count for signal, count in before.items() if count
    }
