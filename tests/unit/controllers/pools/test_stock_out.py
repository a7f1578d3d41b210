"""Stock-outs that a provider reports by a pod that has failed."""

from typing import Any

import msgspec
import pytest

from spillway.controllers.pools.stock_out import REMEMBERED_EVENTS
from spillway.controllers.pools.unstarted import NEW_FAILURE_SECONDS
from spillway.domain.model.names import NodeName, OwnerUid, PodUid
from spillway.domain.model.records import Phase
from spillway.kube.pod_events import PodEvent
from spillway.state.catalog import Kind
from tests.support.fake_clock import FakeClock
from tests.support.pools import STOCK_OUT, Rig, budget, failed, nodes, policy, sent

WEB = OwnerUid("rs-web")
JOB = OwnerUid("job")
OF_JOB: dict[str, Any] = {"owner_kind": "Job", "owner_uid": JOB, "owner_name": "job"}
SMALL: dict[str, Any] = {"cpu_millis": 500, "memory_bytes": 1 << 30}


def rig(mode: str = "Enforce", clock: FakeClock | None = None, **stock_out: Any) -> Rig:
    resources = [budget("a", stockOut={**STOCK_OUT, **stock_out}), budget("b"), policy(mode)]
    return Rig.of(nodes("a", "b", "owned"), resources, clock=clock)


def test_a_failed_pod_shows_the_stock_out_and_its_replica_asks_for_the_next_size() -> None:
    found, pod = rig(), sent("web-1", node="a-1", pools="a", **SMALL)
    found.apply(pod, failed(pod, "a-1"))
    assert found.world.board.verdict("a").step_for("shop") == 1
    assert found.world.board.avoided(WEB) == frozenset()
    assert found.writer.names == [], "its owner replaces it"


def test_one_that_was_never_seen_waiting_counts_as_well() -> None:
    found, pod = rig(), sent("web-1", pools="a", **SMALL)
    found.apply(pod, failed(pod, "a-1"))
    assert found.world.board.verdict("a").step_for("shop") == 1
    found.apply(failed(sent("web-2", pools="a", cpu_millis=2000, memory_bytes=4 << 30, created=1003.0), "a-1"))
    assert found.world.board.verdict("a").step_for("shop") == 2


def test_without_a_bigger_size_the_next_one_avoids_the_pool() -> None:
    found, pod = rig(), sent("web-1", node="a-1", pools="a", cpu_millis=32_000, memory_bytes=1 << 30)
    found.apply(pod, failed(pod, "a-1"))
    assert found.world.board.avoided(WEB) == {"a"}


def test_a_jobs_next_pod_avoids_the_pool_whatever_sizes_it_has() -> None:
    found, pod = rig(), sent("job-1", node="a-1", pools="a", **SMALL, **OF_JOB)
    found.apply(pod, failed(pod, "a-1"))
    assert found.world.board.verdict("a").step_for("shop") == 1, "for others"
    assert found.world.board.avoided(JOB) == {"a"}, "each try costs one of its retries"


async def test_a_jobs_last_try_avoids_all_pools() -> None:
    found = rig()
    for number in range(1, 5):
        assert found.world.board.avoided(JOB) <= {"a"}
        pod = sent(f"job-{number}", node="a-1", pools="a", **SMALL, **OF_JOB)
        found.apply(pod, failed(pod, "a-1"))
        await found.replacer.reconcile(pod.uid)
    assert found.world.board.avoided(JOB) == {"a", "b"}, "it forgives four"


async def test_a_job_that_cannot_be_read_is_spared() -> None:
    found = rig()
    pod = sent("job-1", node="a-1", pools="a", **(OF_JOB | {"owner_name": "../jobs/victim"}))
    found.apply(pod, failed(pod, "a-1"))
    await found.replacer.reconcile(pod.uid)
    assert found.world.board.avoided(JOB) == {"a", "b"}


def test_recommend_changes_nothing_for_the_next_pod() -> None:
    found, pod = rig("Recommend"), sent("job-1", node="a-1", pools="a", **OF_JOB)
    found.apply(pod, failed(pod, "a-1"))
    assert found.world.board.avoided(JOB) == frozenset()


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(("ErrImagePull", "no such image"), id="another reason"),
        pytest.param(("OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu"), id="a kubelet's refusal"),
    ],
)
def test_a_failure_that_is_no_stock_out(told: tuple[str, str]) -> None:
    found = rig(detect=[{"messageRegex": "NoStock|enough"}])
    pod = sent("job-1", node="a-1", pools="a", **OF_JOB)
    found.apply(pod, failed(pod, "a-1", told))
    assert found.world.board.verdict("a").step_for("shop") == 0
    assert found.world.board.avoided(JOB) == frozenset()


def test_any_of_the_reasons_is_enough() -> None:
    found, pod = rig(), sent("job-1", node="a-1", pools="a", **SMALL, **OF_JOB)
    found.apply(pod, failed(pod, "a-1", ("ProviderFailed", "create failed"), ("NoStock", "")))
    assert found.world.board.verdict("a").step_for("shop") == 1


