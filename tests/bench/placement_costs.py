"""What a day costs: everything owned, the valley owned, as Spillway placed it, and as a clairvoyant would have. Pure.

Contract: one accounting for all. Owned capacity is prepaid for the whole day, used or not; a replica kept there takes
`owned_cores_per_replica` of it (its real load at the HPA's target, divided by the target utilisation of the nodes).
A replica on a virtual pool costs that pool's price for each hour; pools are filled in their order up to their limits,
and the last one takes what is left. Demands are whole replicas, one row a workload and one column a step. Costs are of
the currency of the price table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import highspy
import numpy as np
from numpy.typing import NDArray

Replicas = NDArray[np.int64]
Series = NDArray[np.float64]

SOLVER_SECONDS: Final = 60.0
GAP: Final = 1e-4


@dataclass(frozen=True, slots=True)
class VirtualPrice:
    """One pool: what a replica costs there in an hour, and how many it takes (None: any number)."""

    replica_hour: float
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """The price table of the day."""

    owned_core_hour: float
    owned_cores_per_replica: float
    pools: tuple[VirtualPrice, ...]
    """In order of preference, the cheapest first; the last one takes everything."""

    def replicas_owned(self, cores: float) -> int:
        """How many replicas so many owned cores keep."""
        return int(cores / self.owned_cores_per_replica + 1e-9)

    def owned(self, cores: float, hours: float) -> float:
        """What owning these cores costs."""
        return cores * self.owned_core_hour * hours

    def virtual(self, overflow: Series, hours_per_step: float) -> float:
        """What replicas beyond the owned ones cost, with so many at each step."""
        left, total = np.asarray(overflow, dtype=np.float64), 0.0
        for index, pool in enumerate(self.pools):
            last = index == len(self.pools) - 1
            here = left if last or pool.replicas is None else np.minimum(left, pool.replicas)
            total += float(here.sum()) * pool.replica_hour * hours_per_step
            left = left - here
        return total


@dataclass(frozen=True, slots=True)
class Clairvoyant:
    """The best thresholds for a demand that is known, and what the day costs with them."""

    thresholds: tuple[int, ...]
    virtual_cost: float
    virtual_cost_bound: float
    """No thresholds can cost less than this."""


def owned_replicas(demand: Replicas, thresholds: Sequence[int]) -> Series:
    """Replicas on owned nodes at each step, with so many of each workload kept there."""
    kept: Series = np.minimum(demand, np.asarray(thresholds, dtype=np.int64)[:, None]).sum(axis=0).astype(np.float64)
    return kept


def all_owned(demand: Replicas, prices: Prices, hours: float) -> float:
    """Owned nodes for the peak of the day."""
    return prices.owned(float(demand.sum(axis=0).max()) * prices.owned_cores_per_replica, hours)


def all_virtual(demand: Replicas, prices: Prices, hours: float) -> float:
    """Owned nodes for the valley, everything beyond it on virtual nodes."""
    total = demand.sum(axis=0).astype(np.float64)
    valley = float(total.min())
    return prices.owned(valley * prices.owned_cores_per_replica, hours) + prices.virtual(
        total - valley, hours / total.size
    )


def with_thresholds(demand: Replicas, thresholds: Sequence[int], prices: Prices, hours: float) -> float:
    """The virtual cost if every replica stood in the tier that these thresholds name, at every step."""
    overflow = demand.sum(axis=0) - owned_replicas(demand, thresholds)
    return prices.virtual(overflow, hours / overflow.size)


def clairvoyant(demand: Replicas, room: int, prices: Prices, hours: float) -> Clairvoyant:
    """The thresholds that make the day cheapest, with at most `room` replicas on owned nodes at every step.

    A mixed-integer program, solved by HiGHS to within 0.01 % or for a minute: level k of a workload is owned or not, k
    before k + 1; what is needed and not owned is on the first pool up to its limit, else on the next.
    """
    workloads, steps = demand.shape
    levels = [int(row.max()) for row in demand]
    first = np.concatenate([[0], np.cumsum(levels)])
    need = demand.sum(axis=0)
    hours_per_step = hours / steps
    model = highspy.Highs()  # type: ignore[no-untyped-call]  # it ships no types for this
    model.setOptionValue("output_flag", False)  # noqa: FBT003  # its own way
    model.setOptionValue("time_limit", SOLVER_SECONDS)
    model.setOptionValue("mip_rel_gap", GAP)
    count, pools = int(first[-1]), prices.pools
    one, none = np.array([1.0]), np.array([], dtype=np.int32)
    for _ in range(count):
        model.addCol(0.0, 0.0, 1.0, 0, none, np.array([]))
    for _ in range(steps):
        for index, pool in enumerate(pools):
            last = index == len(pools) - 1 or pool.replicas is None
            most = highspy.kHighsInf if last else float(pool.replicas or 0)
            model.addCol(pool.replica_hour * hours_per_step, 0.0, most, 0, none, np.array([]))
    model.changeColsIntegrality(
        count, np.arange(count, dtype=np.int32), np.array([highspy.HighsVarType.kInteger] * count)
    )
    for workload in range(workloads):
        for level in range(int(first[workload]), int(first[workload + 1]) - 1):
            pair = np.array([level, level + 1], dtype=np.int32)
            model.addRow(0.0, highspy.kHighsInf, 2, pair, np.array([one[0], -1.0]))
    for step in range(steps):
        owned = np.concatenate([first[w] + np.arange(demand[w, step]) for w in range(workloads)]).astype(np.int32)
        model.addRow(-highspy.kHighsInf, float(room), owned.size, owned, np.ones(owned.size))
        virtual = np.arange(count + step * len(pools), count + (step + 1) * len(pools), dtype=np.int32)
        placed = np.concatenate([owned, virtual])
        model.addRow(float(need[step]), highspy.kHighsInf, placed.size, placed, np.ones(placed.size))
    model.run()
    info, values = model.getInfo(), np.round(np.array(model.getSolution().col_value[:count]))
    if values.size != count:
        raise RuntimeError(f"HiGHS found no thresholds: {model.modelStatusToString(model.getModelStatus())}")
    thresholds = tuple(int(values[first[w] : first[w + 1]].sum()) for w in range(workloads))
    best = with_thresholds(demand, thresholds, prices, hours)
    return Clairvoyant(thresholds, best, min(float(info.mip_dual_bound), best))


def figures(
    demand: Replicas, prices: Prices, *, owned_cores: float, hours: float, spillway_virtual: float
) -> dict[str, Any]:
    """All four costs of the day. `spillway_virtual` is what the pods that really stood on virtual pools cost."""
    prepaid = prices.owned(owned_cores, hours)
    best = clairvoyant(demand, prices.replicas_owned(owned_cores), prices, hours)
    costs = {
        "all_owned": all_owned(demand, prices, hours),
        "all_virtual": all_virtual(demand, prices, hours),
        "spillway": prepaid + spillway_virtual,
        "clairvoyant": prepaid + best.virtual_cost,
    }
    return {
        **{name: round(cost, 3) for name, cost in costs.items()},
        "spillway_over_clairvoyant": round(costs["spillway"] / costs["clairvoyant"], 4),
        "spillway_virtual_over_clairvoyant": round(spillway_virtual / best.virtual_cost, 4)
        if best.virtual_cost
        else None,
        "spillway_over_all_owned": round(costs["spillway"] / costs["all_owned"], 4),
        "of_it_owned": round(prepaid, 3),
        "of_it_virtual": {
            "spillway": round(spillway_virtual, 3),
            "clairvoyant": round(best.virtual_cost, 3),
            "clairvoyant_bound": round(best.virtual_cost_bound, 3),
        },
        "clairvoyant_thresholds": list(best.thresholds),
    }
