"""The rounding of thresholds that nearly fit to ones that fit and leave no room unused.

Contract: `fit` only lowers thresholds, until no step is above its room; `fill` only raises them, and never puts a step
above its room. Both do the same for the same input, and take time by the runs of levels (`Levels`), not by the number
of replicas.
"""

import heapq
from typing import Final

import numpy as np

from spillway.domain.threshold.demand import Series
from spillway.domain.threshold.levels import Counts, Levels

_AT_A_TIME: Final = 50
"""The number of workloads for each one that is lowered before all are looked at again."""
_FAR_AT_A_TIME: Final = 8
"""The same number while the fullest step has far too much."""
_FAR: Final = 0.02
"""Part of the load by which a step has far too much."""
_PART_OF_EXCESS: Final = 8
"""A workload is lowered by at most one such part of what the fullest step has too much."""
_PART_OF_WORKLOAD: Final = 16
"""A workload is lowered by at most one such part of its own replicas there, so that many do not go one by one."""


def fit(levels: Levels, thresholds: Counts, room: Series, slack: float) -> Counts:
    """Lower the thresholds until the load stays within `room` (cores at each step) up to `slack`.

    The fullest step is relieved first, each time by a few replicas of the workload that loses the fewest core-steps for
    what it relieves over all full steps; by one replica where little is too much. Levels are nested: with a replica go
    those above it.
    """
    fitting = thresholds.copy()
    over = levels.load(fitting) - room
    while True:
        fullest = int(over.argmax())
        if over[fullest] <= slack:
            return fitting
        there = np.minimum(levels.needed[:, fullest], fitting).astype(np.int64)
        movable = np.flatnonzero(there > 0)
        if not movable.size:
            # Nothing is left there: what is over is the rounding of sums.
            return fitting
        full = np.flatnonzero(over > slack)
        cores = levels.cpu_cores[movable]
        excess = (over[fullest] / cores / _PART_OF_EXCESS).astype(np.int64)
        fewer = np.maximum(1, np.minimum(excess, there[movable] // _PART_OF_WORKLOAD))
        before, after = fitting[movable], there[movable] - fewer
        needed = levels.needed[np.ix_(movable, full)]
        relieved = np.minimum(needed, before[:, None]) - np.minimum(needed, after[:, None])
        relief = np.minimum(relieved * cores[:, None], over[full]).sum(axis=1)
        loss = (levels.used(movable, before) - levels.used(movable, after)) * cores
        # Many of thousands at a time, one of a few: what a choice changes for the next is small among thousands.
        far = over[fullest] > _FAR * room[fullest]
        at_once = 1 + movable.size // (_FAR_AT_A_TIME if far else _AT_A_TIME)
        for cheapest in np.argsort(loss / relief, kind="stable")[:at_once]:
            if over[fullest] <= slack:
                break
            chosen, kept = movable[cheapest], after[cheapest]
            row = levels.needed[chosen]
            over -= levels.cpu_cores[chosen] * (np.minimum(row, fitting[chosen]) - np.minimum(row, kept))
            fitting[chosen] = kept


def fill(levels: Levels, thresholds: Counts, room: Series, slack: float, *, by_duty: bool = False) -> Counts:
    """Raise the thresholds while a next replica fits at every step that needs it; what brings most core-steps first.

    With `by_duty` what is needed for most steps goes first, whatever its size. One that does not fit never will, since
    loads only grow; so each run of levels is looked at once.
    """
    weights = np.ones(levels.workloads) if by_duty else levels.cpu_cores
    filled = _first_that_fit(levels, thresholds, room + slack, weights)
    left = room - levels.load(filled) + slack
    runs = levels.run_of(np.arange(levels.workloads), filled + 1)
    heap = [
        (-float(levels.duty[run] * weights[workload]), workload, int(run))
        for workload, run in enumerate(runs)
        if run <= levels.last[workload]
    ]
    heapq.heapify(heap)
    while heap:
        _, workload, run = heapq.heappop(heap)
        cores = levels.cpu_cores[workload]
        wanted = int(levels.top[run] - filled[workload])
        needs = levels.needed[workload] >= levels.top[run]
        least = float(left.min(initial=np.inf, where=needs))
        fits = min(wanted, int(max(least, 0.0) / cores))
        left -= fits * cores * needs
        filled[workload] += fits
        if fits == wanted and run < levels.last[workload]:
            heapq.heappush(heap, (-float(levels.duty[run + 1] * weights[workload]), workload, run + 1))
    return filled


def _first_that_fit(levels: Levels, thresholds: Counts, room: Series, weights: Series) -> Counts:
    """Raise the thresholds by the first runs in the order of `fill` that all fit, found by bisection."""
    owner = np.repeat(np.arange(levels.workloads), levels.last - levels.first + 1)
    runs = np.flatnonzero(levels.top > thresholds[owner])
    # Within a workload, a higher run is needed for fewer steps, so this order is the one in which a heap gives them.
    runs = runs[np.lexsort((runs, -levels.duty[runs] * weights[owner[runs]]))]
    low, high = 0, runs.size

    def raised(count: int) -> Counts:
        found = thresholds.copy()
        # Of several for one workload the last, which is the highest, stays.
        found[owner[runs[:count]]] = levels.top[runs[:count]]
        return found

    while low < high:
        middle = (low + high + 1) // 2
        if (levels.load(raised(middle)) <= room).all():
            low = middle
        else:
            high = middle - 1
    return raised(low)
