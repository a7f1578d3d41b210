"""The part of a VirtualNodeBudget's status about pods that the API server refused there.

Contract: pure, except for the contributor that reads the refusals. `PodsRefused` is True while the pool is left out for
some owner; the message names the workloads and what the API server said of one of them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from spillway.api.conditions import PODS_REFUSED
from spillway.api.scalars import rfc3339
from spillway.api.virtualnodebudget import VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.controllers.status.part import ObservedCondition, StatusPart
from spillway.domain.model.wording import first_names
from spillway.state.refusals import PoolLeftOut, Refusals


class RefusedPodsContributor:
    """The contributor of refused pods."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    def part(self, model: VirtualNodeBudget, _current: VirtualNodeBudgetStatus, _now: datetime) -> StatusPart:
        """The part of one budget."""
        return refused_part(tuple(self._refusals.of_pool(model.metadata.name)))


def refused_part(found: Sequence[PoolLeftOut]) -> StatusPart:
    """The part of a budget whose pool is left out for these owners."""
    if not found:
        return StatusPart()
    last = max(found, key=lambda one: one.state.until)
    workloads = sorted({one.owner.key for one in found})
    until = rfc3339(datetime.fromtimestamp(int(last.state.until), UTC))
    message = (
        f"The pool is not used for {first_names(workloads)}, for the last of them until {until}. "
        f"{last.owner.key}: {last.state.because}."
    )
    reason = "RefusedByAPIServer" if last.state.message else "NotCreated"
    return StatusPart(conditions=(ObservedCondition(PODS_REFUSED, holds=True, reason=reason, message=message),))
