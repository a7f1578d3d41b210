"""The part of a VirtualNodeBudget's status about its pool: its nodes, its health and its stock.

Contract: pure, except for the contributor that reads the values. `Healthy` and `InStock` are observed where the budget
configures `failover` or `stockOut`; `Healthy` also once the pool has failed. `Accepting` is observed while the pool
takes no pods for its nodes, its health or its stock, or only a few.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from spillway.api.conditions import ACCEPTING, HEALTHY, IN_STOCK
from spillway.api.scalars import rfc3339
from spillway.api.virtualnodebudget import VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.controllers.pools.controller import PoolsController
from spillway.controllers.pools.memory import NEVER_FAILED, PoolMemory
from spillway.controllers.status.node_summary import NodeSummary, PoolCount
from spillway.controllers.status.part import ObservedCondition, StatusPart
from spillway.domain.model.wording import first_names
from spillway.domain.pools.health import PROBE_PODS, HealthReason, State

NAMED: Final = 3
"""Namespaces that a message names."""
_FAILED_FOR: Final = {
    HealthReason.NODES_NOT_READY: "For too long, none of its nodes was ready",
    HealthReason.PODS_NOT_STARTING: "Pods that were bound to its nodes did not start in time",
    None: "It failed",
}


class PoolContributor:
    """The contributor of nodes, health and stock."""

    def __init__(self, nodes: NodeSummary, pools: PoolsController) -> None:
        self._nodes = nodes
        self._pools = pools

    def part(self, model: VirtualNodeBudget, current: VirtualNodeBudgetStatus, _now: datetime) -> StatusPart:
        """The part of one budget; health and stock stay as they are until its pool has been looked at."""
        view = self._pools.views.get(model.metadata.name)
        memory = PoolMemory.of_status(current) if view is None else view.memory
        return pool_part(model, self._nodes.pool(model.metadata.name), memory, current)


def pool_part(
    budget: VirtualNodeBudget, count: PoolCount, memory: PoolMemory, current: VirtualNodeBudgetStatus
) -> StatusPart:
    """The part of a budget whose pool has these nodes and this health and stock.

    Another namespace that is kept out is an Event, although `Healthy` stays True.
    """
    fields = {"nodes": count.nodes, "nodes_ready": count.ready, **memory.status()}
    another = memory.kept_out - PoolMemory.of_status(current).kept_out
    conditions = tuple(
        replace(one, announce=bool(another)) if one.type == HEALTHY and one.reason == "NamespacesKeptOut" else one
        for one in _conditions(budget, count, memory)
    )
    return StatusPart(fields, conditions)


def _conditions(budget: VirtualNodeBudget, count: PoolCount, memory: PoolMemory) -> Iterator[ObservedCondition]:
    if (accepting := _accepting(budget, count, memory)) is not None:
        yield accepting
    if budget.spec.failover is not None or memory.health != NEVER_FAILED or memory.namespaces:
        yield _healthy(memory)
    if budget.spec.stock_out is not None:
        yield _in_stock(budget, memory)


def _accepting(budget: VirtualNodeBudget, count: PoolCount, memory: PoolMemory) -> ObservedCondition | None:
    """What keeps pods from the pool, in the order of `pool_verdict`; None if nothing of this does."""
    if not count.nodes:
        message = "No node has the labels of nodeSelector, or the nodes that have them belong to an older pool."
        return ObservedCondition(ACCEPTING, holds=False, reason="NoNodes", message=message)
    if count.unschedulable == count.nodes:
        message = f"All {count.nodes} nodes are unschedulable, and another client than Spillway made them so."
        return ObservedCondition(ACCEPTING, holds=False, reason="Held", message=message)
    if (failing := _failing(budget, memory)) is not None:
        return failing
    if not count.ready:
        message = f"None of its {count.nodes} nodes is ready."
        return ObservedCondition(ACCEPTING, holds=False, reason="NoNodes", message=message)
    if memory.kept_out:
        return ObservedCondition(ACCEPTING, holds=True, reason="NamespacesKeptOut", message=_kept_out(memory))
    return None


def _failing(budget: VirtualNodeBudget, memory: PoolMemory) -> ObservedCondition | None:
    health = _healthy(memory)
    if memory.health.state is State.FAILED:
        return ObservedCondition(ACCEPTING, holds=False, reason="Unhealthy", message=health.message)
    if budget.spec.stock_out is not None:
        stock = _in_stock(budget, memory)
        if memory.ladders.highest.out_of_stock(budget.spec.stock_out.ladder):
            return ObservedCondition(ACCEPTING, holds=False, reason="OutOfStock", message=stock.message)
    if memory.health.state is State.RETRYING:
        return ObservedCondition(ACCEPTING, holds=True, reason="Retrying", message=health.message)
    return None


def _healthy(memory: PoolMemory) -> ObservedCondition:
    health = memory.health
    why = _FAILED_FOR[health.reason]
    if health.state is State.FAILED:
        message = f"{why}; it is tried again after {_time(health.retry_at)}, once a node is ready."
        return ObservedCondition(HEALTHY, holds=False, reason=health.reason or "Failed", message=message)
    if health.state is State.RETRYING:
        message = f"{why}; it is being tried again, with {PROBE_PODS} pods at a time until one has started."
        return ObservedCondition(HEALTHY, holds=True, reason="Retrying", message=message)
    if memory.kept_out:
        return ObservedCondition(HEALTHY, holds=True, reason="NamespacesKeptOut", message=_kept_out(memory))
    return ObservedCondition(HEALTHY, holds=True, reason="Healthy", message="Its pods start.")


def _kept_out(memory: PoolMemory) -> str:
    names = sorted(memory.kept_out)
    until = _time(min(memory.namespaces[name].retry_at for name in names))
    named = first_names(names, most=NAMED)
    return f"Pods of {named} did not start in time, so the pool takes only pods of other namespaces until {until}."


def _in_stock(budget: VirtualNodeBudget, memory: PoolMemory) -> ObservedCondition:
    position, stock_out = memory.ladders.highest, budget.spec.stock_out
    if stock_out is None or not position.step:
        message = "Pods get the size that they request."
        return ObservedCondition(IN_STOCK, holds=True, reason="InStock", message=message)
    until = _time(position.since + stock_out.forget_after.seconds)
    ahead = sorted(name for name, one in memory.ladders.ahead.items() if one.step == position.step)
    only = f" for pods of {first_names(ahead, most=NAMED)} (other namespaces have not reported this)" if ahead else ""
    if position.out_of_stock(stock_out.ladder):
        message = f"There was no stock of any size{only}; it is tried again after {until}."
        return ObservedCondition(IN_STOCK, holds=False, reason="OutOfStock", message=message)
    size = stock_out.ladder[position.step - 1]
    asked = f"cpu {size.cpu}, memory {size.memory} is requested until {until}"
    message = f"There was no stock of smaller sizes{only}: {asked}."
    return ObservedCondition(IN_STOCK, holds=True, reason="BiggerSize", message=message)


def _time(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(int(seconds), UTC))
