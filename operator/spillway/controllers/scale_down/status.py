"""The part of an ElasticPolicy's status about scale-downs: how many pods went as planned, and foreign writers of costs.

Contract: pure, except for the contributor that reads the values.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from spillway.api.conditions import FOREIGN_WRITER
from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus, ScaleDownCounts
from spillway.controllers.status.part import ObservedCondition, StatusPart
from spillway.controllers.status.workload_counts import PolicyCount, WorkloadCounts
from spillway.domain.model.names import POD_DELETION_COST
from spillway.domain.model.wording import first_names
from spillway.domain.scale_down.outcome import ScaleDowns
from spillway.state.board import Board


class ScaleDownContributor:
    """The contributor of scale-downs; those that a written status contains are taken off the board."""

    def __init__(self, counts: WorkloadCounts, board: Board) -> None:
        self._counts = counts
        self._board = board

    def part(self, model: ElasticPolicy, current: ElasticPolicyStatus, now: datetime) -> StatusPart:
        """The part of one policy."""
        name = model.metadata.name
        new = self._board.scale_downs.get(name, ScaleDowns())
        written = partial(self._board.scale_downs_written, name, new)
        return scale_down_part(self._counts.policy(name), current.scale_down, new, now, on_written=written)


def scale_down_part(
    count: PolicyCount,
    counted: ScaleDownCounts | None,
    new: ScaleDowns,
    now: datetime,
    *,
    on_written: Callable[[], None] | None = None,
) -> StatusPart:
    """The part of a policy; `new` are the scale-downs that its status has not `counted` yet."""
    return StatusPart({"scale_down": _added(counted, new, now)}, (_foreign(count),), on_written=on_written)


def _added(counted: ScaleDownCounts | None, new: ScaleDowns, now: datetime) -> ScaleDownCounts | None:
    if not new.victims:
        return counted
    before = counted or ScaleDownCounts(since=now)
    return before.model_copy(
        update={"victims": before.victims + new.victims, "as_planned": before.as_planned + new.as_planned}
    )


def _foreign(count: PolicyCount) -> ObservedCondition:
    if not count.foreign:
        message = "No other client writes deletion costs on the governed pods."
        return ObservedCondition(FOREIGN_WRITER, holds=False, reason="NoForeignWriter", message=message)
    pods = first_names(sorted(count.foreign_pods), count.foreign.total())
    message = (
        f"Another client writes deletion costs in {first_names(sorted(count.foreign))}: these workloads are skipped. "
        f"The pods are {pods}. Scale-down is exact again as soon as their annotation {POD_DELETION_COST} is removed. "
        "If it comes back, look for a pod template that sets it, for Karpenter's feature gate and for OpenKruise's "
        "WorkloadSpread, or exclude the workloads."
    )
    return ObservedCondition(FOREIGN_WRITER, holds=True, reason="DeletionCostNotOurs", message=message)
