"""All levels of all workloads in one array, so that a price for each step of the cycle is put to all of them at once.

Contract: level k of a workload is worth the core-steps for which it is needed, less what these cost at their prices.
For given prices the best threshold of each workload is found by itself, without looking at the others: that is what
prices are for (Lagrangian relaxation). Only the free part of a demand is here, the levels above its minimum.

Levels of one workload lie side by side, level 0 (own nothing) first; `first[i]` is where workload i begins.
"""

import numpy as np
from numpy.typing import NDArray

from spillway.domain.threshold.demand import Series

Counts = NDArray[np.int64]
"""One whole number for each workload or level."""


class Levels:
    """The levels that may be owned.

    `needed` has a row of whole replicas for each workload and a column for each step, `cpu_cores` the load of one
    replica of each workload.
    """

    def __init__(self, needed: NDArray[np.float64], cpu_cores: Series) -> None:
        self.needed = needed
        self.cpu_cores = cpu_cores
        self.workloads, self.steps = needed.shape
        self.most: Counts = needed.max(axis=1).astype(np.int64)
        ends = np.cumsum(self.most + 1)
        self.first: Counts = ends - self.most - 1
        self._size = int(ends[-1])
        self._owner = np.repeat(np.arange(self.workloads), self.most + 1)
        self._index = (self.first[:, None] + needed).astype(np.int64)
        self.duty: Series = self._above(np.ones(self.steps), np.arange(self.steps))
        """Steps in which each level is needed."""

    def worth(self, prices: Series) -> Series:
        """What each level brings at these prices, in steps; a price of 1 takes away all that a step brings."""
        priced = np.flatnonzero(prices > 0)
        return self.duty - self._above(prices[priced], priced) if priced.size else self.duty

    def best(self, worth: Series) -> tuple[Counts, float]:
        """The best threshold of each workload, the higher of equals, and what all of them bring in core-steps."""
        total = np.cumsum(worth)
        total -= total[self.first][self._owner]
        brings = np.maximum.reduceat(total, self.first)
        reaching = np.flatnonzero(total >= brings[self._owner] - _TIE)
        thresholds = np.zeros(self.workloads, dtype=np.int64)
        # Ascending: of several for one workload the last, which is the highest, stays.
        thresholds[self._owner[reaching]] = reaching - self.first[self._owner[reaching]]
        return thresholds, float(self.cpu_cores @ brings)

    def load(self, thresholds: Counts | Series) -> Series:
        """Cores in use at each step with these levels owned."""
        cores: Series = self.cpu_cores @ np.minimum(self.needed, thresholds[:, None])
        return cores

    def _above(self, weights: Series, steps: Counts) -> Series:
        """The weights summed over the steps that need each level; 0 for level 0, which nobody needs."""
        chosen = self._index if steps.size == self.steps else self._index[:, steps]
        at_level = np.bincount(
            chosen.ravel(), weights=np.broadcast_to(weights, chosen.shape).ravel(), minlength=self._size
        )
        from_here_on = np.append(np.cumsum(at_level[::-1])[::-1], 0.0)
        above: Series = from_here_on[:-1] - from_here_on[self.first + self.most + 1][self._owner]
        above[self.first] = 0.0
        return above


_TIE = 1e-9
"""Steps by which two thresholds may differ in worth and count as equal: rounding of sums."""
