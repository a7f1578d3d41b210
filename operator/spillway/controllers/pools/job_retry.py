"""The retry of a Job that one of its pods costs when it is replaced.

Contract: the Job is read; without an answer there is no retry. A retry that was taken has to be given back if the pod
is not deleted.
"""

from spillway.domain.model.records import PodRecord
from spillway.domain.spill.job_retries import Retries
from spillway.kube import paths
from spillway.kube.errors import InvalidNameError, RequestError
from spillway.kube.invalid_names import warn_once
from spillway.kube.protocols import Reader


async def has_retry(reader: Reader, retries: Retries, pod: PodRecord) -> bool:
    """Whether the pod's Job has a retry left; it is taken here."""
    try:
        path = paths.JOBS.named(pod.owner_name, namespace=pod.namespace, field="ownerReferences[].name")
        job = await reader.get_json(path)
    except InvalidNameError as error:
        warn_once(error)
        return False
    except RequestError:
        return False
    return retries.take(pod.owner_uid, job)
