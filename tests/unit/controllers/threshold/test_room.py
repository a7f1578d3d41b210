"""The room of the owned nodes."""

from typing import Any

import pytest

from spillway.controllers.threshold.room import OwnedRoom, owned_room
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.units import GIB
from tests.builders import make_node, make_pod
from tests.support.fake_clock import FakeClock
from tests.support.world import Record, make_world

GOVERNED = OwnerUid("rs-1")
WATCHED = OwnerUid("rs-2")


async def room_of(*records: Record) -> OwnedRoom:
    world = make_world(list(records), [], FakeClock())
    return await owned_room(world, world.state.nodes.values(), governed={GOVERNED, WATCHED}, watched={WATCHED})


def pod(name: str, owner_uid: str, node: str = "n1", **more: Any) -> Record:
    sizes = {"cpu_millis": 1000, "memory_bytes": 0, **more}
    return make_pod(name, owner_uid=owner_uid, node=node, **sizes)


async def test_each_kind_of_pod_counts_for_what_it_is() -> None:
    found = await room_of(
        make_node("n1", cpu_millis=8000, memory_bytes=16 * GIB),
        make_node("n2", cpu_millis=8000, memory_bytes=16 * GIB),
        pod("governed", GOVERNED),
        pod("watched", WATCHED, memory_bytes=GIB),
        pod("agent-1", "ds", owner_kind="DaemonSet"),
        pod("agent-2", "ds", "n2", owner_kind="DaemonSet"),
        pod("other", "job", "n2", owner_kind="Job", cpu_millis=500, memory_bytes=8 * GIB),
    )

    assert (found.node_cores, found.node_gib) == (8.0, 16.0)
    assert (found.cores, found.gib) == (13.5, 24.0)
    assert found.per_node_cores == 1.0
    assert found.other_cores == 4.0, "half of the memory of a node goes with half of its cores"
    [first, second] = sorted(found.nodes, key=lambda one: -one.cores)
    assert (first.count, first.cores, first.gib, first.watched_cores, first.watched_gib) == (1, 7.0, 16.0, 1.0, 1.0)
    assert (second.cores, second.gib, second.watched_cores) == (6.5, 8.0, 0.0)


async def test_nodes_that_are_alike_are_one_entry() -> None:
    found = await room_of(*(make_node(f"n{index}", cpu_millis=4000) for index in range(120)))

    assert [(one.count, one.cores) for one in found.nodes] == [(120, 4.0)]
    assert found.cores == pytest.approx(480.0)


async def test_no_node_is_no_room() -> None:
    found = await room_of()

    assert (found.nodes, found.cores, found.node_cores, found.per_node_cores) == ((), 0.0, 0.0, 0.0)
