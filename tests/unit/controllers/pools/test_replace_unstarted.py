"""Pods that do not start: which are replaced, and where their successors have to go."""

import asyncio
from typing import Any

import msgspec
import pytest

from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.records import Pending, PodRecord
from spillway.kube.writer import REFUSED_SECONDS
from spillway.state.board import AVOID_SECONDS, Redirect
from spillway.state.catalog import Kind
from tests.support.pools import FAILOVER, STOCK_OUT, Rig, budget, deleting, nodes, policy, sent

OWNER = OwnerUid("rs-web")


def rig(
    *pods: PodRecord,
    mode: str = "Enforce",
    answer: Any = lambda _: True,
    spill_after: str = "60s",
    **spec: Any,
) -> Rig:
    resources = [
        budget("a", failover=FAILOVER, **spec),
        budget("b", failover=FAILOVER),
        policy(mode, placement={"spillAfter": spill_after}),
    ]
    return Rig.of([*nodes("a", "b", "owned"), *pods], resources, answer=answer)


def redirect(rig: Rig) -> Redirect | None:
    """The redirect for the next pod of the ReplicaSet, without its time."""
    found = rig.world.board.take_redirect(OWNER)
    return None if found is None else Redirect(0.0, found.physical, found.virtual, found.avoid)


async def idle(rig: Rig) -> None:
    """Wait until every look that was asked for has been taken."""
    async with asyncio.timeout(10.0):
        while not rig.replacer.queue.idle:  # noqa: ASYNC110  # the queue has no event of it
            await asyncio.sleep(0.01)


async def test_one_that_is_bound_and_does_not_start_goes_to_the_next_pool_after_start_after() -> None:
    pod = sent("web-1", node="a-1", pools="a")
    found = rig(pod)
    assert await found.replacer.reconcile(pod.uid) == pytest.approx(60.0, abs=0.1)
    assert found.writer.names == []
    await found.advance(60.0)
    await found.replacer.reconcile(pod.uid)
    assert found.writer.names == ["web-1"]
    assert redirect(found) == Redirect(0.0, virtual=True, avoid=frozenset({"a"}))


@pytest.mark.parametrize("spill_after", ["0s", "10s", "1h"])
async def test_spill_after_is_no_matter_of_pods_that_are_bound(spill_after: str) -> None:
    pod = sent("web-1", node="a-1", pools="a")
    found = rig(pod, spill_after=spill_after)
    assert await found.replacer.reconcile(pod.uid) == pytest.approx(60.0, abs=0.1)
    await found.advance(59.0)
    await found.replacer.reconcile(pod.uid)
    assert found.writer.names == []
    await found.advance(1.0)
    await found.replacer.reconcile(pod.uid)
    assert found.writer.names == ["web-1"]


@pytest.mark.parametrize(
    ("failover", "expected"), [({}, 120.0), ({"startAfter": "5m"}, 300.0), ({"startAfter": "0s"}, 30.0)]
)
async def test_how_long_a_pod_may_take_to_start(failover: dict[str, Any], expected: float) -> None:
    """By default, as given, and at least half a minute also where the API server did not check it."""
    pod = sent("web-1", node="a-1", pools="a")
    found = Rig.of([*nodes("a"), pod], [budget("a", failover=failover), budget("b"), policy()])
    assert await found.replacer.reconcile(pod.uid) == pytest.approx(expected, abs=0.1)


async def test_an_owners_pods_avoid_one_pool_after_the_other_for_a_while() -> None:
    first, second = sent("web-1", node="a-1", pools="a"), sent("web-2", pools="b")
    found = rig(first)
    await found.advance(60.0)
    await found.replacer.reconcile(first.uid)
    assert redirect(found) is not None
    assert found.world.board.avoided(OWNER) == {"a"}, "also by those that are no successors"
    found.world.state.remove(first)
    found.apply(second, msgspec.structs.replace(second, node=NodeName("b-1")))
    await found.advance(60.0)
    await found.replacer.reconcile(second.uid)
    assert redirect(found) == Redirect(0.0, virtual=True, avoid=frozenset({"a", "b"})), "physical nodes at the end"

    third = sent("web-3", node="b-1", pools="b")
    found.apply(third)
    await found.advance(AVOID_SECONDS)
    await found.replacer.reconcile(third.uid)
    assert redirect(found) == Redirect(0.0, virtual=True, avoid=frozenset({"b"}))


async def test_one_whose_pools_are_all_closed_does_not_wait() -> None:
    pod = sent("web-1", pools="a")
    found = rig(pod)
    found.fall("a-1")
    await found.advance(60.0)
    await found.replacer.reconcile(pod.uid)
    assert found.writer.names == [], "the pool may still take it"
    await found.judge()
    await found.replacer.reconcile(pod.uid)
    assert found.writer.names == ["web-1"]
    assert redirect(found) == Redirect(0.0, virtual=True)


