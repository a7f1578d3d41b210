"""The part of a VirtualNodeBudget's status about its overlay.

Contract: pure, except for the contributor that reads the faults. `OverlayInvalid` is True while the API server takes no
pod with the overlay; the message names the fields and what the API server said.
"""

from collections.abc import Sequence
from datetime import datetime

from spillway.api.conditions import OVERLAY_INVALID
from spillway.api.virtualnodebudget import VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.controllers.overlay.controller import OverlayController
from spillway.controllers.status.part import ObservedCondition, StatusPart
from spillway.kube.overlay_trial import Fault


class OverlayContributor:
    """The contributor of the faults of overlays."""

    def __init__(self, overlays: OverlayController) -> None:
        self._overlays = overlays

    def part(self, model: VirtualNodeBudget, _current: VirtualNodeBudgetStatus, _now: datetime) -> StatusPart:
        """The part of one budget."""
        return overlay_part(self._overlays.faults.get(model.metadata.name, ()))


def overlay_part(faults: Sequence[Fault]) -> StatusPart:
    """The part of a budget whose overlay has these faults."""
    if not faults:
        return StatusPart()
    told = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
    message = f"The API server refuses pods with this overlay, so pods go to other pools or to physical nodes: {told}"
    return StatusPart(
        conditions=(ObservedCondition(OVERLAY_INVALID, holds=True, reason="RefusedByAPIServer", message=message),)
    )
