"""From thresholds that nearly fit to ones that fit, and that leave no room unused.

Contract: `fit` only lowers thresholds, until no step is above its room; `fill` only raises them, and never puts a step
above its room. Both go one replica at a time, the same way for the same input.
"""

import heapq
from typing import Final

import numpy as np

from spillway.domain.threshold.demand import Series
from spillway.domain.threshold.levels import Counts, Levels

_AT_A_TIME: Final = 50
"""Of so many workloads one is lowered before all are looked at again."""


def fit(levels: Levels, thresholds: Counts, room: Series, slack: float) -> Counts:
    """Lower the thresholds until the load stays within `room` (cores at each step) up to `slack`.

    The fullest step is relieved first, each time by one replica of the workload that loses the fewest core-steps for
    what it relieves over all full steps. Levels are nested: with that replica go those above it.
    """
    fitting = thresholds.copy()
    over = levels.load(fitting) - room
    up_to = np.cumsum(levels.duty)
    while True:
        fullest = int(over.argmax())
        if over[fullest] <= slack:
            return fitting
        kept = np.minimum(levels.needed[:, fullest], fitting).astype(np.int64) - 1
        movable = np.flatnonzero(kept >= 0)
        if not movable.size:
            # Nothing is left there: what is over is the rounding of sums.
            return fitting
        full = np.flatnonzero(over > slack)
        cores = levels.cpu_cores[movable]
        before, after = fitting[movable], kept[movable]
        needed = levels.needed[np.ix_(movable, full)]
        relieved = np.minimum(needed, before[:, None]) - np.minimum(needed, after[:, None])
        relief = np.minimum(relieved * cores[:, None], over[full]).sum(axis=1)
        loss = (up_to[levels.first[movable] + before] - up_to[levels.first[movable] + after]) * cores
        # Many of thousands at a time, one of a few: what a choice changes for the next is small among thousands.
        cheapest = movable[np.argsort(loss / relief, kind="stable")[: 1 + movable.size // _AT_A_TIME]]
        for chosen in cheapest:
            if over[fullest] <= slack:
                break
            row = levels.needed[chosen]
            over -= levels.cpu_cores[chosen] * (np.minimum(row, fitting[chosen]) - np.minimum(row, kept[chosen]))
            fitting[chosen] = kept[chosen]


def fill(levels: Levels, thresholds: Counts, room: Series, slack: float, *, by_duty: bool = False) -> Counts:
    """Raise the thresholds while a next replica fits at every step that needs it; what brings most core-steps first.

    With `by_duty` what is needed for most steps goes first, whatever its size. One that does not fit never will, since
    loads only grow; so each level is looked at once.
    """
    filled = thresholds.copy()
    left = room - levels.load(filled) + slack
    weights = np.ones(levels.workloads) if by_duty else levels.cpu_cores
    waiting = [_next(levels, weights, workload, int(filled[workload])) for workload in range(levels.workloads)]
    heap = [entry for entry in waiting if entry is not None]
    heapq.heapify(heap)
    while heap:
        _, workload, level = heapq.heappop(heap)
        cores = levels.cpu_cores[workload]
        needs = levels.needed[workload] >= level
        if left.min(initial=np.inf, where=needs) < cores:
            continue
        left -= cores * needs
        filled[workload] = level
        following = _next(levels, weights, workload, level)
        if following is not None:
            heapq.heappush(heap, following)
    return filled


def _next(levels: Levels, weights: Series, workload: int, level: int) -> tuple[float, int, int] | None:
    if level >= levels.most[workload]:
        return None
    gain = levels.duty[levels.first[workload] + level + 1] * weights[workload]
    return (-float(gain), workload, level + 1)
