"""Asking a Job for its retries: whether one more of its pods may be deleted, and whether it has one try left."""

from collections.abc import Mapping
from typing import Any

from spillway.domain.model.records import PodRecord
from spillway.domain.spill.job_retries import Retries
from spillway.kube import paths
from spillway.kube.errors import InvalidNameError, RequestError
from spillway.kube.invalid_names import warn_once
from spillway.kube.protocols import Reader


async def has_retry(reader: Reader, retries: Retries, pod: PodRecord) -> bool:
    """Whether the pod's Job has a retry left; it is taken here, and has to be given back if the pod is not deleted.

    A Job that cannot be read has none.
    """
    job = await _job(reader, pod)
    return job is not None and retries.take(pod.owner_uid, job)


async def is_last_try(reader: Reader, retries: Retries, pod: PodRecord, *, failed: int) -> bool:
    """Whether the next failure may end the pod's Job, which has `failed` failed pods; also if it is not read."""
    job = await _job(reader, pod)
    return job is None or retries.last(pod.owner_uid, job, failed=failed)


async def _job(reader: Reader, pod: PodRecord) -> Mapping[str, Any] | None:
    try:
        path = paths.JOBS.named(pod.owner_name, namespace=pod.namespace, field="ownerReferences[].name")
        job: Mapping[str, Any] = await reader.get_json(path)
    except InvalidNameError as error:
        warn_once(error)
        return None
    except RequestError:
        return None
    return job
