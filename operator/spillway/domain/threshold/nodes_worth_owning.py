"""The number of nodes that is worth owning, by the newsvendor rule: advice, from which no threshold follows.

Contract: an owned core costs the same in every hour, a virtual one only while it is billed. So a level that does not
share its core is worth owning iff its billed share of the cycle is above owned price / virtual price. Workloads that
peak at different times share cores, so for all of them together that rule holds for the last core: own as many as keep
in use, on the margin, more than that ratio. `worth_owning` finds that number by its cost, with the joint allocation at
each size looked at. Capacity is real load / target utilisation: an owned core that
may be 65 % full costs 1/0.65 times as much for the load that it carries.

Prices are of an hour of one core, in any one currency: `owned_price` of an existing core; `virtual_price` of a core of
real load, that is, of the bill for the requests that carry it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from spillway.domain.threshold.allocation import Allocation, allocate
from spillway.domain.threshold.billing import Billed, Billing, billed
from spillway.domain.threshold.demand import Demand, steps_of

CURVE_ROUNDS: Final = 40
"""Rounds of each allocation on the curve: a tenth of a percent matters there less than an answer in time."""

_CURVE_POINTS: Final = 12
_EXACT_PART: Final = 300


@dataclass(frozen=True, slots=True)
class NodeSize:
    """One owned node, and what is not free there for the demands.

    Raises:
        ValueError: the node has no free cores.
    """

    cores: float
    """Allocatable; what is paid for."""
    taken_cores: float = 0.0
    """Requested on each node by pods that come with it, those of DaemonSets."""
    elsewhere_cores: float = 0.0
    """Requested by all other pods on owned nodes together, however many nodes there are."""

    def __post_init__(self) -> None:
        if self.cores <= self.taken_cores or self.taken_cores < 0 or self.elsewhere_cores < 0:
            raise ValueError("a node must have more cores than the pods of each node take")

    def free_cores(self, nodes: int) -> float:
        """The cores of so many nodes that are free for the demands."""
        return max(0.0, nodes * (self.cores - self.taken_cores) - self.elsewhere_cores)

    def nodes_for(self, cores: float) -> int:
        """The number of nodes that have so many free cores."""
        return math.ceil((cores + self.elsewhere_cores) / (self.cores - self.taken_cores) - 1e-9)


ONE_CORE: Final = NodeSize(1.0)


@dataclass(frozen=True, slots=True)
class OwningPoint:
    """One size of the owned capacity, and the cost of an average hour of the cycle with it."""

    nodes: int
    owned_cores: float
    cost_per_hour: float
    used_share: float
    """Load of the demands over owned cores, on average; above the target only where minima force it."""


@dataclass(frozen=True, slots=True, eq=False)
class Owning:
    """The result: how much capacity to own."""

    best: OwningPoint
    curve: tuple[OwningPoint, ...]
    """From enough for the minima to enough for the peak, evenly, and the best one among them."""
    plan: Allocation
    """The thresholds at the best size."""


def worth_owning(
    demands: Sequence[Demand],
    on_nodes: Sequence[Demand] | None = None,
    *,
    owned_price: float,
    virtual_price: float,
    target_utilization: float,
    billing: Billing,
    node: NodeSize = ONE_CORE,
    rounds: int = CURVE_ROUNDS,
) -> Owning:
    """The number of nodes that makes the cycle cheapest, and the curve of cost over that number.

    `on_nodes` are the same demands with what a replica takes of a node, where that is more than its load, and bounded
    where it fits on none. The curve begins where the minima fit, because they are on owned nodes whatever that costs,
    and ends where all of the demand fits.

    Raises:
        ValueError: a price that is not positive, a node without room, demands of different lengths, or two of one
            workload.
    """
    if owned_price <= 0 or virtual_price <= 0:
        raise ValueError("prices must be above 0")
    placed = demands if on_nodes is None else on_nodes
    least, most = (node.nodes_for(_peak(placed, bound) / target_utilization) for bound in ("minimum", "most"))
    tabled = billed(demands, billing)
    plans: dict[int, Allocation] = {}

    def point(nodes: int) -> OwningPoint:
        if nodes not in plans:
            plans[nodes] = allocate(
                placed, capacity_cores=node.free_cores(nodes), target_utilization=target_utilization, rounds=rounds
            )
        plan, cores = plans[nodes], nodes * node.cores
        used = _used(plan, demands) / cores if cores else 0.0
        return OwningPoint(nodes, cores, owned_price * cores + virtual_price * _rented(plan, tabled), used)

    looked_at = sorted({least + round((most - least) * part / _CURVE_POINTS) for part in range(_CURVE_POINTS + 1)})
    around = min(looked_at, key=lambda nodes: (point(nodes).cost_per_hour, nodes))
    at = looked_at.index(around)
    low, high = looked_at[max(at - 1, 0)], looked_at[min(at + 1, len(looked_at) - 1)]
    best = min((_cheapest(low, high, lambda n: point(n).cost_per_hour), around), key=lambda n: point(n).cost_per_hour)
    curve = tuple(point(nodes) for nodes in sorted({*looked_at, best}))
    return Owning(point(best), curve, plans[best])


def _peak(demands: Sequence[Demand], bound: Literal["minimum", "most"]) -> float:
    """The highest load of all together, with each owned up to this bound."""
    load = np.zeros(steps_of(demands))
    for demand in demands:
        load += demand.owned_load(demand.minimum if bound == "minimum" else demand.most)
    return float(load.max(initial=0.0))


def _used(plan: Allocation, demands: Sequence[Demand]) -> float:
    """Cores in use on owned nodes in an average hour."""
    return float(sum(one.owned_load(plan.thresholds[one.workload]).mean() for one in demands))


def _rented(plan: Allocation, tabled: Sequence[Billed]) -> float:
    """Core-hours billed on virtual nodes in an average hour."""
    return sum(one.at(plan.thresholds[one.demand.workload]) for one in tabled)


def _cheapest(low: int, high: int, cost: Callable[[int], float]) -> int:
    """The cheapest whole number of a range over which cost falls and then rises (golden section).

    Of many nodes it is exact to a third of a percent, within which the cost hardly differs.
    """
    exact = max(1, high // _EXACT_PART)
    while high - low > 3 * exact:
        left = low + round((high - low) * 0.382)
        right = max(low + round((high - low) * 0.618), left + 1)
        if cost(left) <= cost(right):
            high = right
        else:
            low = left
    return min(range(low, high + 1, exact), key=lambda nodes: (cost(nodes), nodes))
