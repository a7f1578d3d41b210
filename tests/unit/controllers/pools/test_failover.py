"""Which pods are deleted with the nodes of a pool, and when none is."""

from typing import Any

import msgspec
import pytest

from spillway.controllers.pools.failover import AGAIN_SECONDS, SUSPENDED_SECONDS
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import PodRecord
from spillway.state.catalog import Kind
from spillway.telemetry import pools as metrics
from tests.support.fake_clock import FakeClock
from tests.support.pools import FAILOVER, Rig, budget, lost, nodes, policy, sent


def rig(*pods: PodRecord, mode: str = "Enforce", answer: Any = lambda _: True, **spec: Any) -> Rig:
    records = [*nodes("a", "a", "b", "owned", "owned"), *pods]
    wanted = {"failover": FAILOVER, **spec}
    given = {name: value for name, value in wanted.items() if value is not None}
    return Rig.of(records, [budget("a", **given), budget("b"), policy(mode)], clock=FakeClock(1000.0), answer=answer)


PODS = [*(lost(f"web-{n}", "a-1") for n in range(3)), *(lost(f"web-{n}", "a-2") for n in range(3, 5))]


async def test_a_whole_pool() -> None:
    found = rig(*PODS, lost("web-9", "b-1"), lost("web-8", "owned-1"))
    found.fall("a-1", "a-2")
    assert await found.failover.reconcile("a") == pytest.approx(60.0)
    assert found.writer.names == []
    await found.advance(60.0)
    assert await found.failover.reconcile("a") == AGAIN_SECONDS
    assert sorted(found.writer.names) == [f"web-{n}" for n in range(5)]


async def test_only_the_pods_of_the_nodes_that_died() -> None:
    found = rig(*PODS)
    found.fall("a-2")
    await found.advance(30.0)
    found.fall("a-1")
    await found.advance(30.0)
    await found.failover.reconcile("a")
    assert found.writer.names == ["web-3", "web-4"]


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([lost("web-1", "a-1", ready=True)], id="still ready"),
        pytest.param([lost("web-1", "a-1", terminating=True)], id="terminating"),
        pytest.param([lost("web-1", "a-1", owner_uid=OwnerUid("x"), policy="")], id="governed by no policy"),
        pytest.param([lost("web-1", "a-1", owner_kind="StatefulSet")], id="a StatefulSet's"),
    ],
)
async def test_left_alone(pods: list[PodRecord]) -> None:
    found = rig(*pods)
    found.fall("a-1", "a-2")
    await found.advance(60.0)
    await found.failover.reconcile("a")
    assert found.writer.names == []


@pytest.mark.parametrize(
    "workload",
    [{"placement": None}, {"placement": None, "scaling": {"target": {"metric": "cpu", "utilization": 60}}}],
    ids=["neither threshold nor placement", "only scaling"],
)
async def test_a_class_that_is_not_placed_is_not_touched(workload: dict[str, Any]) -> None:
    resources = [budget("a", failover=FAILOVER), policy(**workload)]
    found = Rig.of([*nodes("a", "owned"), lost("web-1", "a-1")], resources)
    found.fall("a-1")
    await found.advance(60.0)
    await found.failover.reconcile("a")
    assert found.writer.names == []


@pytest.mark.parametrize(("mode", "failover"), [("Recommend", FAILOVER), ("Enforce", None)])
async def test_nothing_is_deleted_in_recommend_or_without_failover(mode: str, failover: Any) -> None:
    found = rig(*PODS, mode=mode, failover=failover)
    found.fall("a-1", "a-2")
    await found.advance(60.0)
    await found.failover.reconcile("a")
    assert found.writer.names == []


async def test_nothing_is_deleted_while_most_of_everything_looks_dead() -> None:
    found = rig(*PODS)
    found.fall("a-1", "a-2", "owned-1", "owned-2")
    await found.advance(60.0)
    assert await found.failover.reconcile("a") == SUSPENDED_SECONDS
    assert found.writer.names == []
    found.rise("owned-1")
    await found.failover.reconcile("a")
    assert len(found.writer.names) == len(PODS)


async def test_not_one_pod_more_once_the_node_is_back_or_the_data_is_old() -> None:
    def rises(_: str) -> bool:
        found.rise("a-1", "a-2")
        return True

    found = rig(*PODS, answer=rises)
    found.fall("a-1", "a-2")
    await found.advance(60.0)
    await found.failover.reconcile("a")
    assert len(found.writer.names) == 1

    found = rig(*PODS)
    found.fall("a-1", "a-2")
    await found.clock.advance(120.0)
    assert not found.world.fresh
    await found.failover.reconcile("a")
    assert found.writer.names == []


async def test_a_pod_that_became_ready_meanwhile_stays() -> None:
    def recovers(_: str) -> bool:
        found.apply(*[msgspec.structs.replace(pod, ready=True) for pod in PODS])
        return True

    found = rig(*PODS, answer=recovers)
    found.fall("a-1", "a-2")
    await found.advance(60.0)
    await found.failover.reconcile("a")
    assert len(found.writer.names) == 1


async def test_a_budget_that_is_gone_deletes_nothing() -> None:
    found = rig(*PODS)
    found.fall("a-1", "a-2")
    await found.advance(60.0)
    found.world.catalog.delete(Kind.VIRTUAL_NODE_BUDGET, "a", 99)
    assert await found.failover.reconcile("a") is None
    assert found.writer.names == []


async def test_a_recommendation_counts_each_pod_once() -> None:
    counter = metrics.RECOMMENDED.labels("online", "NodeDown")._value
    before = counter.get()
    found = rig(*PODS, mode="Recommend")
    found.fall("a-1")
    await found.advance(60.0)
    for _ in range(3):
        await found.failover.reconcile("a")
        await found.failover.reconcile("b")  # a pool without a dead node
    assert counter.get() - before == 3
    found.rise("a-1")
    await found.failover.reconcile("a")
    found.fall("a-1")
    await found.advance(60.0)
    await found.failover.reconcile("a")
    assert counter.get() - before == 3, "its node is dead again, and the pod is the same"


async def test_a_recommendation_counts_a_pod_once_for_all_causes() -> None:
    def total() -> float:
        return sum(
            one.value
            for metric in metrics.RECOMMENDED.collect()
            for one in metric.samples
            if one.name.endswith("_total")
        )

    before = total()
    pod = sent("web-1", node="a-1", pools="a")
    found = rig(pod, mode="Recommend")
    await found.advance(60.0)
    await found.replacer.reconcile(pod.uid)
    assert total() - before == 1, "it does not start"
    found.fall("a-1")
    await found.advance(60.0)
    await found.failover.reconcile("a")
    await found.replacer.reconcile(pod.uid)
    assert total() - before == 1, "its node is dead as well"
