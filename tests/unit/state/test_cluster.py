"""The state is what readers and listeners see of it."""

import asyncio
from typing import Any

import msgspec
import pytest

from spillway.domain.model.names import NodeName, OwnerUid, PodUid
from spillway.domain.model.records import (
    NodeRecord,
    Pending,
    Phase,
    PodRecord,
    ReplicaSetRecord,
    ReplicationControllerRecord,
    StatefulSetRecord,
)
from spillway.domain.model.usage import Usage
from tests.builders import (
    make_namespace,
    make_node,
    make_pod,
    make_replicaset,
    make_replication_controller,
    make_state,
    make_statefulset,
)
from tests.support.fake_clock import FakeClock


def test_a_pod_is_found_by_uid_name_owner_and_node() -> None:
    state = make_state()
    pod = make_pod("web-1", node="n1")
    assert state.apply(pod)
    assert state.pods[pod.uid] is pod
    assert state.pod("shop", "web-1") is pod
    assert list(state.pods_of(pod.owner_uid)) == [pod]
    assert list(state.pods_on(pod.node)) == [pod]
    assert list(state.pods_in("shop")) == [pod]


def test_indexes_follow_a_pod_that_gets_a_node_and_goes() -> None:
    state = make_state()
    state.apply(make_pod(node=""))
    assert not state.pods_on(NodeName(""))
    pod = make_pod(node="n2")
    state.apply(pod)
    assert list(state.pods_on(pod.node)) == [pod]
    assert state.remove(pod)
    assert not state.remove(pod)
    assert not state.pods
    assert not state.pods_on(pod.node)
    assert not state.pods_of(pod.owner_uid)
    assert state.pod("shop", "web-1") is None


def test_a_successor_of_the_same_name_outlives_the_removal_of_its_predecessor() -> None:
    state = make_state()
    old, new = make_pod("db-0", uid=PodUid("a")), make_pod("db-0", uid=PodUid("b"))
    state.apply(old)
    state.apply(new)
    state.remove(old)
    assert state.pod("shop", "db-0") is new


def test_listeners_hear_old_and_new_of_their_type_until_they_leave() -> None:
    state, heard = make_state(), []
    leave = state.subscribe(PodRecord, lambda old, new: heard.append((old, new)))
    first, second = make_pod(), make_pod(ready=False)
    state.apply(make_node())
    state.apply(first)
    state.apply(make_pod())  # equal: no change
    state.apply(second)
    state.remove(second)
    leave()
    state.apply(first)
    assert heard == [(None, first), (first, second), (second, None)]


def test_a_listener_that_raises_stops_neither_the_state_nor_the_others() -> None:
    state, heard = make_state(), []

    def broken(old: NodeRecord | None, new: NodeRecord | None) -> None:
        raise RuntimeError("no")

    state.subscribe(NodeRecord, broken)
    state.subscribe(NodeRecord, lambda _, new: heard.append(new))
    node = make_node()
    state.apply(node)
    assert heard == [node]
    assert state.nodes[node.name] is node


def test_sums_follow_every_change() -> None:
    state = make_state()
    a = make_pod("a", policy="day", tier="virtual", pool="vk", cpu_millis=250, memory_bytes=10)
    b = make_pod("b", policy="day", tier="fixed", cpu_millis=100, memory_bytes=5)
    state.apply(a)
    state.apply(b)
    assert state.node_usage.on_node(a.node) == Usage(2, 350, 15)
    state.apply(make_pod("b", policy="day", tier="fixed", phase=Phase.SUCCEEDED))
    assert state.node_usage.on_node(a.node) == Usage(1, 250, 10)
    state.remove(a)
    assert state.node_usage.on_node(a.node) == Usage()


def test_a_replicaset_remembers_that_it_grew_and_that_its_owner_was_scaled_in() -> None:
    now = 100.0
    state = make_state(now=lambda: now)

    def seen(**changes: Any) -> tuple[float, float]:
        state.apply(make_replicaset(**changes))
        [replicaset] = state.replicasets.values()
        return replicaset.grew, replicaset.desired_fell

    assert seen(replicas=3, desired=9) == (0.0, 0.0), "what the first list shows may be old"
    state.mark_synced()
    assert seen(replicas=4, desired=9) == (100.0, 0.0)
    now = 200.0
    assert seen(replicas=4, desired=6) == (100.0, 200.0)
    now = 300.0
    assert seen(replicas=3, desired=6) == (100.0, 200.0)
    assert not state.apply(make_replicaset(replicas=3, desired=6)), "the same again is no change"
    assert seen(replicas=3, desired=6, revision=2) == (300.0, 200.0)
    assert seen(replicas=0, desired=6, revision=2) == (0.0, 200.0)
    state.apply(make_replicaset("later"))
    assert state.replicasets[OwnerUid("rs-later")].grew == 300.0


