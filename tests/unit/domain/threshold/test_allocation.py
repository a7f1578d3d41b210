from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from spillway.domain.threshold.allocation import allocate
from spillway.domain.threshold.demand import Demand
from tests.unit.domain.threshold.threshold_cases import demand, numbers

EVENING = [2, 2, 2, 10]
NIGHT = [10, 2, 2, 2]
ALWAYS = [5, 5, 5, 5]


@pytest.mark.parametrize(
    ("demands", "cores", "expected"),
    [
        # Enough for everybody: the peak of each, and no more than the peak.
        ([demand("a", EVENING), demand("b", NIGHT)], 100, [10, 10]),
        ([demand("a", EVENING)], 0, [0]),
        # A core that is needed all day comes before one for the peak.
        ([demand("a", EVENING), demand("b", ALWAYS)], 7, [2, 5]),
        # Two that peak at different times share the same cores: 12 carry both, though their peaks add up to 20.
        ([demand("a", EVENING), demand("b", NIGHT)], 12, [10, 10]),
        # The same replicas at double the size take double the room.
        ([demand("a", ALWAYS, 2.0)], 7, [3]),
        # A fraction of a replica is a whole one.
        ([demand("a", [0.2, 1.2, 2.0, 2.0])], 2, [2]),
        ([demand("a", [0, 0, 0, 0])], 5, [0]),
    ],
)
def test_thresholds_fill_the_owned_nodes_with_what_is_needed_most(
    demands: Sequence[Demand], cores: float, expected: list[int]
) -> None:
    assert numbers(allocate(demands, capacity_cores=cores, target_utilization=1.0)) == expected


def test_the_target_utilisation_is_what_may_be_filled() -> None:
    plan = allocate([demand("a", [20.0] * 4)], capacity_cores=20, target_utilization=0.65)
    assert numbers(plan) == [13]
    assert plan.usable_cores == pytest.approx(13)
    assert plan.owned_load == pytest.approx([13.0] * 4)


def test_a_level_that_pays_for_many_others_is_left_out() -> None:
    """Greedy by core-hours would take the big one first and lose both that fit beside each other."""
    big = demand("big", [1, 1, 1, 0], 10.0)
    early = demand("early", [1, 1, 0, 0], 9.0)
    late = demand("late", [0, 0, 1, 1], 9.0)
    plan = allocate([big, early, late], capacity_cores=10, target_utilization=1.0)
    assert dict(plan.thresholds) == {big.workload: 0, early.workload: 1, late.workload: 1}


def test_a_workload_of_a_higher_priority_is_served_first_though_it_uses_less() -> None:
    plan = allocate(
        [demand("web", [0, 0, 0, 6], priority=1), demand("rest", [8, 8, 8, 8])],
        capacity_cores=8,
        target_utilization=1.0,
    )
    assert numbers(plan) == [2, 6]


def test_minima_of_all_come_before_the_rest_of_a_higher_priority() -> None:
    plan = allocate(
        [demand("web", [8, 8, 8, 8], priority=1), demand("rest", [8, 8, 8, 8], minimum=3)],
        capacity_cores=8,
        target_utilization=1.0,
    )
    assert numbers(plan) == [3, 5]
    assert plan.excess_cores == 0


def test_minima_that_do_not_fit_hold_and_are_told_and_nothing_is_added_there() -> None:
    plan = allocate(
        [demand("a", [6, 1, 1, 1], minimum=6), demand("b", [2, 0, 0, 0]), demand("c", [0, 3, 3, 3])],
        capacity_cores=4,
        target_utilization=1.0,
    )
    assert numbers(plan) == [6, 0, 3]
    assert plan.excess_cores == pytest.approx(2)
    assert plan.owned_load == pytest.approx([6, 4, 4, 4])


def test_a_maximum_binds_and_a_minimum_above_the_peak_holds() -> None:
    plan = allocate(
        [demand("a", ALWAYS, maximum=2), demand("b", ALWAYS, minimum=9)], capacity_cores=100, target_utilization=1.0
    )
    assert numbers(plan) == [2, 9]


def test_of_nothing_there_is_an_empty_plan() -> None:
    plan = allocate([], capacity_cores=10, target_utilization=0.65)
    assert (dict(plan.thresholds), plan.quality) == ({}, 1.0)


@pytest.mark.parametrize(
    ("cores", "target", "said"),
    [
        (-1.0, 0.65, "capacity"),
        (float("nan"), 0.65, "capacity"),
        (10.0, 0.0, "utilisation"),
        (10.0, 65.0, "utilisation"),
    ],
)
def test_a_capacity_or_a_target_that_means_nothing_is_refused(cores: float, target: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        allocate([demand("a", ALWAYS)], capacity_cores=cores, target_utilization=target)


def test_demands_of_different_cycles_are_refused_and_two_of_one_workload() -> None:
    with pytest.raises(ValueError, match="same number of steps"):
        allocate([demand("a", [1]), demand("b", [1, 2])], capacity_cores=1, target_utilization=1)
    with pytest.raises(ValueError, match="two demands"):
        allocate([demand("a", [1]), demand("a", [1])], capacity_cores=1, target_utilization=1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"replicas": []}, "each step"),
        ({"replicas": [1, float("nan")]}, "finite"),
        ({"replicas": [-1]}, "not negative"),
        ({"replicas": [1], "cpu_cores": 0.0}, "above 0 cores"),
        ({"replicas": [1], "minimum": 3, "maximum": 2}, "minimum <= maximum"),
    ],
)
def test_a_demand_that_means_nothing_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        demand("a", **wrong)


def test_a_day_of_many_workloads_comes_close_to_what_no_plan_could_exceed() -> None:
    random = np.random.default_rng(7)
    hours = np.arange(288) / 12
    demands = []
    for index in range(120):
        peak, at, width = random.integers(1, 60), random.normal(20, 2), random.uniform(1, 4)
        day = 0.15 + 0.85 * np.exp(-0.5 * ((hours - at) / width) ** 2) * random.lognormal(0, 0.05, 288)
        demands.append(demand(f"w{index}", list(day / day.max() * peak), float(random.uniform(0.2, 4))))
    peak_load = np.sum([one.whole_replicas() * one.cpu_cores for one in demands], axis=0).max()
    for share in (0.5, 0.7, 0.85):
        plan = allocate(demands, capacity_cores=share * peak_load, target_utilization=1.0)
        assert plan.quality >= 0.99
