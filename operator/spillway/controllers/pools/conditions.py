"""What the conditions of a VirtualNodeBudget say of its health and its stock.

Contract: `Healthy` and `InStock` are True while all is well, as `Ready` is; each is there where the budget configures
what it is about (`failover`, `stockOut`), and health also once something was wrong. Pure.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from spillway.api.conditions import READY, Condition
from spillway.api.scalars import rfc3339
from spillway.api.virtualnodebudget import VirtualNodeBudget
from spillway.controllers.pools.memory import NEVER_FAILED, PoolMemory
from spillway.domain.pools.health import PROBE_PODS, Health, HealthReason, State

HEALTHY: Final = "Healthy"
IN_STOCK: Final = "InStock"

_FAILED_FOR: Final = {
    HealthReason.NODES_NOT_READY: "None of its nodes was ready for too long",
    HealthReason.PODS_NOT_STARTING: "Pods that were bound to it did not start for too long",
    None: "It failed",
}


def pool_conditions(budget: VirtualNodeBudget, memory: PoolMemory, now: datetime) -> Iterator[Condition]:
    """Health and stock."""
    if budget.spec.failover is not None or memory.health != NEVER_FAILED:
        yield healthy(memory.health, now)
    if budget.spec.stock_out is not None:
        yield _in_stock(budget, memory, now)


def not_ready(budget: VirtualNodeBudget, memory: PoolMemory, now: datetime) -> Condition | None:
    """What Ready says of an open pool that takes no pods, or few; None where it takes them."""
    health = healthy(memory.health, now)
    if memory.health.state is State.FAILED:
        return Condition.make(READY, holds=False, reason="Unhealthy", message=health.message, now=now)
    if budget.spec.stock_out is not None:
        stock = _in_stock(budget, memory, now)
        if memory.position.out_of_stock(budget.spec.stock_out.ladder):
            return Condition.make(READY, holds=False, reason="OutOfStock", message=stock.message, now=now)
    if memory.health.state is State.RETRYING:
        return Condition.make(READY, holds=True, reason="Retrying", message=health.message, now=now)
    return None


def healthy(health: Health, now: datetime) -> Condition:
    """The condition of the health."""
    why = _FAILED_FOR[health.reason]
    if health.state is State.FAILED:
        message = f"{why}; it is tried again after {_time(health.retry_at)}, once a node is ready."
        return Condition.make(HEALTHY, holds=False, reason=health.reason or "Failed", message=message, now=now)
    if health.state is State.RETRYING:
        message = f"{why}; it is being tried again, with {PROBE_PODS} pods at a time until one has started."
        return Condition.make(HEALTHY, holds=True, reason="Retrying", message=message, now=now)
    return Condition.make(HEALTHY, holds=True, reason="Healthy", message="Its pods start.", now=now)


def _in_stock(budget: VirtualNodeBudget, memory: PoolMemory, now: datetime) -> Condition:
    position, stock_out = memory.position, budget.spec.stock_out
    if stock_out is None or not position.step:
        message = "Pods get the size that they request."
        return Condition.make(IN_STOCK, holds=True, reason="InStock", message=message, now=now)
    until = _time(position.since + stock_out.forget_after.seconds)
    if position.out_of_stock(stock_out.ladder):
        message = f"There was no stock of any size; it is tried again after {until}."
        return Condition.make(IN_STOCK, holds=False, reason="OutOfStock", message=message, now=now)
    size = stock_out.ladder[position.step - 1]
    message = f"There was no stock of smaller sizes: cpu {size.cpu}, memory {size.memory} is asked for until {until}."
    return Condition.make(IN_STOCK, holds=True, reason="BiggerSize", message=message, now=now)


def _time(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(int(seconds), UTC))
