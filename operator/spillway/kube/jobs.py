"""The Job that owns a pod, read from the API server.

Contract: a Job of the same name that is not the owner of the pod, because it was created later, is not its Job.
"""

from typing import Any

from spillway.domain.model.documents import Json
from spillway.domain.model.records import PodRecord
from spillway.kube import paths
from spillway.kube.errors import InvalidNameError, RequestError
from spillway.kube.invalid_names import warn_once
from spillway.kube.paths import ObjectKey
from spillway.kube.protocols import Reader


async def job_of(reader: Reader, pod: PodRecord) -> Json | None:
    """The Job that owns the pod; None if there is none.

    Raises:
        RequestError: the API server did not answer, or refused.
    """
    job = await find(reader, ObjectKey.of_owner(paths.JOBS, pod.owner_name, pod.namespace))
    return job if job is not None and (job.get("metadata") or {}).get("uid") == pod.owner_uid else None


async def find(reader: Reader, wanted: ObjectKey) -> Json | None:
    """One object; None if there is none. A name that no object can have is logged once.

    Raises:
        RequestError: the API server did not answer, or refused.
    """
    try:
        found: dict[str, Any] = await reader.get_json(wanted.path)
    except RequestError as error:
        if isinstance(error, InvalidNameError):
            warn_once(error)
        if error.not_found:
            return None
        raise
    return found
