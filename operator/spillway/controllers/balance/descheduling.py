"""Another descheduler that runs in the cluster, and the condition that names it.

Contract: while one runs, nothing is moved, so that the two do not move the same pods back and forth.
"""

from typing import Final

from spillway.controllers.status.part import ObservedCondition
from spillway.domain.balance.descheduler import is_descheduler
from spillway.kube.slices import in_slices
from spillway.state.cluster import ClusterState

FOREIGN_DESCHEDULER: Final = "ForeignDescheduler"


async def find_descheduler(state: ClusterState) -> str:
    """The key of another descheduler that runs, of a ReplicaSet or a pod; empty if there is none."""
    async for owner in in_slices(list(state.replicasets.values())):
        if owner.replicas and is_descheduler(owner.labels):
            return owner.key
    async for pod in in_slices(list(state.pods.values())):
        if pod.labels and pod.active and is_descheduler(pod.labels):
            return pod.key
    return ""


def descheduling(other: str) -> ObservedCondition:
    """The condition of a resource that moves pods; `other` is the key of another descheduler, or empty."""
    if other:
        message = f"Another descheduler runs: {other}. While it does, no pod is moved."
        return ObservedCondition(FOREIGN_DESCHEDULER, holds=True, reason="DeschedulerRuns", message=message)
    message = "No other descheduler runs."
    return ObservedCondition(FOREIGN_DESCHEDULER, holds=False, reason="NoDescheduler", message=message)
