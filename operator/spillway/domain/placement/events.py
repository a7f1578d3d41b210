"""The Events about the placement of pods, on the workload to which they belong.

Contract: pure. Why pods stay on physical nodes is said in the same words at their creation and while they wait.
"""

from collections.abc import Iterator
from typing import NamedTuple

from spillway.domain.model import event_reasons
from spillway.domain.placement.decide import PlacementReason
from spillway.domain.placement.plan import PodPlacement


class PlacementEvent(NamedTuple):
    """The type, reason and message of an Event."""

    type: str
    reason: str
    message: str


def kept_physical(because: str, *, unsuitable: bool, waits: bool = False) -> PlacementEvent:
    """Pods that were to go to virtual nodes stay on physical ones; `waits` if these have no room for them.

    That a pod is unsuitable for virtual nodes is normal; that no pool takes it is worth a warning.
    """
    full = ", which have no room for it" if waits else ""
    message = f"kept on physical nodes{full}, because {because}"
    return PlacementEvent("Normal" if unsuitable else "Warning", event_reasons.KEPT_PHYSICAL, message)


def placement_events(placed: PodPlacement, workload_class: str) -> Iterator[PlacementEvent]:
    """The Events about the placement of a pod of this class; none if all went as its class says."""
    if placed.because:
        yield kept_physical(placed.because, unsuitable=placed.decision.reason is PlacementReason.UNSUITABLE)
    if placed.tolerated:
        message = (
            f"class {workload_class} keeps its pods off virtual nodes, but their own toleration lets them go to "
            "those of "
            f"{placed.tolerated}; it is not removed"
        )
        yield PlacementEvent("Warning", event_reasons.TOLERATES_VIRTUAL, message)
    for conflict in placed.conflicts:
        yield PlacementEvent("Warning", event_reasons.OVERLAY_CONFLICT, conflict)
    if placed.problem:
        yield PlacementEvent("Warning", event_reasons.INVALID_THRESHOLD, placed.problem)
