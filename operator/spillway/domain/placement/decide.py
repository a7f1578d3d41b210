"""The decision between physical and virtual nodes for one more pod, from its class, its threshold and its replicas.

Contract: a function of counts alone. Whether the pod can run on virtual nodes, and whether a pool has room for it, is
asked afterwards and only for a pod that is decided virtual. `physical` counts the pods of the same ReplicaSet that are
on physical nodes or have been decided physical, so the new one is number `physical + 1`: it stays below a threshold of
n while `physical < n`. The pods of a StatefulSet have an order: there it counts those with a lower ordinal.
"""

from enum import StrEnum
from typing import Final, Literal, NamedTuple

from spillway.api.elasticpolicy import Placement
from spillway.domain.threshold.effective import EffectiveThreshold, ThresholdReason


class NodeKind(StrEnum):
    """The kind of nodes that a pod is decided for: the value of the mark `spillway.dev/placement`."""

    PHYSICAL = "physical"
    VIRTUAL = "virtual"


class PlacementReason(StrEnum):
    """Why a pod is decided as it is: a label of the metric of decisions."""

    NEVER = "Never"
    """The class keeps off virtual nodes."""
    BELOW_THRESHOLD = "BelowThreshold"
    LEARNING_HISTORY = "LearningHistory"
    """Mode Auto has no plan for the workload yet."""
    NOT_PLANNED = "NotPlanned"
    """Mode Auto plans nothing for a kind without ReplicaSets."""
    NO_THRESHOLD = "NoThreshold"
    """The class has no threshold, so no pod is beyond it."""
    UNSUITABLE = "Unsuitable"
    """Virtual nodes cannot run it."""
    NO_POOL = "NoPool"
    """No pool takes it now."""
    REPLACED = "Replaced"
    """The pod that it succeeds was replaced so that this one gets these nodes."""
    BEYOND_THRESHOLD = "BeyondThreshold"
    ALWAYS = "Always"
    """The class goes to virtual nodes first."""


class Decision(NamedTuple):
    """The nodes that a pod is to run on, and why."""

    nodes: NodeKind
    reason: PlacementReason

    @property
    def virtual(self) -> bool:
        return self.nodes is NodeKind.VIRTUAL


_WITHOUT_NUMBER: Final = {
    ThresholdReason.LEARNING_HISTORY: PlacementReason.LEARNING_HISTORY,
    ThresholdReason.NOT_PLANNED: PlacementReason.NOT_PLANNED,
    ThresholdReason.NO_THRESHOLD: PlacementReason.NO_THRESHOLD,
}


def decide(
    placement: Placement,
    threshold: EffectiveThreshold,
    physical: int,
    *,
    redirect: Literal["", "physical", "virtual"] = "",
) -> Decision:
    """The nodes for the next pod. `redirect` is what was said when the pod before it was replaced.

    Never outweighs everything else: also a redirect made before the class was changed.
    """
    mode = placement.virtual
    if mode == "Never":
        return Decision(NodeKind.PHYSICAL, PlacementReason.NEVER)
    if redirect:
        return Decision(NodeKind(redirect), PlacementReason.REPLACED)
    if mode == "Always":
        return Decision(NodeKind.VIRTUAL, PlacementReason.ALWAYS)
    if threshold.replicas is None:
        return Decision(NodeKind.PHYSICAL, _WITHOUT_NUMBER.get(threshold.reason, PlacementReason.NO_THRESHOLD))
    if physical < threshold.replicas:
        return Decision(NodeKind.PHYSICAL, PlacementReason.BELOW_THRESHOLD)
    return Decision(NodeKind.VIRTUAL, PlacementReason.BEYOND_THRESHOLD)
