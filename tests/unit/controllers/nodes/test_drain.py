"""Whom a drain asks to leave, in which turn, and what it tells of itself."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from spillway.controllers.base import World
from spillway.controllers.nodes.drain import AGAIN_SECONDS, NEXT_PASS_SECONDS, PASS_PODS, DrainController
from spillway.controllers.placement.job_retries import JOB_SECONDS
from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.records import PodRecord
from spillway.domain.placement.job_retries import Retries
from spillway.kube.errors import ApiError, UnreachableError
from spillway.kube.writer import Eviction
from spillway.state.catalog import Kind
from spillway.state.cluster import STALE_AFTER_SECONDS
from tests.builders import make_node, make_pod
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import FakeReader
from tests.support.fake_writer import FakeWriter
from tests.support.pools import job, jobs
from tests.support.world import make_world, resource

LABELS = {"pool": "virtual"}
SELECTOR = {"matchLabels": LABELS}

Answer = Callable[[PodRecord], Eviction]


def draining(pods: int, answer: Answer, *, open_nodes: bool = False) -> tuple[DrainController, FakeWriter, World]:
    """A pool of one node that drains. Pods are numbered; the last is the newest and is asked first."""
    node = make_node("v1", labels=LABELS, unschedulable=not open_nodes, cordoned_by="" if open_nodes else "eci")
    records = [make_pod(f"web-{n:03}", node=NodeName("v1"), created=float(n)) for n in range(pods)]
    budget = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector=SELECTOR, cordon="HoldAndDrain")
    world = make_world([node, *records], [budget], FakeClock())
    writer = FakeWriter(evict=answer)
    return DrainController(world, writer, jobs(), Retries()), writer, world


async def test_pods_whose_budget_protects_them_hold_up_no_others() -> None:
    protected = 10
    controller, asked, _ = draining(
        PASS_PODS + protected, lambda pod: Eviction.BLOCKED if pod.created >= protected else Eviction.EVICTED
    )
    assert await controller.reconcile("eci") == NEXT_PASS_SECONDS
    assert await controller.reconcile("eci") == AGAIN_SECONDS
    assert len(asked.names) == len(set(asked.names)) == PASS_PODS + protected
    assert controller.progress["eci"].evicted == protected
    assert controller.progress["eci"].blocked == PASS_PODS

    await controller.reconcile("eci")
    assert asked.names[PASS_PODS + protected :] == asked.names[:PASS_PODS], "once all were asked it starts again"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(
            ApiError(500, "InternalError", "This pod has more than one PodDisruptionBudget"), id="two budgets"
        ),
        pytest.param(ApiError(403, "Forbidden", "admission webhook denied the request"), id="a webhook protects it"),
        pytest.param(UnreachableError("no answer in time"), id="no answer"),
    ],
)
async def test_a_pod_that_cannot_be_asked_holds_up_no_others(error: Exception) -> None:
    def answer(pod: PodRecord) -> Eviction:
        if pod.name == "web-002":
            raise error
        return Eviction.EVICTED

    controller, asked, _ = draining(3, answer)
    assert await controller.reconcile("eci") == AGAIN_SECONDS
    assert asked.names == ["web-002", "web-001", "web-000"]
    assert controller.progress["eci"].blocked == 1


async def test_a_new_leader_goes_on_counting_where_the_status_says_the_last_one_stood() -> None:
    controller, _, world = draining(5, lambda pod: Eviction.BLOCKED if pod.name == "web-000" else Eviction.EVICTED)
    begun = "2025-12-31T23:59:00Z"
    stored = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", version=2, nodeSelector=SELECTOR, cordon="HoldAndDrain")
    stored["status"] = {"drain": {"started": begun, "evicted": 7, "remaining": 9, "blocked": 3}}
    world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, stored)
    await controller.reconcile("eci")
    found = controller.progress["eci"].wire()
    assert (found["started"], found["evicted"]) == (begun, 7 + 4), "not begun again"
    assert (found["remaining"], found["blocked"]) == (5, 1), "what stands now, not what was stored"


async def test_a_drain_that_nobody_has_begun_begins_now() -> None:
    controller, _, world = draining(1, lambda _: Eviction.EVICTED)
    await controller.reconcile("eci")
    begun = controller.progress["eci"].started
    assert begun is not None
    assert begun.timestamp() == int(world.now())


async def test_a_pool_that_is_not_closed_yet_is_not_drained_either() -> None:
    controller, asked, world = draining(3, lambda _: Eviction.EVICTED, open_nodes=True)
    assert await controller.reconcile("eci") == NEXT_PASS_SECONDS
    assert asked.names == [], "an open node would only be filled again"
    assert controller.progress["eci"].remaining == 3, "else the status would call it drained"

    node = world.state.nodes[NodeName("v1")]
    world.state.apply(msgspec.structs.replace(node, unschedulable=True, cordoned_by="eci"))
    await controller.reconcile("eci")
    assert len(asked.names) == 3


async def test_progress_shows_before_the_first_answer() -> None:
    """A new leader must not let the status call the pool drained while it asks the first pods."""
    shown: list[int] = []

    def look(_: PodRecord) -> Eviction:
        shown.append(controller.progress["eci"].remaining)
        return Eviction.EVICTED

    controller, _, _ = draining(2, look)
    await controller.reconcile("eci")
    assert shown == [2, 2]


# Pods that stay


JOB = "/apis/batch/v1/namespaces/shop/jobs/etl"
OF_JOB: dict[str, Any] = {"owner_kind": "Job", "owner_uid": OwnerUid("job-1"), "owner_name": "etl"}


class Scene:
    """A drained pool of one closed node with these pods."""

    def __init__(self, *pods: PodRecord, limit: int | None = 4, answer: Answer = lambda _: Eviction.EVICTED) -> None:
        self.clock = FakeClock()
        node = make_node("v1", labels=LABELS, unschedulable=True, cordoned_by="eci")
        budget = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector=SELECTOR, cordon="HoldAndDrain")
        self.world = make_world([node, *pods], [budget], self.clock)
        self.writer = FakeWriter(evict=answer)
        self.jobs = FakeReader()
        self.answer_with(limit)
        self.controller = DrainController(self.world, self.writer, self.jobs, Retries())

    def answer_with(self, limit: int | None) -> None:
        """The Job has this `backoffLimit`; with None the API server does not answer."""
        self.jobs.objects[JOB] = UnreachableError(JOB) if limit is None else job("job-1", limit)

    async def drain(self, seconds: float = 0.0) -> dict[str, Any]:
        """Let time pass, and drain in one pass; the progress."""
        await self.clock.advance(seconds)
        self.world.state.mark_synced()
        await self.controller.reconcile("eci")
        return self.controller.progress["eci"].wire()


def on_v1(name: str, **changes: Any) -> PodRecord:
    return make_pod(name, node=NodeName("v1"), **changes)


def etl(count: int) -> list[PodRecord]:
    return [on_v1(f"etl-{n:02}", created=float(n), **OF_JOB) for n in range(count)]


async def test_pods_without_an_owner_stay_and_are_listed() -> None:
    bare = [on_v1(f"bare-{n:02}", owner_kind="", owner_uid=OwnerUid("")) for n in range(12)]
    scene = Scene(on_v1("web"), on_v1("daemon", owner_kind="DaemonSet"), *bare)
    found = await scene.drain()
    assert scene.writer.names == ["web"]
    assert (found["remaining"], found["spared"]) == (1, 12), "the one that terminates, and no pod of a DaemonSet"
    assert found["sparedPods"] == [f"shop/bare-{n:02}" for n in range(10)], "bounded"


async def test_a_job_keeps_its_last_retry_and_is_not_read_for_each_pod() -> None:
    scene = Scene(*etl(6))
    found = await scene.drain()
    assert scene.writer.names == ["etl-05", "etl-04", "etl-03"], "three of four retries"
    assert (found["spared"], found["sparedPods"]) == (3, ["shop/etl-00", "shop/etl-01", "shop/etl-02"])
    assert (found["remaining"], found["blocked"], found["evicted"]) == (3, 0, 3), "what was evicted still terminates"
    assert scene.jobs.read == [JOB] * 4
    assert (await scene.drain(AGAIN_SECONDS))["spared"] == 3, "also while the watch does not show that they terminate"
    for pod in [pod for pod in scene.world.state.pods.values() if pod.name in scene.writer.names]:
        scene.world.state.remove(pod)
    assert (await scene.drain(AGAIN_SECONDS))["remaining"] == 0
    assert scene.jobs.read == [JOB] * 4, "it is not read in every pass"


async def test_a_job_is_read_again_after_a_while() -> None:
    scene = Scene(*etl(1), limit=None)
    assert (await scene.drain())["spared"] == 1, "one that cannot be read has no retry"
    scene.answer_with(4)
    await scene.drain(JOB_SECONDS - 1)
    assert scene.writer.names == []
    found = await scene.drain(1)
    assert scene.writer.names == ["etl-00"]
    assert (found["spared"], found["remaining"]) == (0, 1)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda: Eviction.BLOCKED, id="its disruption budget"),
        pytest.param(lambda: Eviction.GONE, id="gone"),
        pytest.param(lambda: _raise(ApiError(500, "InternalError", "two budgets")), id="an error"),
    ],
)
async def test_a_pod_that_is_not_evicted_costs_its_job_no_retry(answer: Callable[[], Eviction]) -> None:
    scene = Scene(*etl(1), limit=2, answer=lambda _: answer())
    for _ in range(3):
        assert (await scene.drain(AGAIN_SECONDS))["spared"] == 0
    assert scene.writer.names == ["etl-00"] * 3


def _raise(error: Exception) -> Eviction:
    raise error


# What is looked at again immediately before each request


def cordon(scene: Scene, wanted: str, labels: dict[str, str] = LABELS, *, version: int = 2) -> None:
    """The VirtualNodeBudget has this cordon, and selects nodes with these labels, from now on."""
    selector = {"matchLabels": labels}
    budget = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", version=version, nodeSelector=selector, cordon=wanted)
    scene.world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, budget)


def _open_node(scene: Scene) -> None:
    node = scene.world.state.nodes[NodeName("v1")]
    scene.world.state.apply(msgspec.structs.replace(node, unschedulable=False))


def _end_pods(scene: Scene) -> None:
    for pod in list(scene.world.state.pods.values()):
        scene.world.state.apply(msgspec.structs.replace(pod, terminating=True))


CHANGES: dict[str, Callable[[Scene], None]] = {
    "the hold is lifted": lambda scene: cordon(scene, "None"),
    "the pods are to stay": lambda scene: cordon(scene, "Hold"),
    "the node is in no pool": lambda scene: cordon(scene, "HoldAndDrain", {"pool": "another"}),
    "the node is open": _open_node,
    "the pods terminate": _end_pods,
    "the state is stale": lambda scene: scene.clock.forward(STALE_AFTER_SECONDS + 1.0),
}


def webs(count: int) -> list[PodRecord]:
    return [on_v1(f"web-{n}", created=float(n)) for n in range(count)]


@pytest.mark.parametrize("what", CHANGES)
async def test_no_further_pod_is_evicted_after_a_change(what: str) -> None:
    def change(_: PodRecord) -> Eviction:
        CHANGES[what](scene)
        return Eviction.EVICTED

    scene = Scene(*webs(3), answer=change)
    await scene.drain()
    assert scene.writer.names == ["web-2"]


@pytest.mark.parametrize("what", CHANGES)
async def test_an_eviction_that_waits_for_its_turn_is_withdrawn_after_a_change(what: str) -> None:
    scene = Scene(*webs(1))
    scene.writer.before_evicting = lambda: CHANGES[what](scene)
    found = await scene.drain()
    assert (scene.writer.names, found["evicted"], found["blocked"]) == ([], 0, 0)


async def test_an_eviction_that_is_withdrawn_costs_its_job_no_retry() -> None:
    scene = Scene(*etl(1), limit=2)
    scene.writer.before_evicting = lambda: cordon(scene, "Hold")
    assert (await scene.drain())["evicted"] == 0
    cordon(scene, "HoldAndDrain", version=3)
    scene.writer.before_evicting = None
    assert (await scene.drain(AGAIN_SECONDS))["evicted"] == 1


async def test_a_drain_that_was_lifted_has_no_progress() -> None:
    scene = Scene(*webs(1))
    await scene.drain()
    cordon(scene, "None")
    assert await scene.controller.reconcile("eci") is None
    assert scene.controller.progress == {}


async def test_pods_of_which_too_few_are_ready_are_left_to_their_disruption_budgets() -> None:
    scene = Scene(*(on_v1(f"web-{n}", created=float(n), ready=False, ready_since=0.0) for n in range(3)))
    await scene.drain()
    assert scene.writer.names == ["web-2", "web-1", "web-0"]
