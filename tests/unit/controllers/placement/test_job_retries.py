from typing import Any

import pytest

from spillway.controllers.placement.job_retries import is_last_try, retry_taken
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import PodRecord
from spillway.domain.placement.job_retries import Retries
from spillway.kube.errors import ApiError
from tests.builders import make_pod


class OneJob:
    """One Job with four tries, or the error that the API server answers."""

    def __init__(self, uid: str = "job-1", error: ApiError | None = None) -> None:
        self.uid = uid
        self.error = error
        self.reads = 0

    async def get_json(self, path: str) -> Any:
        assert path == "/apis/batch/v1/namespaces/shop/jobs/etl"
        self.reads += 1
        if self.error is not None:
            raise self.error
        return {"metadata": {"uid": self.uid}, "spec": {"backoffLimit": 4}}


def pod(kind: str = "Job") -> PodRecord:
    return make_pod("etl-1", namespace="shop", owner_kind=kind, owner_uid=OwnerUid("job-1"), owner_name="etl")


async def allowed(job: OneJob, retries: Retries, of: PodRecord, *, done: bool = True) -> bool:
    async with retry_taken(job, retries, of) as deletion:
        deletion.done = done and deletion.allowed
    return deletion.allowed


async def test_the_last_retry_of_a_job_is_never_taken() -> None:
    retries = Retries()
    assert [await allowed(OneJob(), retries, pod()) for _ in range(4)] == [True, True, True, False]
    assert await is_last_try(OneJob(), retries, pod(), failed=4)


async def test_a_retry_is_given_back_if_the_pod_is_not_deleted() -> None:
    retries = Retries()
    assert [await allowed(OneJob(), retries, pod(), done=False) for _ in range(9)] == [True] * 9
    for _ in range(9):
        with pytest.raises(TimeoutError):
            async with retry_taken(OneJob(), retries, pod()):
                raise TimeoutError
    assert await allowed(OneJob(), retries, pod())


async def test_a_pod_of_another_owner_takes_no_retry() -> None:
    job = OneJob()
    assert await allowed(job, Retries(), pod("ReplicaSet"))
    assert job.reads == 0


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(OneJob("job-2"), id="a later Job of that name"),
        pytest.param(OneJob(error=ApiError(404, "NotFound", "etl")), id="no Job"),
        pytest.param(OneJob(error=ApiError(503, "ServiceUnavailable", "etl")), id="no answer"),
    ],
)
async def test_a_job_that_is_not_read_has_no_retry(job: OneJob) -> None:
    assert not await allowed(job, Retries(), pod())
    assert await is_last_try(job, Retries(), pod(), failed=0)
