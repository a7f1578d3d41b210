from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.threshold.allocation import allocate
from spillway.domain.threshold.demand import Demand
from spillway.domain.threshold.hysteresis import settle, steadied
from tests.unit.domain.threshold.threshold_cases import demand, peak_cores, some_demands

NAME = "Deployment/shop/a"


@pytest.mark.parametrize(
    ("before", "planned", "expected"),
    [
        (5, 6, 5),  # by one: not followed
        (5, 4, 5),
        (5, 7, 7),
        (5, 3, 3),
        (0, 1, 0),
        (40, 44, 40),  # by a tenth: not followed
        (40, 36, 40),
        (40, 45, 45),
        (40, 35, 35),
        (5, 5, 5),
        (None, 7, 7),  # there was none
    ],
)
def test_a_small_change_is_not_followed_and_a_large_one_is(before: int | None, planned: int, expected: int) -> None:
    previous = {} if before is None else {NAME: before}
    one = demand("a", [100.0] * 4)
    held = settle(previous, {NAME: planned}, demands=[one], capacity_cores=1000, target_utilization=1.0)
    assert dict(held) == {NAME: expected}


def test_a_threshold_outside_its_bounds_is_not_kept_and_one_without_workload_goes() -> None:
    one = demand("a", [100.0] * 4, minimum=6, maximum=9)
    common: dict[str, Any] = {"demands": [one], "capacity_cores": 1000.0, "target_utilization": 1.0}
    assert dict(settle({NAME: 5, "Deployment/shop/gone": 3}, {NAME: 6}, **common)) == {NAME: 6}
    assert dict(settle({NAME: 10}, {NAME: 9}, **common)) == {NAME: 9}
    assert dict(settle({NAME: 10}, {}, **common)) == {}


def test_one_count_is_kept_from_a_lower_bound_of_the_caller() -> None:
    one = demand("a", [100.0] * 4, minimum=2, maximum=9)
    assert steadied(5, 6, one) == 5
    assert steadied(5, 6, one, least=6) == 6
    assert steadied(1, 2, one, least=0) == 1


def test_what_was_kept_is_given_up_where_the_nodes_would_be_too_full_and_only_as_much_as_needed() -> None:
    big, small = demand("big", [10.0] * 4, 4.0), demand("small", [10.0] * 4)
    planned = {big.workload: 4, small.workload: 4}
    previous = {big.workload: 5, small.workload: 5}
    held = settle(previous, planned, demands=[big, small], capacity_cores=21, target_utilization=1.0)
    assert dict(held) == {big.workload: 4, small.workload: 5}
    assert dict(settle(previous, planned, demands=[big, small], capacity_cores=25, target_utilization=1.0)) == previous
    assert dict(settle(previous, planned, demands=[big, small], capacity_cores=20, target_utilization=1.0)) == planned


@given(some_demands(), st.floats(0.05, 1.3), st.lists(st.integers(0, 14), min_size=8, max_size=8))
def test_what_is_held_is_near_what_is_planned_and_bears_the_same_capacity(
    demands: list[Demand], share: float, before: list[int]
) -> None:
    capacity = share * peak_cores(demands)
    plan = allocate(demands, capacity_cores=capacity, target_utilization=0.65)
    previous = {one.workload: count for one, count in zip(demands, before, strict=False)}
    held = settle(previous, plan.thresholds, demands=demands, capacity_cores=capacity, target_utilization=0.65)
    load = np.sum([one.owned_load(held[one.workload]) for one in demands], axis=0)
    minima = np.sum([one.owned_load(one.minimum) for one in demands], axis=0)
    assert (load <= np.maximum(plan.usable_cores, minima.max()) + 1e-6).all()
    assert set(held) == set(plan.thresholds)
    for one in demands:
        assert held[one.workload] in {plan.thresholds[one.workload], previous[one.workload]}
        assert abs(held[one.workload] - plan.thresholds[one.workload]) <= 1
    again = settle(held, plan.thresholds, demands=demands, capacity_cores=capacity, target_utilization=0.65)
    assert dict(again) == dict(held)
