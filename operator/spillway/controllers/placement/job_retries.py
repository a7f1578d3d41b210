"""The retry of a Job around the deletion of one of its pods, and whether the Job has one try left.

Contract: a Job that cannot be read has no retry.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from spillway.domain.model.documents import Json
from spillway.domain.model.records import PodRecord
from spillway.domain.placement.job_retries import Retries
from spillway.kube.errors import RequestError
from spillway.kube.jobs import job_of
from spillway.kube.protocols import Reader

JOB_SECONDS: Final = 30.0
"""Seconds until a Job without retries is read again."""


@dataclass(slots=True)
class Deletion:
    """The deletion of one pod, as far as its Job is concerned."""

    allowed: bool
    """Whether the pod may be deleted; of an owner that is no Job it always may."""
    done: bool = False
    """Whether the pod was deleted, which the caller sets."""


@asynccontextmanager
async def retry_taken(reader: Reader, retries: Retries, pod: PodRecord) -> AsyncIterator[Deletion]:
    """Take a retry of the pod's Job for as long as its deletion lasts; it is given back unless that is `done`."""
    deletion = Deletion(allowed=pod.owner_kind != "Job" or await _takes(reader, retries, pod))
    try:
        yield deletion
    finally:
        if pod.owner_kind == "Job" and deletion.allowed and not deletion.done:
            retries.give_back(pod.owner_uid)


async def is_last_try(reader: Reader, retries: Retries, pod: PodRecord, *, failed: int) -> bool:
    """Whether the next failure may end the pod's Job, which has `failed` failed pods; also if it is not read."""
    job = await _job(reader, pod)
    return job is None or retries.last(pod.owner_uid, job, failed=failed)


async def _takes(reader: Reader, retries: Retries, pod: PodRecord) -> bool:
    job = await _job(reader, pod)
    return job is not None and retries.take(pod.owner_uid, job)


async def _job(reader: Reader, pod: PodRecord) -> Json | None:
    try:
        return await job_of(reader, pod)
    except RequestError:
        return None
