"""The levels of all workloads in one array, so that the prices of all steps are applied to all of them at once.

Contract: level k of a workload is worth the core-steps for which it is needed, less what these cost at their prices.
For given prices the best threshold of each workload is found independently of the others; this is the purpose of the
prices (Lagrangian relaxation). Only the free part of a demand is here, the levels above its minimum.

Neighbouring levels that are needed at the same steps form a run. They are worth the same, so the array holds runs: a
workload has at most one run for each step of the cycle, however many replicas it needs. Runs of one workload lie side
by side, an empty run for threshold 0 (own nothing) first; `first[i]` is where workload i begins.
"""

import numpy as np
from numpy.typing import NDArray

from spillway.domain.threshold.demand import Series

Counts = NDArray[np.int64]
"""One whole number for each workload or run."""


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
        ranked = np.sort(np.column_stack([np.zeros(self.workloads), needed]), axis=1)
        begins = np.ones_like(ranked, dtype=bool)
        begins[:, 1:] = ranked[:, 1:] > ranked[:, :-1]
        runs = begins.sum(axis=1)
        self.last: Counts = np.cumsum(runs) - 1
        """The highest run of each workload."""
        self.first: Counts = self.last - runs + 1
        self.top: Counts = ranked[begins].astype(np.int64)
        """The highest level of each run."""
        self.width: Counts = np.diff(self.top, prepend=0)
        """How many levels each run has."""
        self.width[self.first] = 0
        self._size = int(self.top.size)
        self._owner = np.repeat(np.arange(self.workloads), runs)
        self._stride = int(self.most.max(initial=0)) + 1
        self._key = self._owner * self._stride + self.top
        """Ascending over all runs, so that one search finds the runs of many thresholds."""
        self._index = self.run_of(np.arange(self.workloads)[:, None], needed.astype(np.int64))
        self.duty: Series = self._above(np.ones(self.steps), np.arange(self.steps))
        """Steps in which each level of a run is needed."""
        self._used: Series = np.cumsum(self.duty * self.width)

    def run_of(self, workload: Counts, threshold: Counts) -> Counts:
        """The run that holds the highest owned level."""
        found: Counts = np.searchsorted(self._key, workload * self._stride + threshold)
        return found

    def used(self, workload: Counts, threshold: Counts) -> Series:
        """Replica-steps in use on owned nodes with these thresholds, for each of the workloads."""
        run = self.run_of(workload, threshold)
        used: Series = self._used[run] - (self.top[run] - threshold) * self.duty[run] - self._used[self.first[workload]]
        return used

    def worth(self, prices: Series) -> Series:
        """What each level of a run brings at these prices, in steps; a price of 1 takes away all a step brings."""
        priced = np.flatnonzero(prices > 0)
        return self.duty - self._above(prices[priced], priced) if priced.size else self.duty

    def best(self, worth: Series) -> tuple[Counts, float]:
        """The best threshold of each workload, the higher of equals, and what all of them bring in core-steps."""
        total = np.cumsum(worth * self.width)
        total -= total[self.first][self._owner]
        brings = np.maximum.reduceat(total, self.first)
        reaching = np.flatnonzero(total >= brings[self._owner] - _TIE)
        thresholds = np.zeros(self.workloads, dtype=np.int64)
        # Ascending: of several for one workload the last, which is the highest, stays.
        thresholds[self._owner[reaching]] = self.top[reaching]
        return thresholds, float(self.cpu_cores @ brings)

    def load(self, thresholds: Counts | Series) -> Series:
        """Cores in use at each step with these levels owned."""
        cores: Series = self.cpu_cores @ np.minimum(self.needed, thresholds[:, None])
        return cores

    def _above(self, weights: Series, steps: Counts) -> Series:
        """The weights summed over the steps that need each run; 0 for the empty ones."""
        chosen = self._index if steps.size == self.steps else self._index[:, steps]
        at_run = np.bincount(
            chosen.ravel(), weights=np.broadcast_to(weights, chosen.shape).ravel(), minlength=self._size
        )
        from_here_on = np.append(np.cumsum(at_run[::-1])[::-1], 0.0)
        above: Series = from_here_on[:-1] - from_here_on[self.last + 1][self._owner]
        above[self.first] = 0.0
        return above


_TIE = 1e-9
"""Steps by which two thresholds may differ in worth and count as equal: rounding of sums."""
