import pytest

from spillway.controllers.placement.job_retries import is_last_try, retry_taken
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import PodRecord
from spillway.domain.placement.job_retries import Retries
from spillway.kube.errors import ApiError
from tests.builders import make_pod
from tests.support.fake_reader import FakeReader
from tests.support.pools import job

PATH = "/apis/batch/v1/namespaces/shop/jobs/etl"


def one_job(uid: str = "job-1") -> FakeReader:
    """One Job with four tries."""
    return FakeReader(lambda path: job(uid, 4) if path == PATH else None)


def pod(kind: str = "Job") -> PodRecord:
    return make_pod("etl-1", namespace="shop", owner_kind=kind, owner_uid=OwnerUid("job-1"), owner_name="etl")


async def allowed(reader: FakeReader, retries: Retries, of: PodRecord, *, done: bool = True) -> bool:
    async with retry_taken(reader, retries, of) as deletion:
        deletion.done = done and deletion.allowed
    return deletion.allowed


async def test_the_last_retry_of_a_job_is_never_taken() -> None:
    retries = Retries()
    assert [await allowed(one_job(), retries, pod()) for _ in range(4)] == [True, True, True, False]
    assert await is_last_try(one_job(), retries, pod(), failed=4)


async def test_a_retry_is_given_back_if_the_pod_is_not_deleted() -> None:
    retries = Retries()
    assert [await allowed(one_job(), retries, pod(), done=False) for _ in range(9)] == [True] * 9
    for _ in range(9):
        with pytest.raises(TimeoutError):
            async with retry_taken(one_job(), retries, pod()):
                raise TimeoutError
    assert await allowed(one_job(), retries, pod())


async def test_a_pod_of_another_owner_takes_no_retry() -> None:
    reader = one_job()
    assert await allowed(reader, Retries(), pod("ReplicaSet"))
    assert reader.read == []


@pytest.mark.parametrize(
    "reader",
    [
        pytest.param(one_job("job-2"), id="a later Job of that name"),
        pytest.param(FakeReader(), id="no Job"),
        pytest.param(FakeReader(lambda path: ApiError(503, "ServiceUnavailable", path)), id="no answer"),
    ],
)
async def test_a_job_that_is_not_read_has_no_retry(reader: FakeReader) -> None:
    assert not await allowed(reader, Retries(), pod())
    assert await is_last_try(reader, Retries(), pod(), failed=0)
