"""A pool's verdict on the board, and what the next leader makes of its status."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from spillway.api.virtualnodebudget import VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.controllers.status.node_summary import PoolCount
from spillway.domain.model.names import NodeName, PodUid
from spillway.domain.model.records import PodRecord
from spillway.domain.pools.health import PROBE_PODS
from spillway.kube.pod_events import PodEvent
from spillway.state.catalog import Kind
from tests.support.fake_clock import FakeClock
from tests.support.pools import FAILOVER, STOCK_OUT, Rig, budget, nodes, policy, sent
from tests.support.statuses import budget_status

CLOSED = {"unschedulable": True}


def rig(*records: Any, clock: FakeClock | None = None, status: dict[str, Any] | None = None, **spec: Any) -> Rig:
    """Two nodes of `a`, one of `b`, one owned; `spec` is of `a`."""
    found = [*nodes("a", "a", "b", "owned"), *records]
    return Rig.of(found, [budget("a", status=status, **spec), budget("b"), policy()], clock=clock)


def status_of(rig: Rig, pool: str = "a") -> VirtualNodeBudgetStatus:
    """As the status controller writes it."""
    entry = rig.world.catalog.entries(Kind.VIRTUAL_NODE_BUDGET)[pool]
    assert isinstance(entry.model, VirtualNodeBudget)
    return budget_status(
        entry.model,
        current=VirtualNodeBudgetStatus.model_validate(entry.status),
        count=PoolCount(nodes=2, ready=2),
        now=datetime.fromtimestamp(rig.clock.now(), UTC),
        memory=rig.pools.views[pool].memory,
    )


def condition(status: VirtualNodeBudgetStatus, kind: str) -> tuple[str, str]:
    return next((str(one.status), one.reason) for one in status.conditions if one.type == kind)


async def test_a_verdict_stands_before_anybody_asks() -> None:
    found = rig(cordon="Hold")
    assert {pool: (one.takes, one.reason) for pool, one in found.world.board.verdicts.items()} == {
        "a": (False, "Held"),
        "b": (True, "Open"),
    }


async def test_a_pool_falls_when_all_its_nodes_are_down_for_long_and_comes_back_with_a_few_pods() -> None:
    found = rig(failover=FAILOVER)
    found.fall("a-1")
    await found.advance(100.0)
    assert await found.judge() == (True, "Open"), "one node is ready"
    found.fall("a-2")
    await found.advance(59.0)
    assert await found.judge() == (True, "Open")
    await found.advance(1.0)
    assert await found.judge() == (False, "Unhealthy")
    assert condition(status_of(found), "Healthy") == ("False", "NodesNotReady")
    assert condition(status_of(found), "Accepting") == ("False", "Unhealthy")

    found.rise("a-1", "a-2")
    await found.advance(299.0)
    assert await found.judge() == (False, "Unhealthy"), "held for the whole back-off"
    await found.advance(1.0)
    assert await found.judge() == (True, "Retrying")

    pods = [sent(f"web-{index}", pools="a") for index in range(PROBE_PODS)]
    found.apply(*pods)
    assert await found.judge() == (False, "Retrying"), "a few at a time"
    await found.advance(1.0)
    found.apply(msgspec.structs.replace(pods[0], node=NodeName("a-1")))
    found.start(msgspec.structs.replace(pods[0], node=NodeName("a-1")))
    assert await found.judge() == (True, "Open")
    assert condition(status_of(found), "Healthy") == ("True", "Healthy")
    assert status_of(found).health is not None
    assert status_of(found).health.failures == 1, "not forgotten yet"  # type: ignore[union-attr]


async def test_it_is_not_blamed_while_most_of_everything_looks_dead() -> None:
    found = rig(failover=FAILOVER)
    found.fall("a-1", "a-2", "owned-1")
    await found.advance(100.0)
    assert await found.judge() == (True, "Open")
    assert await found.pools.reconcile("a") == pytest.approx(5.0, abs=0.1)
    found.rise("owned-1")
    assert await found.judge() == (False, "Unhealthy")


async def test_it_asks_to_be_looked_at_when_time_alone_changes_the_verdict() -> None:
    found = rig(failover=FAILOVER)
    assert await found.pools.reconcile("a") is None
    found.fall("a-1", "a-2")
    assert await found.pools.reconcile("a") == pytest.approx(60.0, abs=0.1)
    await found.advance(60.0)
    await found.pools.reconcile("a")
    found.rise("a-1", "a-2")
    assert await found.pools.reconcile("a") == pytest.approx(300.0, abs=0.1)


async def test_a_pool_falls_when_no_pod_starts_on_it() -> None:
    pods = [sent(f"web-{index}", node="a-1") for index in range(3)]
    found = rig(*pods)
    await found.advance(59.0)
    assert await found.judge() == (True, "Open")
    await found.advance(1.0)
    assert await found.judge() == (False, "Unhealthy")
    assert condition(status_of(found), "Healthy") == ("False", "PodsNotStarting")


# Pods that are replaced before the pool counts as failed


def impatient(*pods: Any) -> Rig:
    """Pods are given half as long as the pool."""
    placement = {"spillAfter": "30s"}
    resources = [budget("a", failover=FAILOVER), budget("b"), policy(placement=placement)]
    return Rig.of([*nodes("a", "b", "owned"), *pods], resources)


async def give_up(found: Rig, *pods: PodRecord) -> None:
    """They are replaced, and are gone."""
    for pod in pods:
        await found.replacer.reconcile(pod.uid)
        found.world.state.remove(pod)


def bound(*names: str) -> list[PodRecord]:
    return [sent(name, node="a-1") for name in names]


async def test_a_pool_falls_also_when_its_pods_are_made_anew_before_that() -> None:
    found = impatient(*(pods := bound("w1", "w2", "w3")))
    await found.advance(30.0)
    await give_up(found, *pods)
    assert found.writer.names == ["w1", "w2", "w3"]
    assert await found.judge() == (True, "Open")
    await found.advance(30.0)
    assert await found.judge() == (False, "Unhealthy")


async def test_a_pod_that_is_made_anew_counts_once() -> None:
    found = impatient(*(pods := bound("w1", "w2")))
    await found.advance(60.0)
    for pod in pods:
        await found.replacer.reconcile(pod.uid)
    assert await found.judge() == (True, "Open"), "the informer shows them still"


async def test_it_falls_again_for_the_first_pod_that_does_not_start_while_it_is_tried() -> None:
    found = impatient(*(pods := bound("w1", "w2", "w3")))
    await found.advance(30.0)
    await give_up(found, *pods)
    await found.advance(30.0)
    await found.judge()
    await found.advance(300.0)
    assert await found.judge() == (True, "Retrying")
    await found.advance(100.0)
    assert await found.judge() == (True, "Retrying"), "no one came"
    found.apply(*(pods := bound("w4")))
    await found.advance(30.0)
    await give_up(found, *pods)
    assert await found.judge() == (True, "Retrying")
    await found.advance(30.0)
    assert await found.judge() == (False, "Unhealthy")
    assert status_of(found).health.failures == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("starts", [True, False])
async def test_pods_that_were_made_anew_are_forgotten(*, starts: bool) -> None:
    """When one starts, or none came for a while."""
    found = impatient(*(pods := bound("w1", "w2")))
    await found.advance(30.0)
    await give_up(found, *pods)
    if starts:
        found.apply(*(third := bound("w3")))
        found.start(third[0])
        await found.judge()
    else:
        await found.advance(60.0)
    found.apply(*bound("w4", "w5"))
    await found.advance(59.0)
    assert await found.judge() == (True, "Open")
    await found.advance(100.0)
    assert await found.judge() == (True, "Open"), "two only"


async def test_pods_made_anew_from_a_node_that_is_down_do_not_speak_against_the_pool() -> None:
    found = impatient(*nodes("a", "a"), *(pods := bound("w1", "w2", "w3")))
    found.fall("a-1")
    await found.advance(30.0)
    await give_up(found, *pods)
    await found.advance(30.0)
    assert await found.judge() == (True, "Open")


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([sent(f"w{n}", node="a-1") for n in range(2)], id="two only"),
        pytest.param([sent(f"w{n}", node="a-1", reason="ImagePullBackOff") for n in range(5)], id="their own fault"),
        pytest.param([sent(f"w{n}", node="a-1", started=1001.0) for n in range(5)], id="their kubelet has them"),
        pytest.param([sent(f"w{n}") for n in range(5)], id="on no node"),
        pytest.param([sent(f"w{n}", node="b-1") for n in range(5)], id="another pool's"),
    ],
)
async def test_these_pods_do_not_speak_against_a_pool(pods: list[Any]) -> None:
    found = rig(*pods)
    await found.advance(100.0)
    assert await found.judge() == (True, "Open")


async def test_a_pod_that_has_started_speaks_for_it() -> None:
    pods = [sent(f"web-{index}", node="a-1") for index in range(4)]
    found = rig(*pods)
    await found.advance(30.0)
    found.start(pods[3])
    await found.advance(59.0)
    assert await found.judge() == (True, "Open")
    await found.advance(1.0)
    assert await found.judge() == (False, "Unhealthy"), "since that one no other has"


async def test_a_person_s_hold_stays_whatever_the_health() -> None:
    found = rig(failover=FAILOVER)
    found.fall("a-1", "a-2")
    await found.advance(60.0)
    assert await found.judge() == (False, "Unhealthy")
    held = budget("a", version=70, failover=FAILOVER, cordon="Hold")
    found.world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, held)
    assert await found.judge() == (False, "Held")
    found.rise("a-1", "a-2")
    await found.advance(5000.0)
    assert await found.judge() == (False, "Held")
    found.world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, budget("a", version=71, failover=FAILOVER))
    assert await found.judge() == (True, "Retrying"), "it had failed, and is tried first"


async def test_nodes_closed_by_hand_close_the_pool() -> None:
    found = rig()
    found.apply(*[msgspec.structs.replace(node, **CLOSED) for node in nodes("a", "a")])
    assert await found.judge() == (False, "Held")


async def test_the_next_leader_does_not_forget() -> None:
    first = rig(failover=FAILOVER, stockOut=STOCK_OUT)
    first.fall("a-1", "a-2")
    await first.advance(60.0)
    await first.judge()
    first.pools.stock_outs.handle_event(PodEvent(PodUid("none"), "shop", "none", "NoStock", ""))
    status = status_of(first).wire()

    second = rig(clock=FakeClock(first.clock.now() + 5.0), status=status, failover=FAILOVER, stockOut=STOCK_OUT)
    assert second.world.board.verdict("a").reason == "Unhealthy"
    # Nor does it begin the back-off again.
    await second.advance(294.0)
    assert await second.judge() == (False, "Unhealthy")
    await second.advance(2.0)
    assert await second.judge() == (True, "Retrying")


async def test_a_node_found_down_is_known_to_be_down_since_its_own_condition_says_so() -> None:
    down = [msgspec.structs.replace(node, ready=False, unready_since=930.0) for node in nodes("a")]
    found = Rig.of([*down, *nodes("owned")], [budget("a"), policy()])
    assert await found.judge() == (False, "Unhealthy")


async def test_a_status_that_cannot_be_read_is_no_memory() -> None:
    found = rig(status={"health": {"state": 7}, "ladderStep": "x"})
    assert await found.judge() == (True, "Open")


# Stock


async def test_a_sign_on_a_pod_moves_the_ladder_and_time_moves_it_back() -> None:
    found = rig(stockOut=STOCK_OUT)
    found.apply(sent("web-1", node="a-1", reason="NoStock", cpu_millis=500, memory_bytes=1 << 30))
    verdict = found.world.board.verdict("a")
    assert (verdict.takes, verdict.step) == (True, 1)
    assert condition(status_of(found), "InStock") == ("True", "BiggerSize")
    assert status_of(found).ladder_step == 1
    await found.advance(1.0)
    found.apply(sent("web-2", node="a-1", reason="NoStock", created=1001.0, size=f"2000m-{4 << 30}"))
    assert found.world.board.verdict("a").step == 2
    await found.advance(1.0)
    found.apply(sent("web-3", node="a-1", reason="NoStock", created=1002.0, size=f"4000m-{8 << 30}"))
    verdict = found.world.board.verdict("a")
    assert (verdict.takes, verdict.reason) == (False, "OutOfStock")
    assert condition(status_of(found), "Accepting") == ("False", "OutOfStock")
    await found.advance(1799.0)
    assert await found.judge() == (False, "OutOfStock")
    await found.advance(1.0)
    assert await found.judge() == (True, "Open")
    assert found.world.board.verdict("a").step == 0


async def test_an_event_is_as_good_as_a_status_also_when_it_comes_before_the_binding() -> None:
    found = rig(stockOut=STOCK_OUT)
    pod = sent("web-1")
    found.apply(pod)
    found.pools.stock_outs.handle_event(PodEvent(pod.uid, "shop", "web-1", "NoStock", "no stock"))
    assert found.world.board.verdict("a").step == 0, "on no node yet"
    found.apply(msgspec.structs.replace(pod, node=NodeName("a-1")))
    assert found.world.board.verdict("a").step == 1
    assert found.unstarted.pods[pod.uid].out_of_stock


async def test_the_step_survives_a_change_of_leader() -> None:
    first = rig(stockOut=STOCK_OUT)
    first.apply(sent("web-1", node="a-1", reason="NoStock"))
    second = rig(clock=FakeClock(1500.0), status=status_of(first).wire(), stockOut=STOCK_OUT)
    assert second.world.board.verdict("a").step == 1
    await second.advance(1301.0)
    await second.judge()
    assert second.world.board.verdict("a").step == 0


async def test_a_budget_that_is_gone_is_gone_from_the_board() -> None:
    found = rig()
    found.world.catalog.delete(Kind.VIRTUAL_NODE_BUDGET, "a", 99)
    await found.pools.reconcile("a")
    assert set(found.world.board.verdicts) == {"b"}
