"""The limits of a pool: how far each is used, the room that is left under them, and whether one more pod fits.

Contract: pure; evaluated at every admission. `LIMITS` is the only list of the limits: admission, the alerts, and the
excess of a pool all read it. Everything on the pool and every reservation counts against a limit, so
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

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

from spillway.api.virtualnodebudget import BudgetLimits, PoolPrice
from spillway.domain.budget.price import EXACT, per_hour
from spillway.domain.model.units import HOUR_SECONDS
from spillway.domain.model.usage import Usage

NEAR_SHARE: Final = Decimal("0.80")
"""The used share from which a limit is near."""
RESIZES_COUNT: Final = "resizes in place that no kubelet has granted count as well"
"""Part of the reason why a pool takes no pod. It names no amount: whoever resizes a pod could vary it without end."""

_ZERO: Final = Decimal(0)

Amount = int | Decimal
"""Pods, millicores or bytes; money per hour; of the month, money times seconds per hour, so that nothing is divided."""


class PoolDemand(NamedTuple):
    """The amounts of one pod, or of several together."""

    used: Usage
    """What they request."""
    rate: Decimal
    """What they cost per hour, as billed; 0 where no limit needs it."""
    minimum_seconds: int
    """For how long each is billed at least."""


class Limit(NamedTuple):
    """One of the limits that a budget can set."""

    name: str
    """As the manifest has it, for example costPerHour."""
    attribute: str
    """Its field in the model."""
    written: Callable[[Any], Amount]
    """The field's value as an amount."""
    amount: Callable[[PoolDemand], Amount]
    """How much of it is taken."""
    unit: int = 1
    """How many of its amounts are one in the manifest."""
    cost: bool = False
    """Whether it needs a price."""
    accrues: bool = False
    """Whether its use grows while pods run. It then closes the pool for new pods when nothing is left, even for a pod
    that may cost nothing, and no pod is sent away because of it."""

    def less(self, amount: Amount, part: Amount) -> Amount:
        """The difference of two of its amounts, exact."""
        return EXACT.subtract(amount, part) if self.cost else amount - part


LIMITS: Final = (
    Limit("pods", "pods", int, lambda pod: pod.used.pods),
    Limit("cpu", "cpu", lambda cpu: cpu.millis, lambda pod: pod.used.cpu_millis, unit=1000),
    Limit("memory", "memory", lambda memory: memory.bytes, lambda pod: pod.used.memory_bytes),
    Limit("costPerHour", "cost_per_hour", lambda money: money.amount, lambda pod: pod.rate, cost=True),
    Limit(
        "costPerMonth",
        "cost_per_month",
        lambda money: money.amount * HOUR_SECONDS,
        lambda pod: EXACT.multiply(pod.rate, pod.minimum_seconds),
        unit=HOUR_SECONDS,
        cost=True,
        accrues=True,
    ),
)
"""All limits, in the order in which a refusal names them."""


@dataclass(frozen=True, slots=True)
class LimitUse:
    """The use of one limit that is set."""

    limit: Limit
    allowed: Amount
    used: Amount
    by_pods: Amount = 0
    """What the pods take of it that are on the pool."""
    pods: int = 0

    @property
    def name(self) -> str:
        """As the manifest has it."""
        return self.limit.name

    @property
    def left(self) -> Amount:
        """The room; negative if the limit was lowered below the use."""
        return self.limit.less(self.allowed, self.used)

    @property
    def share(self) -> Decimal:
        """The used share of the limit, from 0; a limit of zero is fully used."""
        return Decimal(self.used) / self.allowed if self.allowed else Decimal(1)

    @property
    def step(self) -> Decimal:
        """The amount that a pod of average size takes of it; 0 without pods."""
        return Decimal(self.by_pods) / self.pods if self.pods else _ZERO

    @property
    def full(self) -> bool:
        """Whether the next pod finds no room: all of it is used, or a pod of average size would pass it."""
        return self.left <= 0 or (self.step > self.left and self.share >= NEAR_SHARE)

    @property
    def passed(self) -> bool:
        """Whether pods have to go that never started."""
        return not self.limit.accrues and self.left < 0

    def takes(self, pod: PoolDemand) -> bool:
        """Whether one more pod fits. One that takes nothing of the limit always does."""
        left = self.left
        if self.limit.accrues and pod.rate and left <= 0:
            return False
        return self.limit.amount(pod) <= max(left, 0)

    def without(self, pod: PoolDemand) -> "LimitUse":
        """The use once such a pod is gone."""
        used = self.limit.less(self.used, self.limit.amount(pod))
        return LimitUse(self.limit, self.allowed, used, self.by_pods, self.pods)


@dataclass(frozen=True, slots=True)
class LimitRoom:
    """The use of each limit that is set, and what is needed to say what one more pod would take."""

    uses: tuple[LimitUse, ...] = ()
    price: PoolPrice | None = None
    """None also where no limit needs it."""

    def demand(self, used: Usage, billed: Usage) -> PoolDemand:
        """The amounts that these limits see of requests, and of what the provider bills of them."""
        return _demand(self.price, used, billed)


UNLIMITED: Final = LimitRoom()


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
    limited = [
        (limit, value)
        for limit in LIMITS
        if (value := getattr(limits, limit.attribute)) is not None and (price is not None or not limit.cost)
    ]
    charged = price if any(limit.cost for limit, _ in limited) else None
    present = _demand(charged, used, billed or used)
    promised = None if waiting is None else _demand(charged, waiting, waiting)
    uses: list[LimitUse] = []
    for limit, value in limited:
        by_pods = taken = limit.amount(present)
        if limit.accrues:
            taken = EXACT.multiply(spent_this_month, limit.unit)
            taken = taken if promised is None else EXACT.add(taken, limit.amount(promised))
        uses.append(LimitUse(limit, limit.written(value), taken, by_pods, used.pods))
    return LimitRoom(tuple(uses), charged)


def fits(left: LimitRoom, cpu_millis: int, memory_bytes: int, *, billed: Usage | None = None) -> str:
    """The limit that one more pod would exceed, as the manifest names it; empty if it fits.

    `billed` is what the provider would bill of it, where that is more than its requests.
    """
    if not left.uses:
        return ""
    requests = Usage(1, cpu_millis, memory_bytes)
    pod = left.demand(requests, billed or requests)
    return next((use.name for use in left.uses if not use.takes(pod)), "")


def _demand(price: PoolPrice | None, used: Usage, billed: Usage) -> PoolDemand:
    if price is None:
        return PoolDemand(used, _ZERO, 0)
    return PoolDemand(used, per_hour(price, billed.cpu_millis, billed.memory_bytes), price.minimum_seconds)
