"""The past of a cluster, and what each day of it cost beside owning everything and owning nothing.

Contract: pure. All arrays of a history have the same length: one value for each step, NaN where it is not known. A step
counts for the costs if the requests of its pods and the number of fixed nodes are known, and it counts for all three of
them, so that they can be compared. Days are those of UTC.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from spillway.domain.forecast.spec import Floats
from spillway.domain.model.names import Tier
from spillway.domain.model.units import DAY_SECONDS, HOUR_SECONDS
from spillway.domain.threshold.request import PolicyNeed


@dataclass(frozen=True, slots=True, eq=False)
class ClusterHistory:
    """What the metrics of the operator say about a time range."""

    times: Floats
    """The end of each step in Unix seconds."""
    step_seconds: float
    cores: Mapping[str, Floats] = field(default_factory=dict)
    """CPU requests of running pods, by tier."""
    gib: Mapping[str, Floats] = field(default_factory=dict)
    """Memory requests of running pods, by tier."""
    nodes: Mapping[str, Floats] = field(default_factory=dict)
    """Nodes, by tier."""
    owned_cores: Floats | None = None
    """Allocatable cores of the owned nodes."""
    charged: Mapping[str, Floats] = field(default_factory=dict)
    """What pods on virtual nodes were charged in each step, by currency."""
    victims: Mapping[str, Floats] = field(default_factory=dict)
    """Planned victims of scale-downs in each step, by the rule that chose them."""
    moves: Mapping[str, Floats] = field(default_factory=dict)
    """Moves of pods in each step, by purpose and result."""
    imbalance: Mapping[str, Floats] = field(default_factory=dict)
    """Load of the most loaded node minus that of the least loaded one, by ZonalBalance; 1 is a whole node."""
    limits: Mapping[str, Floats] = field(default_factory=dict)
    """The highest used share of each limit of a pool in each step, by pool and limit; 1 is all of it."""


@dataclass(frozen=True, slots=True)
class DayCost:
    """The cost of the known hours of one day."""

    begins: float
    """Unix seconds."""
    hours: float
    """How many hours of the day are known."""
    fixed: float
    elastic: float
    virtual: float
    all_owned: float | None
    """As many nodes as hold the highest CPU requests of the whole history; None if their size is not known."""
    all_virtual: float | None
    """All requests on virtual nodes; None without a price of them."""

    @property
    def actual(self) -> float:
        """The cost of all tiers."""
        return self.fixed + self.elastic + self.virtual


def cost_by_day(history: ClusterHistory, prices: PolicyNeed) -> Sequence[DayCost]:
    """The cost of each day with a known step, in order; nothing without a price of fixed nodes."""
    cores, gib = _total(history.cores), _total(history.gib)
    fixed = history.nodes.get(Tier.FIXED)
    if cores is None or fixed is None or prices.fixed_node_hour is None:
        return ()
    known = ~(np.isnan(cores) | np.isnan(fixed))
    owned = _nodes_for_all(history, cores, fixed, known)
    hours = history.step_seconds / HOUR_SECONDS
    elastic = np.nan_to_num(history.nodes.get(Tier.ELASTIC, np.zeros_like(cores))) * (prices.elastic_node_hour or 0.0)
    virtual = np.nan_to_num(history.charged.get(prices.currency, np.zeros_like(cores)))
    all_virtual = None
    if prices.virtual_core_hour is not None and gib is not None:
        all_virtual = cores * prices.virtual_core_hour + np.nan_to_num(gib) * (prices.virtual_gib_hour or 0.0)
    days = np.floor((history.times - history.step_seconds / 2) / DAY_SECONDS)
    found = []
    for day in np.unique(days[known]):
        chosen = known & (days == day)
        counted = float(chosen.sum()) * hours
        found.append(
            DayCost(
                begins=float(day) * DAY_SECONDS,
                hours=counted,
                fixed=float(fixed[chosen].sum()) * hours * prices.fixed_node_hour,
                elastic=float(elastic[chosen].sum()) * hours,
                virtual=float(virtual[chosen].sum()),
                all_owned=None if owned is None else owned * counted * prices.fixed_node_hour,
                all_virtual=None if all_virtual is None else float(all_virtual[chosen].sum()) * hours,
            )
        )
    return found


def by_day(history: ClusterHistory, values: Floats) -> tuple[Floats, Floats]:
    """The beginning of each day in Unix seconds, and the sum of its known values."""
    days = np.floor((history.times - history.step_seconds / 2) / DAY_SECONDS)
    each = np.unique(days)
    sums = np.array([float(np.nansum(values[days == day])) for day in each])
    return each * DAY_SECONDS, sums


def _nodes_for_all(history: ClusterHistory, cores: Floats, fixed: Floats, known: np.ndarray) -> float | None:
    """The number of fixed nodes whose cores hold the highest requests."""
    if history.owned_cores is None or not known.any():
        return None
    sizes = history.owned_cores / np.where(fixed > 0, fixed, np.nan)
    if np.isnan(sizes).all():
        return None
    size = float(np.nanmedian(sizes))
    return None if size <= 0 else float(math.ceil(float(cores[known].max()) / size - 1e-9))


def _total(by_tier: Mapping[str, Floats]) -> Floats | None:
    """The sum over tiers, known where any of them is."""
    if not by_tier:
        return None
    stacked = np.vstack(list(by_tier.values()))
    return np.where(np.isnan(stacked).all(axis=0), np.nan, np.nansum(stacked, axis=0))