async def test_one_that_another_pool_may_take_waits() -> None:
    pod = sent("web-1", pools="a,b")
    found = rig(pod)
    found.fall("a-1")
    await found.advance(60.0)
    await found.judge()
    assert await found.replacer.reconcile(pod.uid) is None
    assert found.writer.names == []


async def test_a_person_s_hold_leaves_what_is_bound_and_moves_what_waits() -> None:
    bound, waiting = sent("web-1", node="a-1", pools="a"), sent("web-2", pools="a")
    found = rig(bound, waiting)
    held = budget("a", version=60, failover=FAILOVER, cordon="Hold")
    found.world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, held)
    await found.judge()
    await found.advance(2.0)
    for pod in (bound, waiting):
        await found.replacer.reconcile(pod.uid)
    assert found.writer.names == ["web-2"]


async def test_a_stock_out_is_answered_at_once_by_the_next_size_on_the_same_pool() -> None:
    pod = sent("web-1", node="a-1", pools="a", reason="NoStock", cpu_millis=500, memory_bytes=1 << 30)
    found = rig(pod, stockOut=STOCK_OUT)
    await found.replacer.reconcile(pod.uid)
    assert found.writer.names == ["web-1"]
    assert found.world.board.verdict("a").step_for("shop") == 1
    assert redirect(found) == Redirect(0.0, virtual=True)


async def test_a_stock_out_without_a_bigger_size_goes_to_the_next_pool() -> None:
    pod = sent("web-1", node="a-1", pools="a", reason="NoStock", cpu_millis=32_000, memory_bytes=1 << 30)
    found = rig(pod, stockOut=STOCK_OUT)
    await found.replacer.reconcile(pod.uid)
    assert found.world.board.verdict("a").step_for("shop") == 0
    assert redirect(found) == Redirect(0.0, virtual=True, avoid=frozenset({"a"}))


def waiting(number: int, **changes: Any) -> PodRecord:
    """One that was created a second after the one before, and is on pool `a`."""
    given: dict[str, Any] = {"node": "a-1", "pools": "a", "cpu_millis": 400, "created": 1000.0 + number}
    return sent(f"web-{number}", **(given | changes))


async def test_a_pod_that_passes_a_limit_is_replaced_elsewhere_if_it_never_started() -> None:
    pods = [waiting(number) for number in range(1, 4)]
    found = rig(*pods, limits={"cpu": "1"})
    for pod in pods:
        await found.replacer.reconcile(pod.uid)
    assert found.writer.names == ["web-3"]
    assert redirect(found) == Redirect(0.0, virtual=True, avoid=frozenset({"a"}))
    assert found.world.board.avoided(OWNER) == frozenset(), "others come again once there is room"


async def test_also_one_that_is_sent_there_and_has_no_node() -> None:
    pods = [waiting(1), waiting(2), waiting(3, node="", pools="a,b")]
    found = rig(*pods, limits={"cpu": "1"})
    await found.replacer.reconcile(pods[2].uid)
    assert found.writer.names == ["web-3"]
    assert redirect(found) == Redirect(0.0, virtual=True, avoid=frozenset({"a"}))


async def test_a_pod_that_grew_makes_way_by_the_newest() -> None:
    pods = [waiting(1), waiting(2), waiting(3, cpu_millis=100)]
    found = rig(*pods, limits={"cpu": "1"})
    await found.replacer.reconcile(pods[0].uid)
    assert found.writer.names == []
    found.start(pods[0])
    found.apply(msgspec.structs.replace(found.world.state.pods[pods[0].uid], cpu_millis=700))
    found.replacer.queue.add(pods[1].uid)
    for pod in pods:
        await found.replacer.reconcile(pod.uid)
    assert found.writer.names == ["web-2", "web-3"]


async def test_a_limit_that_was_lowered_moves_what_has_not_started() -> None:
    pods = [waiting(1), waiting(2)]
    found = rig(*pods, limits={"cpu": "1"})
    found.start(pods[0])
    found.world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, budget("a", version=60, limits={"pods": 1}))
    for pod in pods:
        await found.replacer.reconcile(pod.uid)
    assert found.writer.names == ["web-2"]


async def test_one_that_its_provider_has_taken_stays_whatever_the_limit() -> None:
    pods = [waiting(1), waiting(2, started=1002.0), waiting(3, policy="gone", owner_uid=OwnerUid("x"))]
    found = rig(*pods, limits={"pods": 1})
    for pod in pods:
        await found.replacer.reconcile(pod.uid)
    assert found.writer.names == ["web-1"]


async def test_no_other_has_to_leave_while_one_is_being_deleted() -> None:
    pods = [waiting(1), waiting(2), waiting(3)]
    found = rig(*pods, limits={"cpu": "1"})
    found.apply(msgspec.structs.replace(pods[2], terminating=True))
    for pod in pods:
        await found.replacer.reconcile(pod.uid)
    assert found.writer.names == []


