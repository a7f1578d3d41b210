"""The room for replicas that come back: known once a template was read, and given to one workload only."""

import tracemalloc

import msgspec
import pytest

from spillway.controllers.base import World
from spillway.controllers.spill.bring_back_room import BringBackRoom
from spillway.controllers.spill.virtual_replicas import SpilledWorkload, workload
from spillway.domain.model.documents import Json
from spillway.domain.model.names import ZONE_LABEL, NodeName, OwnerUid
from spillway.domain.model.records import NodeRecord, PodRecord, ReplicaSetRecord, Taint
from spillway.state.catalog import Kind
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world, resource

VIRTUAL = {"pool": "virtual"}
TOLERATES: Json = {"spec": {"template": {"spec": {"tolerations": [{"key": "dedicated", "operator": "Exists"}]}}}}
PLAIN: Json = {"spec": {"template": {"spec": {}}}}


def spilled(*names: str) -> tuple[World, list[SpilledWorkload]]:
    """Workloads with a virtual replica, beside a node with room for one more, which not every pod tolerates."""
    resources = [
        resource(
            Kind.ELASTIC_POLICY,
            "online",
            mode="Enforce",
            tiers={"virtual": {"budgets": ["eci"]}},
            workloads=[{"name": "default", "threshold": {"mode": "Manual", "replicas": 9}}],
        ),
        resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector={"matchLabels": VIRTUAL}),
    ]
    records: list[NodeRecord | ReplicaSetRecord | PodRecord] = [
        make_node("n1", cpu_millis=300, taints=(Taint("dedicated", "NoSchedule", "gpu"),)),
        make_node("v1", labels=VIRTUAL),
        *(make_replicaset(name) for name in names),
        *(
            make_pod(f"{name}-v", node=NodeName("v1"), owner_uid=OwnerUid(f"rs-{name}"), cpu_millis=250)
            for name in names
        ),
    ]
    world = make_world(records, resources, FakeClock())
    found = []
    for name in names:
        replicaset = world.state.replicasets[OwnerUid(f"rs-{name}")]
        claim = world.claim_of(replicaset)
        assert claim is not None
        found.append(workload(world, replicaset, claim))
    return world, found


async def test_there_is_no_room_before_the_template_was_read_and_then_only_on_nodes_that_it_tolerates() -> None:
    world, (plain, tolerant) = spilled("plain", "tolerant")
    room = BringBackRoom(world)
    await room.refresh([plain, tolerant], [])
    assert room.unread == {plain.uid, tolerant.uid}
    assert not room.holds(tolerant.uid)
    room.learn(plain.uid, PLAIN)
    room.learn(tolerant.uid, TOLERATES)
    await room.refresh([plain, tolerant], [])
    assert room.unread == set()
    assert (room.holds(plain.uid), room.holds(tolerant.uid)) == (False, True)
    assert not room.take(plain)


async def test_room_is_given_to_one_workload_only() -> None:
    world, (first, second) = spilled("first", "second")
    room = BringBackRoom(world)
    for one in (first, second):
        room.learn(one.uid, TOLERATES)
    await room.refresh([first, second], [])
    assert room.holds(first.uid)
    assert room.holds(second.uid)
    assert room.take(first)
    assert not room.take(second)
    await room.refresh([first, second], [])
    assert room.take(second), "the first did not come"


async def test_what_is_forgotten_is_read_again() -> None:
    world, (one,) = spilled("web")
    room = BringBackRoom(world)
    room.learn(one.uid, PLAIN)
    await room.refresh([one], [])
    room.forget(one.uid)
    await room.refresh([one], [])
    assert room.unread == {one.uid}


@pytest.mark.parametrize(("cpu_millis", "taken"), [(100, False), (300, True)])
async def test_a_replica_comes_back_only_to_a_zone_in_which_its_spread_leaves_it_a_place(
    cpu_millis: int, *, taken: bool
) -> None:
    world, [one] = spilled("web")
    spread = resource(Kind.ZONAL_BALANCE, "even", zoneSpread={})
    world.catalog.replace(Kind.ZONAL_BALANCE, [spread], 60)
    for name, changes in {"n1": {"cpu_millis": 600}, "n2": {"cpu_millis": cpu_millis}}.items():
        world.state.apply(make_node(name, labels={ZONE_LABEL: name}, **changes))
    world.state.apply(make_pod("web-1", node=NodeName("n1"), owner_uid=one.uid, cpu_millis=250))
    room = BringBackRoom(world)
    room.learn(one.uid, PLAIN)
    await room.refresh([one], [])
    assert room.take(one) is taken


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"containers": [{"command": ["/run", *map(str, range(50_000))]}]}, id="a command"),
        pytest.param({"tolerations": [{"key": str(index)} for index in range(10_000)]}, id="tolerations"),
    ],
)
def test_little_is_kept_of_a_template_of_any_size(spec: Json) -> None:
    world, (one,) = spilled("web")
    room, text = BringBackRoom(world), msgspec.json.encode({"spec": {"template": {"spec": spec}}})
    tracemalloc.start()
    try:
        room.learn(one.uid, msgspec.json.decode(text))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 50_000
