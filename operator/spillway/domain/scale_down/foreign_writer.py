"""Detection of other clients that write deletion costs.

Contract: a pod on which Spillway wrote a cost carries that value a second time, under Spillway's own key. If the two
differ, another client decides which pods are deleted (an application with sessions, Karpenter's alpha gate,
OpenKruise's WorkloadSpread, a user's pod template), and Spillway leaves that workload alone, because two writers would
overwrite each other for ever. If the cost was removed, Spillway writes its own again. So removing the annotation gives
the workload back to Spillway.
"""

from collections.abc import Iterable

from spillway.domain.model.names import COST_WRITTEN, POD_DELETION_COST
from spillway.domain.model.records import PodRecord


def cost_annotations(cost: int) -> dict[str, str]:
    """The annotations by which Spillway gives a pod this cost."""
    return {POD_DELETION_COST: str(cost), COST_WRITTEN: str(cost)}


def foreign_cost(pod: PodRecord) -> bool:
    """Whether another client set this pod's cost: it changed after Spillway wrote it, or Spillway wrote none."""
    return pod.deletion_cost is not None and pod.deletion_cost != pod.cost_written


def foreign_pods(pods: Iterable[PodRecord]) -> tuple[PodRecord, ...]:
    """The active pods of a workload whose cost another client set; Spillway leaves a workload with such a pod alone."""
    return tuple(pod for pod in pods if pod.active and foreign_cost(pod))
