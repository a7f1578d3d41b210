"""The part of a VirtualNodeBudget's status about its cordon: how many nodes are cordoned, and the progress of a drain.

Contract: pure, except for the contributor that reads the values. `Accepting` is observed while the pool is held, or
while its nodes have still to be uncordoned; an open pool is described by other features.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from spillway.api.conditions import ACCEPTING, RECONCILING
from spillway.api.scalars import rfc3339
from spillway.api.virtualnodebudget import DrainProgress, VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.controllers.nodes.drain import DrainController
from spillway.controllers.status.node_summary import NodeSummary, PoolCount
from spillway.controllers.status.part import ObservedCondition, StatusPart
from spillway.domain.model.wording import first_names
from spillway.domain.nodes.cordon import BudgetCordon

_BRIEF: Final = frozenset({"Opening", "Closing"})
"""The states that end within seconds; a drain may take hours."""
_NAMED: Final = 3
"""Spared pods that a message names."""


class CordonContributor:
    """The contributor of cordons and drains."""

    def __init__(self, nodes: NodeSummary, drains: DrainController) -> None:
        self._nodes = nodes
        self._drains = drains

    def part(self, model: VirtualNodeBudget, current: VirtualNodeBudgetStatus, now: datetime) -> StatusPart:
        """The part of one budget. A new leader keeps the progress of the one before until its own first pass."""
        name = model.metadata.name
        drain = self._drains.progress.get(name)
        if drain is None and BudgetCordon.of(model).drains(now.timestamp()):
            drain = current.drain
        return cordon_part(model, self._nodes.pool(name), drain, now)


def cordon_part(budget: VirtualNodeBudget, count: PoolCount, drain: DrainProgress | None, now: datetime) -> StatusPart:
    """The part of a budget whose pool has these nodes; `drain` is None while it is not drained."""
    accepting = _accepting(budget, count, drain, now)
    conditions: tuple[ObservedCondition, ...] = () if accepting is None else (accepting,)
    if accepting is not None and accepting.reason in _BRIEF:
        conditions += (replace(accepting, type=RECONCILING, holds=True),)
    return StatusPart({"cordoned": count.cordoned, "drain": drain}, conditions)


def _accepting(
    budget: VirtualNodeBudget, count: PoolCount, drain: DrainProgress | None, now: datetime
) -> ObservedCondition | None:
    hold = BudgetCordon.of(budget)
    if not hold.active(now.timestamp()):
        if not count.cordoned:
            return None
        message = f"{count.cordoned} of {count.nodes} nodes still have to be made schedulable."
        return ObservedCondition(ACCEPTING, holds=False, reason="Opening", message=message)
    until = f" until {rfc3339(budget.spec.cordon_until)}" if budget.spec.cordon_until else ""
    if count.unschedulable < count.nodes:
        message = f"{count.unschedulable} of {count.nodes} nodes are unschedulable."
        return ObservedCondition(ACCEPTING, holds=False, reason="Closing", message=message)
    if drain is not None and drain.remaining:
        message = f"Every node is unschedulable{until}; pods are being evicted as their disruption budgets allow."
        message += _spared(drain)
        return ObservedCondition(ACCEPTING, holds=False, reason="Draining", message=message)
    reason = "Drained" if hold.drains(now.timestamp()) else "Held"
    message = f"Every node is unschedulable{until}.{_spared(drain)}"
    return ObservedCondition(ACCEPTING, holds=False, reason=reason, message=message)


def _spared(drain: DrainProgress | None) -> str:
    if drain is None or not drain.spared:
        return ""
    named = first_names(drain.spared_pods, drain.spared, most=_NAMED)
    return f" Not evicted, because no owner replaces them or their Job has one retry left: {named}."
