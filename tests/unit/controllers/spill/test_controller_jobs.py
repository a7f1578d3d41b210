"""A Job's pods change sides too, but never so many that the Job fails for it."""

import asyncio
from typing import Any

import msgspec
import pytest

from spillway.controllers.pools.controller import PoolsController
from spillway.controllers.pools.nodes import PoolNodes
from spillway.controllers.pools.recommended import RecommendedReplacements
from spillway.controllers.pools.replace_unstarted import ReplaceUnstartedController
from spillway.controllers.pools.unstarted import UnstartedPods
from spillway.domain.model.names import NodeName, OwnerUid, PodUid
from spillway.domain.model.records import PodRecord
from spillway.domain.spill.waiting_pods import StayReason
from spillway.kube.writer import REFUSED_SECONDS
from spillway.state.reservations import Reservations
from spillway.state.usage import LiveUsage
from tests.support.fake_watch import FakeWatch
from tests.support.spilling import Cluster, waiting


def of_job(name: str = "etl-1", **changes: Any) -> PodRecord:
    job = {"owner_uid": OwnerUid("job-1"), "owner_kind": "Job", "owner_name": "etl", "policy": "online"}
    return waiting(name, **job | changes)


JOB = "/apis/batch/v1/namespaces/shop/jobs/etl"


@pytest.mark.parametrize(("app", "spills"), [("etl", True), ("home", False)])
async def test_a_jobs_pod_spills_as_its_class_says(*, app: str, spills: bool) -> None:
    found = Cluster(of_job())
    found.raw = {"metadata": found.json("etl-1")["metadata"] | {"labels": {"app": app}}}
    found.reader.objects[JOB] = {"metadata": {"uid": "job-1"}, "spec": {}}
    await found.look("etl-1")
    assert bool(found.patched) is spills


@pytest.mark.parametrize(("failed", "replaced"), [(0, ["etl-1"]), (5, [])])
async def test_a_jobs_last_retry_is_its_own(failed: int, replaced: list[str]) -> None:
    found = Cluster(of_job(placement="virtual", pools="a"))
    found.reader.objects[JOB] = {
        "metadata": {"uid": "job-1"},
        "spec": {"backoffLimit": 6},
        "status": {"failed": failed},
    }
    await found.look("etl-1")
    assert found.deleted == replaced
    assert found.kept("etl-1") is (None if replaced else StayReason.CANNOT_REPLACE)


async def test_a_jobs_successor_goes_there_also_after_the_longest_back_off() -> None:
    found = Cluster(of_job(placement="virtual", pools="a,b"))
    found.reader.objects[JOB] = {"metadata": {"uid": "job-1"}, "spec": {}}
    await found.look("etl-1")
    await found.clock.advance(601)
    redirect = found.world.board.take_redirect(OwnerUid("job-1"))
    assert redirect is not None
    assert redirect.physical


async def test_no_more_of_a_jobs_pods_than_it_forgives_at_once() -> None:
    """Several workers ask before the first of them has deleted."""
    pods = [of_job(f"etl-{n}", placement="virtual", pools="a") for n in range(6)]
    found = Cluster(*pods)
    found.reader.objects[JOB] = {"metadata": {"uid": "job-1"}, "spec": {"backoffLimit": 4}, "status": {}}
    await asyncio.gather(*(found.look(pod.name) for pod in pods))
    assert len(found.deleted) == 3, "the last of four retries is its own"


async def test_whoever_deletes_a_jobs_pods_asks_the_same_account() -> None:
    """Some find no node and others are bound and do not start."""
    unscheduled = [of_job(f"etl-{n}", placement="virtual", pools="a") for n in range(3)]
    bound = [
        msgspec.structs.replace(pod, node=NodeName("v-a"), uid=PodUid(f"uid-bound-{n}"), name=f"bound-{n}")
        for n, pod in enumerate(unscheduled)
    ]
    found = Cluster(*unscheduled, *bound)
    found.reader.objects[JOB] = {"metadata": {"uid": "job-1"}, "spec": {"backoffLimit": 4}, "status": {}}
    unstarted = UnstartedPods(found.world)
    usage = LiveUsage(found.world.state, found.world.membership, Reservations(found.clock.now))
    pools = PoolsController(found.world, PoolNodes(found.world), unstarted, usage, FakeWatch())
    replacer = ReplaceUnstartedController(
        found.world,
        found,
        found.events,
        found.reader,
        pools=pools,
        open_pools=found.open_pools,
        unstarted=unstarted,
        retries=found.retries,
        recommended=RecommendedReplacements(found.world),
    )
    list(pools.subscribe())
    await found.clock.advance(60)
    await asyncio.gather(
        *(replacer.reconcile(pod.uid) for pod in bound), *(found.controller.reconcile(pod.uid) for pod in unscheduled)
    )
    assert len(found.deleted) == 3


async def test_a_refused_deletion_is_none_that_a_job_has_to_forgive() -> None:
    found = Cluster(of_job(placement="virtual", pools="a"))
    found.reader.objects[JOB] = {"metadata": {"uid": "job-1"}, "spec": {"backoffLimit": 2}, "status": {}}
    found.answer = False
    for _ in range(3):
        assert await found.look("etl-1") == REFUSED_SECONDS


async def test_a_volume_of_one_node_keeps_its_pod() -> None:
    found = Cluster(waiting())
    found.raw = {"spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}}
    found.reader.objects["/api/v1/namespaces/shop/persistentvolumeclaims/data"] = {"spec": {"volumeName": "pv-1"}}
    found.reader.objects["/api/v1/persistentvolumes/pv-1"] = {"spec": {"local": {"path": "/disk"}}}
    await found.look()
    assert found.kept() is StayReason.UNSUITABLE
