"""A pool's verdict on the board, and what the next leader makes of its status."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from spillway.api.virtualnodebudget import VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.controllers.status.node_summary import PoolCount
from spillway.domain.model.names import NodeName, OwnerUid, PodUid
from spillway.domain.model.records import Pending, PodRecord
from spillway.domain.pools.health import PROBE_PODS
from spillway.domain.pools.start_failures import REMEMBERED_SECONDS
from spillway.kube.pod_events import PodEvent
from spillway.state.catalog import Kind
from spillway.telemetry.pools import TAKES
from tests.builders import make_namespace
from tests.support.fake_clock import FakeClock
from tests.support.pools import FAILOVER, STOCK_OUT, Rig, budget, nodes, policy, sent
from tests.support.statuses import budget_status

CLOSED = {"unschedulable": True}
IMAGE = Pending(placement="virtual", pools="a,b", reason="ImagePullBackOff")


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


def _shown(pool: str) -> set[tuple[str, float]]:
    """What the metric says of a pool."""
    [family] = TAKES.collect()
    return {(one.labels["reason"], one.value) for one in family.samples if one.labels["pool"] == pool}


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
    assert _shown("a") == {("NoNodes", 0.0)}, "it has not failed, and yet no pod is sent there"
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


def stuck(name: str, workload: str = "web", namespace: str = "shop", node: str = "a-1", **changes: Any) -> PodRecord:
    """A pod of this workload that is bound to `a` and has not started."""
    owner = {"owner_uid": OwnerUid(f"{namespace}-{workload}"), "owner_name": workload}
    return sent(name, node=node, namespace=namespace, **owner, **changes)


SEVERAL = (("web", "shop"), ("api", "shop"), ("web", "bank"))


def several(prefix: str = "w", count: int = 3) -> list[PodRecord]:
    """Pods of several workloads of two namespaces."""
    return [stuck(f"{prefix}{n}", *SEVERAL[n % 3]) for n in range(count)]


async def test_a_pool_falls_when_no_pod_starts_on_it() -> None:
    found = rig(*several())
    await found.advance(119.0)
    assert await found.judge() == (True, "Open")
    await found.advance(1.0)
    assert await found.judge() == (False, "Unhealthy")
    assert condition(status_of(found), "Healthy") == ("False", "PodsNotStarting")


async def test_the_time_for_nodes_is_not_that_for_pods() -> None:
    found = rig(*several(), failover={"unhealthyAfter": "10s", "startAfter": "3m"})
    await found.advance(179.0)
    assert await found.judge() == (True, "Open")
    await found.advance(1.0)
    assert await found.judge() == (False, "Unhealthy")


async def test_one_broken_workload_closes_a_pool_for_nobody() -> None:
    found = rig(*[stuck(f"w{n}") for n in range(20)])
    await found.advance(200.0)
    assert await found.judge() == (True, "Open")
    verdict = found.world.board.verdict("a")
    assert not verdict.kept_out


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([stuck("w1"), stuck("w2"), stuck("w3", "api")], id="two workloads"),
        pytest.param([stuck("w1"), stuck("w2"), stuck("w3", node="a-2")], id="two nodes"),
        pytest.param([stuck(f"w{n}", f"web-{n}", node=f"a-{1 + n % 2}") for n in range(20)], id="many"),
    ],
)
async def test_one_namespace_closes_a_pool_for_itself_alone(pods: list[PodRecord]) -> None:
    found = rig(*pods, failover=FAILOVER)
    await found.advance(59.0)
    await found.judge()
    assert not found.world.board.verdict("a").kept_out
    await found.advance(1.0)
    assert await found.judge() == (True, "Open")
    verdict = found.world.board.verdict("a")
    assert verdict.kept_out == {"shop"}
    assert (verdict.closed_to("shop"), verdict.closed_to("bank")) == (True, False)
    status = status_of(found)
    assert condition(status, "Accepting") == ("True", "NamespacesKeptOut")
    assert condition(status, "Healthy") == ("True", "NamespacesKeptOut")
    assert [(one.namespace, one.state, one.failures) for one in status.namespace_health] == [("shop", "Failed", 1)]

    await found.advance(300.0)
    await found.judge()
    assert not found.world.board.verdict("a").kept_out, "tried again"


async def test_the_first_that_starts_makes_it_healthy_for_a_namespace_again() -> None:
    found = rig(stuck("w1"), stuck("w2"), stuck("w3", "api"), failover=FAILOVER)
    await found.advance(60.0)
    await found.judge()
    await found.advance(300.0)
    await found.judge()
    await found.advance(1.0)
    found.start(stuck("w1"))
    await found.judge()
    (known,) = status_of(found).namespace_health
    assert (known.state, known.failures) == ("Healthy", 1), "not forgotten yet"
    await found.advance(10.0)
    for pod in (stuck("w2"), stuck("w3", "api")):
        found.start(pod)
    await found.advance(300.0)
    await found.judge()
    assert status_of(found).namespace_health == ()
    assert condition(status_of(found), "Accepting") == ("True", "Open")


async def test_a_second_namespace_closes_it_for_all() -> None:
    found = rig(stuck("w1"), stuck("w2"), stuck("w3", "api"), failover=FAILOVER)
    await found.advance(60.0)
    await found.judge()
    found.apply(stuck("w4", "web", "bank"))
    await found.advance(59.0)
    assert await found.judge() == (True, "Open")
    await found.advance(1.0)
    assert await found.judge() == (False, "Unhealthy")


async def test_the_pods_of_a_namespace_that_is_kept_out_leave_at_once_and_others_stay() -> None:
    theirs, late = stuck("w5", "web", "bank"), stuck("w4")
    found = rig(stuck("w1"), stuck("w2"), stuck("w3", "api"), failover=FAILOVER)
    await found.advance(50.0)
    found.apply(theirs, late)
    await found.advance(10.0)
    await found.judge()
    for pod in (theirs, late):
        await found.replacer.reconcile(pod.uid)
    assert found.writer.names == ["w4"]


async def test_the_next_leader_does_not_forget_who_is_kept_out() -> None:
    first = rig(stuck("w1"), stuck("w2"), stuck("w3", "api"), failover=FAILOVER)
    await first.advance(60.0)
    await first.judge()
    second = rig(clock=FakeClock(first.clock.now() + 5.0), status=status_of(first).wire(), failover=FAILOVER)
    assert second.world.board.verdict("a").kept_out == {"shop"}
    await second.advance(296.0)
    await second.judge()
    assert not second.world.board.verdict("a").kept_out


async def test_a_pod_that_waits_on_and_on_does_not_count_for_ever() -> None:
    found = rig(*several(), failover=FAILOVER)
    await found.advance(30.0)
    found.start(stuck("fine", "fine"))
    await found.advance(REMEMBERED_SECONDS)
    found.apply(started := stuck("fine-2", "fine"))
    found.start(started)
    await found.advance(100.0)
    assert await found.judge() == (True, "Open"), "others start, and no new one fails"


# Pods that are replaced before the pool counts as failed


async def give_up(found: Rig, *pods: PodRecord) -> None:
    """They are replaced, and are gone."""
    for pod in pods:
        await found.replacer.reconcile(pod.uid)
        found.world.state.remove(pod)


async def test_a_pool_falls_also_for_pods_that_were_replaced_one_after_the_other() -> None:
    first, second, third = several()
    found = rig(first, make_namespace("bank"), failover=FAILOVER)
    await found.advance(60.0)
    await give_up(found, first)
    for pod in (second, third):
        found.apply(pod)
        await found.advance(60.0)
        assert await found.judge() == ((True, "Open") if pod is second else (False, "Unhealthy"))
        await give_up(found, pod)
    assert found.writer.names == ["w0", "w1", "w2"]


async def test_a_pod_that_is_replaced_counts_once() -> None:
    found = rig(*(pods := several(count=2)), failover=FAILOVER)
    await found.advance(60.0)
    for pod in pods:
        await found.replacer.reconcile(pod.uid)
    assert await found.judge() == (True, "Open"), "the informer shows them still"
    assert len(found.unstarted.start_failures("a", 60.0)) == 2


async def test_it_falls_again_for_pods_that_do_not_start_while_it_is_tried() -> None:
    found = rig(*(pods := several()), failover=FAILOVER)
    await found.advance(60.0)
    await found.judge()
    await give_up(found, *pods)
    await found.advance(300.0)
    assert await found.judge() == (True, "Retrying")
    await found.advance(100.0)
    assert await found.judge() == (True, "Retrying"), "no one came"
    found.apply(stuck("w4"))
    await found.advance(60.0)
    assert await found.judge() == (True, "Retrying"), "one may be at fault itself"
    found.apply(stuck("w5", "web", "bank"))
    await found.advance(60.0)
    assert await found.judge() == (False, "Unhealthy")
    assert status_of(found).health.failures == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("starts", [True, False])
async def test_pods_that_were_replaced_are_forgotten(*, starts: bool) -> None:
    """When one starts, or after a while."""
    found = rig(*(pods := several(count=2)), failover=FAILOVER)
    await found.advance(60.0)
    await give_up(found, *pods)
    if starts:
        found.apply(third := stuck("w3"))
        found.start(third)
        await found.judge()
    else:
        await found.advance(REMEMBERED_SECONDS)
    found.apply(stuck("w4"), stuck("w5", "web", "bank"))
    await found.advance(100.0)
    assert await found.judge() == (True, "Open"), "two only"


async def test_pods_made_anew_from_a_node_that_is_down_do_not_speak_against_the_pool() -> None:
    found = rig(*(pods := several()), failover=FAILOVER)
    found.fall("a-1")
    await found.advance(60.0)
    await give_up(found, *pods)
    assert found.writer.names
    assert await found.judge() == (True, "Open")


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([stuck("w1"), stuck("w2", "web", "bank")], id="two only"),
        pytest.param([msgspec.structs.replace(pod, pending=IMAGE) for pod in several(count=6)], id="their own fault"),
        pytest.param([msgspec.structs.replace(pod, started=1001.0) for pod in several(count=6)], id="their kubelet's"),
        pytest.param([msgspec.structs.replace(pod, node=NodeName("")) for pod in several(count=6)], id="on no node"),
        pytest.param([msgspec.structs.replace(pod, node=NodeName("b-1")) for pod in several(count=6)], id="elsewhere"),
    ],
)
async def test_these_pods_do_not_speak_against_a_pool(pods: list[Any]) -> None:
    found = rig(*pods)
    await found.advance(130.0)
    assert await found.judge() == (True, "Open")
    assert not found.world.board.verdict("a").kept_out


async def test_a_pod_that_has_started_speaks_for_it() -> None:
    pods = several(count=4)
    found = rig(*pods, failover=FAILOVER)
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
    first.watch.found.emit(PodEvent(PodUid("none"), "shop", "none", "NoStock", ""))
    status = status_of(first).wire()

    second = rig(clock=FakeClock(first.clock.now() + 5.0), status=status, failover=FAILOVER, stockOut=STOCK_OUT)
    assert second.world.board.verdict("a").reason == "Unhealthy"
    assert second.world.board.verdicts_read.is_set(), "admission waits for it"
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
    assert (verdict.takes, verdict.step_for("shop")) == (True, 1)
    assert (verdict.step, verdict.step_for("bank")) == (0, 0), "one namespace moves no other's pods"
    assert condition(status_of(found), "InStock") == ("True", "BiggerSize")
    assert status_of(found).ladder_step == 1
    await found.advance(1.0)
    found.apply(sent("web-2", node="a-1", reason="NoStock", created=1001.0, size=f"2000m-{4 << 30}"))
    assert found.world.board.verdict("a").step_for("shop") == 2
    await found.advance(1.0)
    found.apply(sent("web-3", node="a-1", reason="NoStock", created=1002.0, size=f"4000m-{8 << 30}"))
    verdict = found.world.board.verdict("a")
    assert verdict.closed_to("shop")
    assert not verdict.closed_to("bank")
    assert condition(status_of(found), "Accepting") == ("False", "OutOfStock")
    await found.advance(1799.0)
    await found.judge()
    assert found.world.board.verdict("a").closed_to("shop")
    await found.advance(1.0)
    assert await found.judge() == (True, "Open")
    assert not found.world.board.verdict("a").closed_to("shop")
    assert found.world.board.verdict("a").step_for("shop") == 0


async def test_a_size_without_stock_in_two_namespaces_is_none_for_everyone() -> None:
    found = rig(make_namespace("bank"), stockOut=STOCK_OUT)
    for created in (1000.0, 1010.0, 1020.0):
        found.apply(sent(f"web-{created}", node="a-1", reason="NoStock", created=created, size=""))
        found.apply(sent(f"big-{created}", node="a-1", reason="NoStock", created=created + 1, size=f"2000m-{4 << 30}"))
        await found.advance(10.0)
    verdict = found.world.board.verdict("a")
    assert (verdict.step, verdict.step_for("shop")) == (0, 2)
    other = sent("bank-1", node="a-1", reason="NoStock", created=1030.0, namespace="bank")
    found.apply(other)
    verdict = found.world.board.verdict("a")
    assert (verdict.step, verdict.step_for("shop"), verdict.step_for("bank")) == (1, 2, 1)
    second = rig(clock=FakeClock(1500.0), status=status_of(found).wire(), stockOut=STOCK_OUT)
    assert second.world.board.verdict("a") == verdict, "a new leader knows it"


async def test_an_event_is_as_good_as_a_status_also_when_it_comes_before_the_binding() -> None:
    found = rig(stockOut=STOCK_OUT)
    pod = sent("web-1")
    found.apply(pod)
    found.watch.found.emit(PodEvent(pod.uid, "shop", "web-1", "NoStock", "no stock"))
    assert found.world.board.verdict("a").step_for("shop") == 0, "on no node yet"
    found.apply(msgspec.structs.replace(pod, node=NodeName("a-1")))
    assert found.world.board.verdict("a").step_for("shop") == 1
    assert found.unstarted.pods[pod.uid].out_of_stock


async def test_the_step_survives_a_change_of_leader() -> None:
    first = rig(stockOut=STOCK_OUT)
    first.apply(sent("web-1", node="a-1", reason="NoStock"))
    second = rig(clock=FakeClock(1500.0), status=status_of(first).wire(), stockOut=STOCK_OUT)
    assert second.world.board.verdict("a").step_for("shop") == 1
    await second.advance(1301.0)
    await second.judge()
    assert second.world.board.verdict("a").step_for("shop") == 0


async def test_a_budget_that_is_gone_is_gone_from_the_board() -> None:
    found = rig()
    found.world.catalog.delete(Kind.VIRTUAL_NODE_BUDGET, "a", 99)
    await found.pools.reconcile("a")
    assert set(found.world.board.verdicts) == {"b"}