def test_replicasets_by_name_and_deployment() -> None:
    state = make_state()
    one = make_replicaset("web-1", owner_uid=OwnerUid("d"))
    state.apply(one)
    assert state.replicaset(one.namespace, "web-1") is one
    assert list(state.replicasets_of(OwnerUid("d"))) == [one]
    state.remove(one)
    assert not state.replicasets_of(OwnerUid("d"))
    assert state.replicaset(one.namespace, "web-1") is None


def test_a_replication_controller_is_one_of_the_replicasets_and_has_a_list_of_its_own() -> None:
    state = make_state()
    heard: list[str] = []
    state.subscribe(ReplicaSetRecord, lambda _, new: heard.append("" if new is None else new.kind))
    replicaset, controller = make_replicaset(), make_replication_controller()
    state.apply(replicaset)
    state.apply(controller)
    assert set(state.replicasets) == {replicaset.uid, controller.uid}
    assert set(state.records(ReplicaSetRecord)) == {replicaset.uid}, "a new list of ReplicaSets removes none of others"
    assert set(state.records(ReplicationControllerRecord)) == {controller.uid}
    assert state.owner(controller.uid) is controller
    state.remove(controller)
    assert set(state.replicasets) == {replicaset.uid}
    assert heard == ["ReplicaSet", "ReplicationController", ""]


@pytest.mark.parametrize("first", ["pod", "owner"])
def test_a_pod_that_names_a_statefulset_of_another_namespace_has_no_owner(first: str) -> None:
    state = make_state()
    pod, owner = make_pod("x", owner_uid="sts-db", owner_kind="StatefulSet"), make_statefulset(namespace="victim")
    records: list[PodRecord | StatefulSetRecord] = [pod, owner] if first == "pod" else [owner, pod]
    for record in records:
        state.apply(record)
    assert not state.pods_of(OwnerUid("sts-db"))
    assert state.pods[pod.uid].owner_kind == ""


async def test_synced_is_all_resources() -> None:
    state = make_state()
    state.mark_synced(PodRecord)
    assert not state.synced
    with pytest.raises(TimeoutError):
        await state.wait_synced(0.01)
    state.mark_synced()
    await state.wait_synced(0.01)
    assert state.synced


def test_silence_makes_it_stale() -> None:
    clock = FakeClock(100.0)
    state = make_state(clock=clock)
    assert state.last_event_age(PodRecord) == float("inf")
    assert state.stale()
    state.mark_synced()
    assert not state.stale()
    clock.forward(61)
    assert state.stale()
    assert not state.stale(max_age=90)
    for record_type in (PodRecord, NodeRecord):
        state.touch(record_type)
    assert state.stale()
    assert state.last_event_age(PodRecord) == 0


def test_a_list_is_no_sign_of_the_watch() -> None:
    clock = FakeClock(100.0)
    state = make_state(clock=clock)
    state.mark_synced()
    state.touch(PodRecord, listed=True)
    assert state.last_event_age(PodRecord) == 0
    assert state.watched_age(PodRecord) == float("inf")
    state.touch(PodRecord)
    clock.forward(5)
    state.touch(PodRecord, listed=True)
    assert state.watched_age(PodRecord) == 5


async def test_waiting_ends_when_each_pod_was_seen_as_expected() -> None:
    state = make_state()
    a, b = make_pod("a"), make_pod("b")
    state.apply(a)
    state.apply(b)
    wanted = {
        a.uid: lambda pod: pod is not None and pod.deletion_cost == -5,
        b.uid: lambda pod: pod is None or pod.deletion_cost == -6,
    }
    waiting = asyncio.create_task(state.wait_for(wanted, timeout=5))
    await asyncio.sleep(0)
    state.apply(make_pod("a", deletion_cost=-5))
    state.apply(make_pod("a", deletion_cost=-7))  # seen once is enough
    await asyncio.sleep(0)
    assert not waiting.done()
    state.remove(b)
    assert await waiting
    assert await state.wait_for({}, timeout=0)
    assert not await state.wait_for({a.uid: lambda pod: pod is None}, timeout=0.01)


