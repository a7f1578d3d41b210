"""The newsvendor rule: how much capacity is worth owning, for one level and for all workloads together.

Contract: an owned core costs the same in every hour, a virtual one only while it is billed. So a level that does not
share its core is worth owning iff its billed share of the cycle is above owned price / virtual price
(`worth_by_itself`). Workloads that peak at different times share cores, so for all of them together that rule holds for
the last core: own as many as keep in use, on the margin, more than that ratio. `worth_owning` finds that number by its
cost, with the joint allocation at each size looked at. Capacity is real load / target utilisation: an owned core that
may be 65 % full costs 1/0.65 times as much for the load that it carries.

Prices are of an hour of one core, in any one currency: `owned_price` of an existing core; `virtual_price` of a core of
real load, that is, of the bill for the requests that carry it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from spillway.domain.threshold.allocation import Allocation, allocate
from spillway.domain.threshold.billing import Billed, Billing, billed, billed_shares
from spillway.domain.threshold.demand import Demand, steps_of

CURVE_ROUNDS: Final = 40
"""Rounds of each allocation on the curve: a tenth of a percent matters there less than an answer in time."""

_CURVE_POINTS: Final = 12


@dataclass(frozen=True, slots=True)
class OwningPoint:
    """One size of the owned capacity, and the cost of an average hour of the cycle with it."""

    nodes: int
    owned_cores: float
    cost_per_hour: float
    used_share: float
    """Real load over owned cores, on average; at most the target utilisation."""


@dataclass(frozen=True, slots=True, eq=False)
class Owning:
    """The result: how much capacity to own."""

    best: OwningPoint
    curve: tuple[OwningPoint, ...]
    """From nothing to enough for the peak, evenly, and the best one among them."""
    plan: Allocation
    """The thresholds at the best size."""


def worth_by_itself(demand: Demand, *, owned_price: float, virtual_price: float, billing: Billing) -> int:
    """How many replicas of a workload that shares no cores are worth owning; `minimum` and `maximum` bound it.

    `owned_price` is of what one core of real load takes: the price of a core over the target utilisation.
    """
    shares = billed_shares(demand, billing)
    # Restarts may make a higher level more expensive than the one below, without which it cannot be owned: own up to
    # the level where the sum of the savings is highest.
    saved = np.append(0.0, np.cumsum(shares * virtual_price - owned_price))
    allowed = saved[demand.minimum : None if demand.maximum is None else demand.maximum + 1]
    return demand.minimum + (int(allowed.argmax()) if allowed.size else 0)


def worth_owning(
    demands: Sequence[Demand],
    *,
    owned_price: float,
    virtual_price: float,
    target_utilization: float,
    billing: Billing,
    node_cores: float = 1.0,
    rounds: int = CURVE_ROUNDS,
) -> Owning:
    """The number of nodes of `node_cores` that makes the cycle cheapest, and the curve of cost over that number.

    Raises:
        ValueError: a price or a size that is not positive, demands of different lengths, or two of one workload.
    """
    if owned_price <= 0 or virtual_price <= 0 or node_cores <= 0:
        raise ValueError("prices and the size of a node must be above 0")
    needed = np.zeros(steps_of(demands))
    for demand in demands:
        needed += demand.owned_load(demand.most)
    peak = float(needed.max(initial=0.0))
    tabled = billed(demands, billing)
    most = math.ceil(peak / target_utilization / node_cores - 1e-9)
    plans: dict[int, Allocation] = {}

    def point(nodes: int) -> OwningPoint:
        if nodes not in plans:
            plans[nodes] = allocate(
                demands, capacity_cores=nodes * node_cores, target_utilization=target_utilization, rounds=rounds
            )
        plan, cores = plans[nodes], nodes * node_cores
        used = float(plan.owned_load.mean()) / cores if cores else 0.0
        return OwningPoint(nodes, cores, owned_price * cores + virtual_price * _rented(plan, tabled), used)

    looked_at = sorted({round(most * part / _CURVE_POINTS) for part in range(_CURVE_POINTS + 1)})
    around = min(looked_at, key=lambda nodes: (point(nodes).cost_per_hour, nodes))
    at = looked_at.index(around)
    low, high = looked_at[max(at - 1, 0)], looked_at[min(at + 1, len(looked_at) - 1)]
    best = min((_cheapest(low, high, lambda n: point(n).cost_per_hour), around), key=lambda n: point(n).cost_per_hour)
    curve = tuple(point(nodes) for nodes in sorted({*looked_at, best}))
    return Owning(point(best), curve, plans[best])


def _rented(plan: Allocation, tabled: Sequence[Billed]) -> float:
    """Core-hours billed on virtual nodes in an average hour."""
    return sum(one.at(plan.thresholds[one.demand.workload]) for one in tabled)


def _cheapest(low: int, high: int, cost: Callable[[int], float]) -> int:
    """The cheapest whole number of a range over which cost falls and then rises (golden section)."""
    while high - low > 3:
        left = low + round((high - low) * 0.382)
        right = max(low + round((high - low) * 0.618), left + 1)
        if cost(left) <= cost(right):
            high = right
        else:
            low = left
    return min(range(low, high + 1), key=lambda nodes: (cost(nodes), nodes))
