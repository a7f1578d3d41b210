from itertools import product
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.threshold.allocation import allocate
from spillway.domain.threshold.demand import Demand
from tests.unit.domain.threshold.threshold_cases import peak_cores, some_demands

shares = st.floats(0.05, 1.3)
ROUNDING = 1e-6


@settings(max_examples=60)
@given(some_demands(), shares)
def test_the_owned_load_is_never_planned_above_capacity_but_for_minima(demands: list[Demand], share: float) -> None:
    plan = allocate(demands, capacity_cores=share * peak_cores(demands), target_utilization=0.65)
    minima = np.sum([one.owned_load(one.minimum) for one in demands], axis=0)
    assert (plan.owned_load <= np.maximum(plan.usable_cores, minima) + ROUNDING).all()
    assert (plan.excess_cores > 0) == bool(minima.max() > plan.usable_cores + ROUNDING)


@settings(max_examples=60)
@given(some_demands(), shares)
def test_thresholds_are_within_bounds_and_the_load_is_theirs(demands: list[Demand], share: float) -> None:
    plan = allocate(demands, capacity_cores=share * peak_cores(demands), target_utilization=0.65)
    assert set(plan.thresholds) == {one.workload for one in demands}
    for one in demands:
        count = plan.thresholds[one.workload]
        assert one.minimum <= count <= (one.peak if one.maximum is None else one.maximum) or count == one.minimum
    load = np.sum([one.owned_load(plan.thresholds[one.workload]) for one in demands], axis=0)
    np.testing.assert_allclose(plan.owned_load, load)


@settings(max_examples=60)
@given(some_demands(priorities=0), shares)
def test_no_replica_that_would_fit_is_left_out(demands: list[Demand], share: float) -> None:
    plan = allocate(demands, capacity_cores=share * peak_cores(demands), target_utilization=0.65)
    for one in demands:
        count = plan.thresholds[one.workload]
        needs = one.whole_replicas() > count
        if count < one.most and needs.any():
            assert (plan.owned_load[needs] + one.cpu_cores > plan.usable_cores - ROUNDING).any()


@settings(max_examples=30)
@given(some_demands(), shares, st.randoms(use_true_random=False))
def test_the_sequence_of_the_demands_means_nothing_and_the_same_input_gives_the_same_plan(
    demands: list[Demand], share: float, random: Random
) -> None:
    capacity = share * peak_cores(demands)
    shuffled = list(demands)
    random.shuffle(shuffled)
    plan = allocate(demands, capacity_cores=capacity, target_utilization=0.65)
    for again in (demands, shuffled):
        other = allocate(again, capacity_cores=capacity, target_utilization=0.65)
        assert dict(plan.thresholds) == dict(other.thresholds)
        assert plan.owned_load.tolist() == other.owned_load.tolist()


@settings(max_examples=60)
@given(some_demands(bounds=False), shares)
def test_a_higher_priority_is_planned_as_if_the_lower_were_not_there(demands: list[Demand], share: float) -> None:
    capacity = share * peak_cores(demands)
    plan = allocate(demands, capacity_cores=capacity, target_utilization=0.65)
    top = max(one.priority for one in demands)
    upper = [one for one in demands if one.priority == top]
    alone = allocate(upper, capacity_cores=capacity, target_utilization=0.65)
    assert {name: plan.thresholds[name] for name in alone.thresholds} == dict(alone.thresholds)


@settings(max_examples=60)
@given(some_demands(priorities=0), shares, st.floats(1.0, 1.5))
def test_more_capacity_is_never_used_less_by_more_than_one_replica(
    demands: list[Demand], share: float, more: float
) -> None:
    capacity = share * peak_cores(demands)
    less = allocate(demands, capacity_cores=capacity, target_utilization=0.65)
    greater = allocate(demands, capacity_cores=capacity * more, target_utilization=0.65)
    one_replica = max(float(one.cpu_cores * one.replicas.size) for one in demands)
    assert greater.used_core_steps >= less.used_core_steps - one_replica - ROUNDING


@settings(max_examples=60)
@given(some_demands(most=4, highest=5, bounds=False, priorities=0), shares)
def test_the_bound_holds_for_every_plan_there_is(demands: list[Demand], share: float) -> None:
    plan = allocate(demands, capacity_cores=share * peak_cores(demands), target_utilization=0.65)
    best = 0.0
    for counts in product(*(range(one.peak + 1) for one in demands)):
        load = np.sum([one.owned_load(count) for one, count in zip(demands, counts, strict=True)], axis=0)
        if (load <= plan.usable_cores + 1e-12).all():
            best = max(best, float(load.sum()))
    assert plan.used_core_steps <= best + ROUNDING
    assert best <= plan.bound_core_steps + ROUNDING
