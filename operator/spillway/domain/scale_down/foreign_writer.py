"""Who else writes deletion costs.

Contract: a pod that Spillway stamped carries the cost that it gave beside the cost that Kubernetes reads. Where another
cost stands, somebody else decides which pods go (an application that has sessions, Karpenter's alpha gate, OpenKruise's
WorkloadSpread, a user's pod template), and that workload is left alone: two writers in turn would only wear each other
out. A cost that was taken off is nobody's: Spillway writes its own again. So removing the annotation is the way back.
"""

from collections.abc import Iterable

from spillway.domain.model.records import PodRecord


def foreign_cost(pod: PodRecord) -> bool:
    """Whether this pod's deletion cost is somebody else's: changed after Spillway wrote it, or set without Spillway."""
    return pod.deletion_cost is not None and pod.deletion_cost != pod.cost_written


def foreign_pods(pods: Iterable[PodRecord]) -> tuple[PodRecord, ...]:
    """The active pods of a workload whose cost is somebody else's; a workload with one is left alone."""
    return tuple(pod for pod in pods if pod.active and foreign_cost(pod))
