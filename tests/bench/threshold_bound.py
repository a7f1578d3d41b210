"""The linear-programming bound of the joint allocation, by HiGHS: an opinion that shares no code with the planner's.

Contract: maximise the owned core-steps over fractional thresholds, so that the load stays within the room at each step.
A fractional threshold is a mixture of whole ones, which is the same as nested levels that may each be owned in part. A
mixture starts with few thresholds a workload; the prices of the steps that HiGHS finds say which others are worth
having (column generation). Prices of any round also bound the optimum from above, and the lowest of these bounds is
what is returned: it holds even when the time is up before the last round.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import highspy
import numpy as np

from spillway.domain.threshold.demand import Demand, Series

GAP: Final = 1e-5
"""Bound over what a mixture reaches, at which the search ends."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What no plan can exceed."""

    core_steps: float
    reached_core_steps: float
    """By fractional thresholds; the optimum lies between both."""
    rounds: int
    seconds: float


def bound_of(demands: Sequence[Demand], room: Series, start: Sequence[int], *, limit_seconds: float = 120.0) -> Bound:
    """Bound the core-steps that these demands can have within `room` (cores at each step), without minima.

    `start` has a threshold for each demand: a plan that fits makes the search shorter, and changes no answer.
    """
    begun = time.perf_counter()
    needed = [np.minimum(one.whole_replicas(), one.most) for one in demands]
    steps = room.size
    highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.setOptionValue("output_flag", False)  # noqa: FBT003 - HiGHS takes the value by position
    for cores in room:
        highs.addRow(-math.inf, float(cores), 0, np.array([], dtype=np.int32), np.array([]))
    for _ in demands:
        highs.addRow(-math.inf, 1.0, 0, np.array([], dtype=np.int32), np.array([]))
    highs.changeObjectiveSense(highspy.ObjSense.kMaximize)
    known: set[tuple[int, int]] = set()

    def add(workload: int, threshold: int) -> bool:
        if threshold <= 0 or (workload, threshold) in known:
            return False
        known.add((workload, threshold))
        load = np.minimum(needed[workload], threshold) * demands[workload].cpu_cores
        at = np.flatnonzero(load)
        rows = np.append(at, steps + workload).astype(np.int32)
        highs.addCol(float(load.sum()), 0.0, math.inf, rows.size, rows, np.append(load[at], 1.0))
        return True

    for index, one in enumerate(demands):
        for threshold in {start[index] - 1, start[index], start[index] + 1, one.most}:
            add(index, min(threshold, one.most))
    best, reached, rounds = math.inf, 0.0, 0
    while True:
        rounds += 1
        reached = _solved(highs)
        prices = np.maximum(np.array(highs.getSolution().row_dual)[:steps], 0.0)
        bound, added = float(prices @ room), False
        for index, one in enumerate(demands):
            brings, threshold = _best(needed[index], one, 1.0 - prices)
            bound += brings
            added |= add(index, threshold)
        best = min(best, bound)
        if best <= reached * (1 + GAP) or not added or time.perf_counter() - begun > limit_seconds:
            return Bound(best, reached, rounds, time.perf_counter() - begun)


def _solved(highs: Any) -> float:
    highs.run()
    status = highs.getModelStatus()
    if status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kModelEmpty):
        raise RuntimeError(f"HiGHS: {highs.modelStatusToString(status)}")
    return float(highs.getInfo().objective_function_value)


def _best(needed: Series, demand: Demand, worth: Series) -> tuple[float, int]:
    """What the best threshold of one workload brings, and which it is."""
    at_level = np.bincount(needed.astype(np.int64), weights=worth, minlength=demand.most + 1)
    above = np.cumsum(at_level[::-1])[::-1][1:]
    brought = np.append(0.0, np.cumsum(above))
    threshold = int(brought.argmax())
    return float(brought[threshold]) * demand.cpu_cores, threshold
