"""Which replicas count as virtual, and who waits for physical room: the same answer as admission's counts give."""

import asyncio
from typing import Any

import pytest

from spillway.controllers.spill.virtual_replicas import without_surge, workload
from spillway.controllers.surge.room import physical_room
from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.records import Pending, Phase, PodRecord
from spillway.domain.model.usage import Usage
from spillway.kube import slices
from spillway.state.reservations import Reservations
from spillway.state.usage import LiveUsage
from tests.builders import make_node, make_pod, make_replicaset, make_statefulset
from tests.support.fake_clock import FakeClock
from tests.support.pools import budget, nodes, policy
from tests.support.world import Record, make_world

OWNER = OwnerUid("rs-web")


def waiting(name: str = "web-1", *, placement: str = "virtual", pools: str = "a", **changes: Any) -> PodRecord:
    pending = Pending(placement=placement, pools=pools)
    return make_pod(name, node=NodeName(""), phase=Phase.PENDING, ready=False, pending=pending, **changes)


@pytest.mark.parametrize(
    ("pod", "virtual"),
    [
        pytest.param(make_pod(node=NodeName("a-1")), True, id="on a node of a pool"),
        pytest.param(make_pod(node=NodeName("owned-1"), pool="a", tier="virtual"), False, id="its node is in no pool"),
        pytest.param(make_pod(node=NodeName("gone"), pool="a", tier="virtual", started=5.0), True, id="node not seen"),
        pytest.param(make_pod(node=NodeName("gone"), pool="a", tier="virtual"), False, id="marked by anybody"),
        pytest.param(waiting(), True, id="sent to a pool"),
        pytest.param(waiting(placement="physical"), True, id="spilled"),
        pytest.param(waiting(pools="other"), False, id="marked with a pool that its policy does not list"),
        pytest.param(waiting(pools=""), False, id="marked without a pool"),
        pytest.param(waiting(placement="physical", pools=""), False, id="decided physical"),
    ],
)
def test_a_replica_counts_on_the_side_on_which_admission_counts_it(pod: PodRecord, *, virtual: bool) -> None:
    resources = [budget("a"), budget("b"), budget("other"), policy()]
    world = make_world([make_replicaset(), *nodes("a", "owned"), pod], resources, FakeClock())
    usage = LiveUsage(world.state, world.membership, Reservations(world.now))
    replicaset = world.state.replicasets[OWNER]
    claim = world.claim_of(replicaset)
    assert claim is not None
    found = workload(world, replicaset, claim)
    assert (len(found.virtual), len(found.physical)) == (int(virtual), int(not virtual))
    assert usage.physical(OWNER) == len(found.physical)


async def test_a_pod_waits_for_physical_room_unless_it_can_start_on_a_pool_alone() -> None:
    bare: dict[str, Any] = {"owner_uid": OwnerUid(""), "owner_kind": "", "owner_name": ""}
    pods = [waiting("sent", cpu_millis=400), waiting("bare", cpu_millis=300, **bare)]
    pods.append(waiting("spilled", placement="physical", cpu_millis=200))
    node = make_node("n1", cpu_millis=1000, memory_bytes=10**12, pods_allocatable=100)
    resources = [budget("a"), budget("b"), policy()]
    world = make_world([make_replicaset(), node, *nodes("a"), *pods], resources, FakeClock(100.0))
    room = await physical_room(world, pods)
    assert room.find(Usage(1, 500)) == "n1", "the bare pod and the one that spilled are served first"
    assert room.find(Usage(1, 501)) is None


async def test_replicas_without_a_surge_count_only_for_a_policy_that_places_them() -> None:
    of_set: dict[str, Any] = {"node": NodeName("a-1"), "owner_uid": OwnerUid("set-1"), "owner_kind": "CloneSet"}
    pods = [
        make_pod("placed", policy="online", **of_set),
        make_pod("forged", policy="victim", **of_set),
        make_pod("elsewhere", policy="online", namespace="unseen", **of_set),
        make_pod("web-1", policy="online", node=NodeName("a-1")),
    ]
    world = make_world([make_replicaset(), *nodes("a"), *pods], [budget("a"), budget("b"), policy()], FakeClock())
    assert await without_surge(world) == {"online": 1}


async def test_pods_of_one_large_node_let_other_tasks_run_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    of_set: dict[str, Any] = {"owner_uid": OwnerUid("set-1"), "owner_kind": "StatefulSet"}
    pods = [make_pod(f"db-{n}", policy="online", node=NodeName("a-1"), **of_set) for n in range(20)]
    records: list[Record] = [make_statefulset(uid=OwnerUid("set-1")), *nodes("a"), *pods]
    world = make_world(records, [budget("a"), budget("b"), policy()], FakeClock())
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    try:
        assert await without_surge(world) == {"online": 20}
    finally:
        task.cancel()
    assert turns >= len(pods) - 1
