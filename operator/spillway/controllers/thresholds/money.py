"""What an hour costs: as planned, with everything owned, and with nothing owned beyond the valley.

Contract: pure. Owned nodes cost for the highest load that they bear, at the target utilisation, whether it is there or
not; elastic ones for the load while it is there; virtual ones for each replica while it runs. An amount that a missing
price would be needed for is None: nothing is made up.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from spillway.domain.threshold.demand import Series


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of one workload's hour; None where it is not known."""

    owned_core: float | None
    """One core of real load, on owned nodes filled up to the target."""
    elastic_core: float | None
    """The same on elastic nodes."""
    virtual_replica: float | None
    """One replica on the pool that comes first."""

    @property
    def known(self) -> bool:
        """Whether owning can be compared with virtual nodes."""
        return self.owned_core is not None and self.virtual_replica is not None


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """One workload's replicas over the cycle, and how many of them live where.

    Levels up to `owned` are on owned nodes, up to `physical` on owned or elastic ones, the rest on virtual ones.
    """

    replicas: Series
    """Whole ones."""
    cores: float
    """Real load of one."""
    owned: int
    physical: int
    prices: Prices

    @property
    def owned_load(self) -> Series:
        return np.minimum(self.replicas, self.owned) * self.cores

    @property
    def load(self) -> Series:
        return self.replicas * self.cores

    def running_hour(self, owned: int, physical: int) -> float | None:
        """What is paid for by use with these bounds, on average over the cycle."""
        elastic = float((np.minimum(self.replicas, physical) - np.minimum(self.replicas, owned)).mean()) * self.cores
        virtual = float(np.maximum(self.replicas - physical, 0).mean())
        prices = self.prices
        if (elastic and prices.elastic_core is None) or (virtual and prices.virtual_replica is None):
            return None
        return elastic * (prices.elastic_core or 0.0) + virtual * (prices.virtual_replica or 0.0)

    def saving(self) -> float | None:
        """An hour of this workload, against owning nodes for its own peak; None without prices."""
        running = self.running_hour(self.owned, self.physical)
        if not self.prices.known or self.prices.owned_core is None or running is None:
            return None
        peak = float(self.replicas.max())
        return (peak - min(self.owned, peak)) * self.cores * self.prices.owned_core - running


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of several workloads that share owned nodes."""

    planned: float
    all_owned: float
    """Owned nodes for the peak of all of them together."""
    beyond_valley: float
    """Owned nodes for each workload's valley, virtual ones beyond."""


def hour_of(workloads: Sequence[Layers]) -> Hour | None:
    """What an hour costs in the three ways; None without prices or without workloads."""
    if not workloads or any(not one.prices.known for one in workloads):
        return None
    core = workloads[0].prices.owned_core or 0.0
    planned, valley = 0.0, 0.0
    for one in workloads:
        running = one.running_hour(one.owned, one.physical)
        low = int(one.replicas.min())
        beyond = one.running_hour(low, low)
        if running is None or beyond is None:
            return None
        planned += running
        valley += beyond + low * one.cores * core
    return Hour(
        planned=planned + core * _peak(one.owned_load for one in workloads),
        all_owned=core * _peak(one.load for one in workloads),
        beyond_valley=valley,
    )


def nodes_for(loads: Iterable[Series], node_cores: float, target: float) -> int:
    """Nodes that bear the peak of these loads at the target utilisation."""
    peak = _peak(loads)
    return math.ceil(peak / (node_cores * target) - 1e-9) if node_cores > 0 else 0


def _peak(loads: Iterable[Series]) -> float:
    total: Series | float = 0.0
    for load in loads:
        total = total + load
    return float(np.max(total))