async def test_recommend_leaves_those_that_pass_a_limit() -> None:
    pods = [waiting(1), waiting(2)]
    found = rig(*pods, mode="Recommend", limits={"pods": 1})
    for pod in pods:
        await found.replacer.reconcile(pod.uid)
    assert found.writer.names == []


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(sent("web-1", node="a-1", reason="ErrImagePull"), id="its own fault"),
        pytest.param(sent("web-1", node="a-1", started=1001.0), id="its kubelet has it"),
        pytest.param(sent("web-1", node="a-1", pending=Pending()), id="not placed by us"),
        pytest.param(sent("web-1", pending=Pending(placement="physical", pools="c")), id="it may still be physical"),
        pytest.param(sent("web-1", node="a-1", owner_uid=OwnerUid("x"), policy="gone"), id="governed by no policy"),
        pytest.param(sent("web-1", node="a-1", owner_uid=OwnerUid(""), owner_kind=""), id="no controller replaces it"),
    ],
)
async def test_left_alone(pod: PodRecord) -> None:
    found = rig(pod)
    await found.advance(600.0)
    await found.judge()
    await found.replacer.reconcile(pod.uid)
    assert found.writer.names == []


async def test_recommend_deletes_nothing() -> None:
    pod = sent("web-1", node="a-1")
    found = rig(pod, mode="Recommend")
    await found.advance(60.0)
    await found.replacer.reconcile(pod.uid)
    assert found.writer.names == []
    assert redirect(found) is None


async def test_one_that_started_after_all_leaves_no_redirect() -> None:
    pod = sent("web-1", node="a-1")
    found = rig(pod, answer=lambda _: False)
    await found.advance(60.0)
    assert await found.replacer.reconcile(pod.uid) == REFUSED_SECONDS
    assert redirect(found) is None
    assert found.world.board.avoided(OWNER) == frozenset()


async def test_no_more_of_a_jobs_pods_than_it_forgives() -> None:
    pods = [
        sent(f"job-{n}", node="a-1", owner_kind="Job", owner_uid=OwnerUid("job"), owner_name="job") for n in range(6)
    ]
    found = rig(*pods)
    await found.advance(60.0)
    for pod in pods:
        await found.replacer.reconcile(pod.uid)
    assert len(found.writer.names) == 3, "the last of four retries is its own"


async def test_a_job_whose_name_is_a_path_forgives_nothing() -> None:
    pod = sent("job-1", node="a-1", owner_kind="Job", owner_uid=OwnerUid("job"), owner_name="../../jobs/victim")
    found = rig(pod)
    await found.advance(60.0)
    await found.replacer.reconcile(pod.uid)
    assert found.writer.names == []


async def test_no_more_of_a_jobs_pods_than_it_forgives_at_once() -> None:
    """Several workers ask before the first of them has deleted."""
    job: dict[str, Any] = {"owner_kind": "Job", "owner_uid": OwnerUid("job"), "owner_name": "job"}
    pods = [sent(f"job-{n}", node="a-1", **job) for n in range(6)]
    found = rig(*pods)
    found.writer.respond = deleting(lambda _: True)
    await found.advance(60.0)
    await asyncio.gather(*(found.replacer.reconcile(pod.uid) for pod in pods))
    assert len(found.writer.names) == 3


@pytest.mark.parametrize(("kind", "follows"), [("Job", True), ("ReplicaSet", False)])
async def test_a_jobs_redirect_waits_for_the_longest_back_off_of_a_job(*, kind: str, follows: bool) -> None:
    found = rig(pod := sent("job-1", node="a-1", owner_kind=kind))
    await found.advance(60.0)
    await found.replacer.reconcile(pod.uid)
    assert found.writer.names == ["job-1"]
    await found.advance(601.0)
    assert (redirect(found) is not None) is follows


async def test_a_refused_deletion_is_none_that_a_job_has_to_forgive() -> None:
    pod = sent("job-1", node="a-1", owner_kind="Job", owner_uid=OwnerUid("job"), owner_name="job")
    refused = rig(pod, answer=lambda _: False)
    await refused.advance(60.0)
    for _ in range(5):
        await refused.replacer.reconcile(pod.uid)
    assert len(refused.writer.names) == 5, "asked each time"


async def test_what_waits_is_looked_at_again_when_the_policy_is_enforced() -> None:
    pod = sent("web-1", node="a-1")
    found = rig(pod, mode="Recommend")
    subscriptions = list(found.replacer.subscribe())
    await found.advance(60.0)
    worker = asyncio.create_task(found.replacer.queue.run(found.replacer.reconcile))
    found.replacer.queue.add(pod.uid)
    await idle(found)
    assert found.writer.names == []
    found.world.catalog.upsert(Kind.ELASTIC_POLICY, policy() | {"metadata": {"name": "online", "resourceVersion": "9"}})
    await idle(found)
    assert found.writer.names == ["web-1"]
    for unsubscribe in subscriptions:
        unsubscribe()
    found.replacer.queue.close()
    await worker
