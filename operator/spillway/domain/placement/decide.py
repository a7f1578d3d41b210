"""Physical or virtual: what a workload's class, its threshold and its replicas say about one more pod.

Contract: a function of counts alone; whether the pod can run on virtual nodes, and whether a pool has room for it, is
asked afterwards and only for a pod that this sends there. `physical` counts the pods of the same ReplicaSet that are on
physical nodes or on their way there, so the new one is number `physical + 1`: it stays below a threshold of n while
`physical < n`.
"""

from enum import StrEnum
from typing import Final, Literal, NamedTuple

from spillway.api.elasticpolicy import Placement
from spillway.domain.threshold.effective import Choice, ThresholdReason

DEFAULT: Final = Placement()
"""Of a class that gives a threshold and says nothing of placement."""


class Decision(StrEnum):
    """The value of the mark `spillway.dev/placement`."""

    PHYSICAL = "physical"
    VIRTUAL = "virtual"


class PlacementReason(StrEnum):
    """Why; a metric's label and what an Event begins with."""

    NEVER = "Never"
    """The class keeps off virtual nodes."""
    BELOW_THRESHOLD = "BelowThreshold"
    LEARNING_HISTORY = "LearningHistory"
    """Mode Auto has no plan for the workload yet."""
    NOT_PLANNED = "NotPlanned"
    """Mode Auto plans nothing for a kind without ReplicaSets."""
    NO_THRESHOLD = "NoThreshold"
    """Nothing is beyond a threshold that is not there."""
    UNSUITABLE = "Unsuitable"
    """Virtual nodes cannot run it."""
    NO_POOL = "NoPool"
    """No pool takes it now."""
    REPLACED = "Replaced"
    """The pod in whose place it comes was replaced, for this tier."""
    BEYOND_THRESHOLD = "BeyondThreshold"
    ALWAYS = "Always"
    """The class goes to virtual nodes first."""


class Wish(NamedTuple):
    """Where a pod is to go, before it is known whether it can."""

    decision: Decision
    reason: PlacementReason

    @property
    def virtual(self) -> bool:
        return self.decision is Decision.VIRTUAL


_WITHOUT_NUMBER: Final = {
    ThresholdReason.LEARNING_HISTORY: PlacementReason.LEARNING_HISTORY,
    ThresholdReason.NOT_PLANNED: PlacementReason.NOT_PLANNED,
    ThresholdReason.NO_THRESHOLD: PlacementReason.NO_THRESHOLD,
}


def decide(
    placement: Placement | None,
    threshold: Choice,
    physical: int,
    *,
    redirect: Literal["", "physical", "virtual"] = "",
) -> Wish:
    """The tier of the next pod. `redirect` is what was said when the pod before it was replaced.

    Never outweighs everything else: also a redirect made before the class was changed.
    """
    mode = (placement or DEFAULT).virtual
    if mode == "Never":
        return Wish(Decision.PHYSICAL, PlacementReason.NEVER)
    if redirect:
        return Wish(Decision(redirect), PlacementReason.REPLACED)
    if mode == "Always":
        return Wish(Decision.VIRTUAL, PlacementReason.ALWAYS)
    if threshold.replicas is None:
        return Wish(Decision.PHYSICAL, _WITHOUT_NUMBER.get(threshold.reason, PlacementReason.NO_THRESHOLD))
    if physical < threshold.replicas:
        return Wish(Decision.PHYSICAL, PlacementReason.BELOW_THRESHOLD)
    return Wish(Decision.VIRTUAL, PlacementReason.BEYOND_THRESHOLD)
