"""The limits of a pool: how much room is left under them, and whether one more pod fits.

Contract: pure; evaluated at every admission. Everything on the pool and every reservation counts against a limit, so
`used` holds the pods bound to its nodes until they are finished, and the reservations of those that are not bound yet.
No pod is admitted that would bring a sum beyond its limit; a sum may reach it.

- `pods`, `cpu`, `memory`: sums of requests.
- `costPerHour`: the rate at which all of `used` and the new pod cost. The provider bills a size that is bigger than
  the requests, so this counts what is billed.
- `costPerMonth`: what has been spent since the month began, with the minimum billing time of every pod that has
  started, and the minimum billing time of those that are yet to start and of the new one. So a pod is admitted if the
  least that it can cost still fits in the month's budget. How long it runs is unknown: the limit of a month closes a
  pool for new pods; it ends no pod, and running pods continue to cost.

A cost limit without a price limits nothing (the API server refuses such a budget).
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Final

from spillway.api.virtualnodebudget import BudgetLimits, PoolPrice
from spillway.domain.budget.price import EXACT, per_hour
from spillway.domain.model.units import HOUR_SECONDS
from spillway.domain.model.usage import Usage

_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class LimitRoom:
    """The room that is left under each limit; None without a limit, negative if it was lowered below the use."""

    pods: int | None = None
    cpu_millis: int | None = None
    memory_bytes: int | None = None
    cost_per_hour: Decimal | None = None
    cost_this_month: Decimal | None = None
    waiting_per_hour: Decimal = _ZERO
    """The cost per hour of the pods that have a place and have not started: each will be billed the minimum."""
    price: PoolPrice | None = None


UNLIMITED: Final = LimitRoom()
RESIZES_COUNT: Final = "resizes in place that no kubelet has granted count as well"
"""Part of the reason why a pool takes no pod. It names no amount: whoever resizes a pod could vary it without end."""


def room(
    limits: BudgetLimits | None,
    price: PoolPrice | None,
    used: Usage,
    spent_this_month: Decimal,
    *,
    billed: Usage | None = None,
    waiting: Usage | None = None,
) -> LimitRoom:
    """The room that is left.

    `used` sums requests. `billed` sums what the provider bills of the same pods (`price.billed`); where it is not given
    nothing is billed beyond the requests. `waiting` sums, as billed, those of them that have not started yet, whose
    minimum billing time is therefore not in `spent_this_month`.
    """
    if limits is None:
        return UNLIMITED
    hour_left = month_left = None
    waiting_rate = _ZERO
    if price is not None:
        with localcontext(EXACT):
            if limits.cost_per_hour is not None:
                present = billed or used
                hour_left = limits.cost_per_hour.amount - per_hour(price, present.cpu_millis, present.memory_bytes)
            if limits.cost_per_month is not None:
                month_left = limits.cost_per_month.amount - spent_this_month
        if waiting is not None:
            waiting_rate = per_hour(price, waiting.cpu_millis, waiting.memory_bytes)
    return LimitRoom(
        pods=None if limits.pods is None else limits.pods - used.pods,
        cpu_millis=None if limits.cpu is None else limits.cpu.millis - used.cpu_millis,
        memory_bytes=None if limits.memory is None else limits.memory.bytes - used.memory_bytes,
        cost_per_hour=hour_left,
        cost_this_month=month_left,
        waiting_per_hour=waiting_rate,
        price=price,
    )


def fits(left: LimitRoom, cpu_millis: int, memory_bytes: int, *, billed: Usage | None = None) -> str:
    """The limit that one more pod would exceed, as the manifest names it; empty if it fits.

    `billed` is what the provider would bill of it, where that is more than its requests.
    """
    cost = (cpu_millis, memory_bytes) if billed is None else (billed.cpu_millis, billed.memory_bytes)
    return _requests_break(left, cpu_millis, memory_bytes) or _cost_breaks(left, *cost)


def _requests_break(left: LimitRoom, cpu_millis: int, memory_bytes: int) -> str:
    if left.pods is not None and left.pods < 1:
        return "pods"
    if left.cpu_millis is not None and cpu_millis > max(left.cpu_millis, 0):
        return "cpu"
    if left.memory_bytes is not None and memory_bytes > max(left.memory_bytes, 0):
        return "memory"
    return ""


def _cost_breaks(left: LimitRoom, cpu_millis: int, memory_bytes: int) -> str:
    if left.price is None or (left.cost_per_hour is None and left.cost_this_month is None):
        return ""
    rate = per_hour(left.price, cpu_millis, memory_bytes)
    if left.cost_per_hour is not None and rate > max(left.cost_per_hour, _ZERO):
        return "costPerHour"
    month = left.cost_this_month
    if month is not None and not _affordable(month, rate, left.waiting_per_hour, left.price.minimum_seconds):
        return "costPerMonth"
    return ""


def _affordable(left: Decimal, rate: Decimal, waiting_rate: Decimal, minimum_seconds: int) -> bool:
    """Whether the least that a pod can cost is left. Nothing left is too little, even if a pod can cost nothing."""
    if rate == 0:
        return True
    with localcontext(EXACT):
        return left > 0 and (rate + waiting_rate) * minimum_seconds <= left * HOUR_SECONDS