def test_a_new_leader_takes_old_failures_for_what_they_are() -> None:
    found = rig(clock=FakeClock(1000.0 + NEW_FAILURE_SECONDS + 1))
    found.apply(failed(sent("job-1", pools="a", **SMALL, **OF_JOB), "a-1"))
    assert found.world.board.verdict("a").step_for("shop") == 0


def test_a_pod_that_ran_is_no_sign() -> None:
    found, pod = rig(), sent("web-1", node="a-1", pools="a", **SMALL)
    running = msgspec.structs.replace(pod, phase=Phase.RUNNING, pending=None)
    found.apply(pod, running, msgspec.structs.replace(running, phase=Phase.FAILED))
    assert found.world.board.verdict("a").step_for("shop") == 0


def test_an_event_about_a_failed_pod_counts_once_with_its_status() -> None:
    found, pod = rig(), sent("job-1", pools="a", **SMALL, **OF_JOB)
    gone = failed(pod, "a-1", ("ProviderFailed", ""))
    found.apply(pod, gone)
    assert found.world.board.avoided(JOB) == frozenset()
    told: list[str] = []
    found.pools.stock_outs.failed.subscribe(lambda one: told.append(one.pod.name))
    for _ in range(2):
        found.watch.found.emit(PodEvent(pod.uid, "shop", "job-1", "NoStock", ""))
    assert told == ["job-1"]
    assert found.world.board.avoided(JOB) == {"a"}
    assert found.world.board.verdict("a").step_for("shop") == 1


def test_an_event_that_came_first_is_not_counted_again() -> None:
    found, pod = rig(), sent("job-1", node="a-1", pools="a", **SMALL, **OF_JOB)
    found.apply(pod)
    found.watch.found.emit(PodEvent(pod.uid, "shop", "job-1", "NoStock", ""))
    assert found.world.board.avoided(JOB) == frozenset(), "it may still be deleted"
    found.apply(failed(pod, "a-1", ("ProviderFailed", "")))
    assert found.world.board.avoided(JOB) == {"a"}
    assert found.world.board.verdict("a").step_for("shop") == 1


def test_an_event_in_another_namespace_says_nothing_about_a_pod() -> None:
    found, pod = rig(), sent("job-1", node="a-1", pools="a", **SMALL, **OF_JOB)
    found.apply(pod)
    found.watch.found.emit(PodEvent(pod.uid, "elsewhere", "job-1", "NoStock", ""))
    assert found.world.board.verdict("a").step_for("shop") == 0
    found.watch.found.emit(PodEvent(pod.uid, "shop", "job-1", "NoStock", ""))
    assert found.world.board.verdict("a").step_for("shop") == 1


def test_elsewhere_than_on_a_pool_it_says_nothing() -> None:
    found, pod = rig(), sent("web-1", pools="a", **SMALL)
    found.apply(msgspec.structs.replace(pod, node=NodeName("owned-1")), failed(pod, "owned-1"))
    assert found.world.board.verdict("a").step_for("shop") == 0


def test_events_of_another_namespace_push_out_no_event_that_came_before_its_pod() -> None:
    found, pod = rig(), sent("job-1", node="a-1", pools="a", **SMALL, **OF_JOB)
    report = found.watch.found.emit
    report(PodEvent(pod.uid, "shop", "job-1", "NoStock", ""))
    report(PodEvent(pod.uid, "hostile", "job-1", "Started", ""))
    for number in range(2 * REMEMBERED_EVENTS):
        report(PodEvent(PodUid(f"none-{number}"), "hostile", "none", "NoStock", ""))
    found.apply(pod)
    assert found.world.board.verdict("a").step_for("shop") == 1


def test_an_early_event_that_is_repeated_is_the_newest_of_its_namespace() -> None:
    found, pod = rig(), sent("job-1", node="a-1", pools="a", **SMALL, **OF_JOB)
    report = found.watch.found.emit
    for number in range(REMEMBERED_EVENTS + 1):
        if number in {0, REMEMBERED_EVENTS - 1}:
            report(PodEvent(pod.uid, "shop", "job-1", "NoStock", ""))
        report(PodEvent(PodUid(f"none-{number}"), "shop", "none", "NoStock", ""))
    found.apply(pod)
    assert found.world.board.verdict("a").step_for("shop") == 1


def test_events_are_followed_while_a_budget_has_stock_out() -> None:
    found = Rig.of(nodes("a"), [budget("a"), policy()])
    assert (found.watch.wanted, found.watch.running) == ("", True)
    found.world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, budget("a", version=70, stockOut=STOCK_OUT))
    assert found.watch.wanted == "involvedObject.kind=Pod,reason=NoStock"
    found.world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, budget("a", version=71))
    assert found.watch.wanted == ""
