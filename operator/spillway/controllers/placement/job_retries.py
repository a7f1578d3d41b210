"""The retries of the Job of a pod: whether the pod may be deleted, and whether the Job has one try left.

Contract: a Job that cannot be read has no retry.
"""

from spillway.domain.model.documents import Json
from spillway.domain.model.records import PodRecord
from spillway.domain.placement.job_retries import Retries
from spillway.kube.errors import RequestError
from spillway.kube.jobs import job_of
from spillway.kube.protocols import Reader


async def takes_retry(reader: Reader, retries: Retries, pod: PodRecord) -> bool:
    """Whether the pod may be deleted as far as its Job is concerned; another owner's always may.

    A retry is taken here, and has to be given back if the pod is not deleted.
    """
    if pod.owner_kind != "Job":
        return True
    job = await _job(reader, pod)
    return job is not None and retries.take(pod.owner_uid, job)


async def is_last_try(reader: Reader, retries: Retries, pod: PodRecord, *, failed: int) -> bool:
    """Whether the next failure may end the pod's Job, which has `failed` failed pods; also if it is not read."""
    job = await _job(reader, pod)
    return job is None or retries.last(pod.owner_uid, job, failed=failed)


async def _job(reader: Reader, pod: PodRecord) -> Json | None:
    try:
        return await job_of(reader, pod)
    except RequestError:
        return None
