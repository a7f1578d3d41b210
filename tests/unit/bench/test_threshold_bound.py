"""The bench's bound against the textbook form of the same linear programme, and against every plan there is."""

import math
from itertools import product
from typing import Any

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.threshold.allocation import allocate
from spillway.domain.threshold.demand import Demand
from tests.bench.bench_threshold import greedy_by_duty, load_of, made_up
from tests.bench.threshold_bound import bound_of
from tests.unit.domain.threshold.threshold_cases import peak_cores, some_demands


@settings(max_examples=30, deadline=None)
@given(some_demands(most=4, highest=5, bounds=False, priorities=0), st.floats(0.05, 1.2))
def test_the_bound_is_that_of_nested_levels_and_no_plan_is_above_it(demands: list[Demand], share: float) -> None:
    usable = share * peak_cores(demands)
    room = np.full(demands[0].replicas.size, usable)
    plan = allocate(demands, capacity_cores=usable, target_utilization=1.0)
    bound = bound_of(demands, room, [plan.thresholds[one.workload] for one in demands])
    best = 0.0
    for counts in product(*(range(one.peak + 1) for one in demands)):
        load = np.sum([one.owned_load(count) for one, count in zip(demands, counts, strict=True)], axis=0)
        if (load <= room + 1e-12).all():
            best = max(best, float(load.sum()))
    assert bound.core_steps >= best - 1e-6
    assert bound.core_steps == pytest.approx(_textbook(demands, usable), rel=1e-4, abs=1e-6)
    assert plan.used_core_steps <= bound.core_steps + 1e-6
    assert plan.bound_core_steps >= bound.reached_core_steps - 1e-6


def test_no_plan_is_worse_than_greedy_by_duty() -> None:
    """It is the yardstick where nearly all that fits is needed always: the search by prices alone lost 0.6 % here."""
    demands = made_up(300, 1, days=1)
    usable = 0.5 * peak_cores(demands)
    plan = allocate(demands, capacity_cores=usable, target_utilization=1.0)
    greedy = load_of(demands, greedy_by_duty(demands, np.full(288, usable)))
    assert plan.used_core_steps >= float(greedy.sum()) * (1 - 1e-6)


def _textbook(demands: list[Demand], usable: float) -> float:
    """One variable a level, no level above the one below it."""
    highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.setOptionValue("output_flag", False)  # noqa: FBT003 - HiGHS takes the value by position
    steps = demands[0].replicas.size
    for _ in range(steps):
        highs.addRow(-math.inf, usable, 0, np.array([], dtype=np.int32), np.array([]))
    column = 0
    for one in demands:
        for level in range(1, one.peak + 1):
            at = np.flatnonzero(one.whole_replicas() >= level).astype(np.int32)
            highs.addCol(one.cpu_cores * at.size, 0.0, 1.0, at.size, at, np.full(at.size, one.cpu_cores))
            if level > 1:
                both = np.array([column, column - 1], dtype=np.int32)
                highs.addRow(-math.inf, 0.0, 2, both, np.array([1.0, -1.0]))
            column += 1
    highs.changeObjectiveSense(highspy.ObjSense.kMaximize)
    highs.run()
    return float(highs.getInfo().objective_function_value) if column else 0.0