async def test_a_predicate_that_raises_does_not_reach_the_informer() -> None:
    state = make_state()
    state.apply(make_namespace("shop"))

    def broken(pod: PodRecord | None) -> bool:
        if pod is None:
            return False
        raise RuntimeError("no")

    waiting = asyncio.create_task(state.wait_for({PodUid("uid-a"): broken}, timeout=0.05))
    await asyncio.sleep(0)
    state.apply(make_pod("a"))
    assert not await waiting


def test_a_pod_that_was_gated_is_unschedulable_since_the_scheduler_was_seen_to_look_for_a_node() -> None:
    """The condition's own time is that of the creation."""
    clock = FakeClock(100.0)
    state = make_state(now=clock)

    def waits(**pending: Any) -> float:
        state.apply(make_pod(node="", phase=Phase.PENDING, pending=Pending(**pending)))
        held = state.pods[make_pod().uid].pending
        assert held is not None
        return held.unschedulable_since

    assert waits(gated=True) == 0.0
    clock.forward(3600)
    refused = clock.now()
    assert waits(unschedulable_since=100.0) == refused
    clock.forward(5)
    assert waits(unschedulable_since=100.0, message="0/3 nodes") == refused, "it is seen again"
    assert waits(unschedulable_since=refused + 4) == refused + 4, "it was bound to be placed in between"


def test_a_pod_that_waits_without_a_gate_is_unschedulable_since_its_condition_says_so() -> None:
    state = make_state(now=lambda: 500.0)
    state.apply(make_pod(node="", phase=Phase.PENDING, pending=Pending()))
    state.apply(make_pod(node="", phase=Phase.PENDING, pending=Pending(unschedulable_since=100.0)))
    assert state.pods[make_pod().uid].pending == Pending(unschedulable_since=100.0)


def test_a_pod_that_changes_brings_no_second_copy_of_its_name() -> None:
    state = make_state()
    app, number = "web", 1
    first, second = (make_pod(f"{app}-{number}", uid=PodUid(f"u-{number}"), ready=ready) for ready in (True, False))
    assert first.name is not second.name
    state.apply(first)
    state.apply(second)
    held = state.pods[first.uid]
    assert held.uid is first.uid
    assert held.name is first.name
    assert not held.ready


@pytest.mark.parametrize("first", ["the ReplicaSet", "the pod"])
def test_a_pod_that_names_a_replicaset_of_another_namespace_is_none_of_its_pods(first: str) -> None:
    """Anybody may write any uid into `ownerReferences`; no controller looks at one in another namespace."""
    state = make_state()
    told: list[tuple[str, str]] = []
    state.subscribe(PodRecord, lambda _, new: told.append((new.namespace, new.owner_uid) if new else ("", "")))
    owner, own, strange = make_replicaset(), make_pod(), make_pod("x", namespace="den", uid=PodUid("uid-x"))
    for record in (owner, own, strange) if first == "the ReplicaSet" else (strange, own, owner):
        state.apply(record)

    assert [pod.key for pod in state.pods_of(owner.uid)] == [own.key]
    held = state.pods[PodUid("uid-x")]
    assert (held.owner_uid, held.owner_kind, held.owner_name) == ("", "", "")
    assert held in state.pods_on(held.node)
    assert ("den", "") in told
    again = make_pod("x", namespace="den", uid=PodUid("uid-x"))
    assert not state.apply(again), "seen once more, it is no change"
    state.remove(held)
    assert len(state.pods_of(owner.uid)) == 1


def test_a_pod_that_has_run_holds_no_more_than_its_kubelet_reports() -> None:
    state = make_state()
    pod = make_pod(phase=Phase.PENDING, cpu_millis=100)

    def granted(**changes: Any) -> int:
        nonlocal pod
        pod = msgspec.structs.replace(pod, **changes)
        state.apply(msgspec.structs.replace(pod))
        return state.pods[pod.uid].granted.cpu_millis

    assert granted() == 100
    assert granted(cpu_millis=200) == 200, "what never ran is created as it is now"
    assert granted(phase=Phase.RUNNING) == 200
    assert granted(cpu_millis=9_000) == 200, "resized between two runs of its containers"
    assert granted(restarts=1) == 200
    assert granted(cpu_millis=150) == 150
    assert granted(cpu_millis=9_000, held=(300, 1 << 30)) == 300
    assert granted(held=None) == 300
    assert granted(held=(9_000, 1 << 30)) == 9_000
