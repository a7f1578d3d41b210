"""Who else writes deletion costs.

Contract: a pod that we stamped carries the cost that we gave beside the cost that Kubernetes reads. Where the two
differ, or where a cost stands without our note, somebody else decides which pods go (Karpenter's alpha gate,
OpenKruise's WorkloadSpread, a user's pod template), and for that workload we step back: two writers in turn would
only wear each other out.
"""

from collections.abc import Iterable

from spillway.domain.model.records import PodRecord


def foreign_cost(pod: PodRecord) -> bool:
    """Whether this pod's deletion cost is somebody else's: changed or taken off after us, or set without us."""
    return pod.cost != pod.cost_written


def foreign_pods(pods: Iterable[PodRecord]) -> tuple[PodRecord, ...]:
    """The active pods of a workload whose cost is somebody else's; a workload with one is left alone."""
    return tuple(pod for pod in pods if pod.active and foreign_cost(pod))
