"""The demand of a workload over the coming cycle: the input that all functions of the threshold share.

Contract: every demand of one plan has the same number of steps over the same cycle (a day or a week); step t of one is
step t of all. A level is one replica: level k of a workload is needed at a step if the workload needs at least k
replicas then. Levels are nested, so owning k of them is a threshold of k.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]
"""One number for each step of a cycle."""


SLACK: Final = 1e-9
"""The part of an amount by which a sum may pass it, which is more than sums are rounded by."""


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """One workload's replicas over the coming cycle.

    Raises:
        ValueError: the replicas are not a series of finite numbers of at least 0, a replica's load is not positive
            or the bounds contradict each other.
    """

    workload: str
    """Kind/namespace/name, for example Deployment/shop/cart; unique in a plan."""
    replicas: Series
    """Replicas needed at each step. A fraction counts as a whole replica."""
    cpu_cores: float
    """The part of capacity x target utilisation that one replica takes: its real load at its target, or more if the
    scheduler has to set more aside for it."""
    priority: int = 0
    """Higher first: latency-sensitive workloads have their levels owned before any other gets one."""
    minimum: int = 0
    """Never fewer replicas than this on owned nodes."""
    maximum: int | None = None
    """Never more than this; None for no bound."""

    def __post_init__(self) -> None:
        if self.replicas.ndim != 1 or not self.replicas.size:
            raise ValueError(f"{self.workload}: replicas must be one number for each step of the cycle")
        if not np.isfinite(self.replicas).all() or float(self.replicas.min()) < 0:
            raise ValueError(f"{self.workload}: replicas must be finite and not negative at every step")
        if not (math.isfinite(self.cpu_cores) and self.cpu_cores > 0):
            raise ValueError(f"{self.workload}: the load of a replica must be above 0 cores, not {self.cpu_cores}")
        if self.minimum < 0 or (self.maximum is not None and self.maximum < self.minimum):
            raise ValueError(f"{self.workload}: needs 0 <= minimum <= maximum, not {self.minimum} and {self.maximum}")

    @property
    def peak(self) -> int:
        """The most replicas that it needs at any step."""
        return math.ceil(float(self.replicas.max()) - ROUNDING)

    @property
    def most(self) -> int:
        """The highest threshold that can be worth owning: no more levels than are ever needed, within the bounds."""
        return max(self.peak if self.maximum is None else min(self.peak, self.maximum), self.minimum)

    def beyond(self, threshold: int) -> int:
        """Replicas of a threshold above the levels of the cycle; each takes its place at every step."""
        return max(0, threshold - max(self.peak, self.minimum))

    def whole_replicas(self) -> Series:
        """Replicas at each step, rounded up to whole ones."""
        return np.ceil(self.replicas - ROUNDING)

    def owned_load(self, threshold: int) -> Series:
        """Cores in use on owned nodes at each step, with so many replicas kept there."""
        return np.minimum(self.whole_replicas(), threshold) * self.cpu_cores


ROUNDING = 1e-9
"""What a computed number of replicas may be above a whole one without asking for another replica."""


def by_priority(demands: Iterable[Demand]) -> list[list[Demand]]:
    """The demands of each priority by name, the highest priority first."""
    ordered = sorted(demands, key=lambda demand: (-demand.priority, demand.workload))
    return [list(group) for _, group in groupby(ordered, key=lambda demand: demand.priority)]


def steps_of(demands: Sequence[Demand]) -> int:
    """How many steps the cycle of these demands has; 0 for none.

    Raises:
        ValueError: the demands differ in length, or two are of one workload.
    """
    lengths = {demand.replicas.size for demand in demands}
    if len(lengths) > 1:
        raise ValueError(f"all demands must have the same number of steps, not {sorted(lengths)}")
    if len({demand.workload for demand in demands}) < len(demands):
        raise ValueError("a workload must not have two demands")
    return lengths.pop() if lengths else 0
