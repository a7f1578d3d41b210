"""Billing, how much to own, and what is saved: the twin of billing.py, nodes_worth_owning.py and saving.py."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.threshold.allocation import allocate
from spillway.domain.threshold.billing import Billing
from spillway.domain.threshold.demand import Demand
from spillway.domain.threshold.nodes_worth_owning import NodeSize, worth_owning
from spillway.domain.threshold.saving import hourly_cost
from tests.unit.domain.threshold.threshold_cases import demand, numbers, peak_cores, some_demands

HOURLY = Billing(step_seconds=3600)
EVENING = demand("online", [7.0] * 18 + [10.0] * 4 + [7.0] * 2)
"""Seven of ten units all day, the rest for four hours in the evening: C is what all ten cost in an hour."""


def test_owning_70_percent_and_renting_the_rest_for_four_hours_turns_24c_into_18_6c() -> None:
    cost = hourly_cost(
        [EVENING],
        {EVENING.workload: 7},
        owned_price=0.1,
        virtual_price=0.15,
        target_utilization=1.0,
        billing=HOURLY,
    )
    assert 24 * cost.all_owned == pytest.approx(24.0)
    assert 24 * cost.planned == pytest.approx(18.6)
    assert cost.saved_against_owned / cost.all_owned == pytest.approx(0.225)


def test_the_rule_finds_those_70_percent_by_itself() -> None:
    owning = worth_owning(
        [EVENING], owned_price=0.1, virtual_price=0.15, target_utilization=1.0, billing=HOURLY, node=NodeSize(1.0)
    )
    assert (owning.best.nodes, owning.best.owned_cores) == (7, 7.0)
    assert 24 * owning.best.cost_per_hour == pytest.approx(18.6)
    assert dict(owning.plan.thresholds) == {EVENING.workload: 7}


def test_workloads_that_peak_at_different_times_share_what_is_owned() -> None:
    """Each by itself is not worth owning beyond its valley; one of the two is always at its peak, and they share."""
    day, night = demand("day", [10.0] * 12 + [0.0] * 12), demand("night", [0.0] * 12 + [10.0] * 12)
    prices: dict[str, Any] = {"owned_price": 1.0, "virtual_price": 1.5, "billing": HOURLY}
    assert [worth_owning([one], target_utilization=1.0, **prices).best.nodes for one in (day, night)] == [0, 0]
    owning = worth_owning([day, night], target_utilization=1.0, **prices)
    assert owning.best.nodes == 10
    assert numbers(owning.plan) == [10, 10]


def test_the_curve_reaches_from_nothing_to_the_peak_and_contains_the_best() -> None:
    owning = worth_owning(
        [demand("a", [8, 6, 4, 4], 1.5), demand("b", [1, 2, 3, 4])],
        owned_price=1.0,
        virtual_price=2.5,
        target_utilization=0.65,
        billing=HOURLY,
        node=NodeSize(4.0),
    )
    assert owning.curve[0].nodes == 0
    assert owning.curve[-1].owned_cores * 0.65 >= 13
    assert [point.nodes for point in owning.curve] == sorted({point.nodes for point in owning.curve})
    assert owning.best in owning.curve
    assert all(point.used_share <= 0.65 for point in owning.curve)


def test_nothing_to_run_is_nothing_to_own() -> None:
    owning = worth_owning([], owned_price=1, virtual_price=2, target_utilization=0.65, billing=HOURLY)
    assert (owning.best.nodes, owning.best.cost_per_hour) == (0, 0.0)
    with pytest.raises(ValueError, match="above 0"):
        worth_owning([], owned_price=0, virtual_price=2, target_utilization=0.65, billing=HOURLY)


@settings(max_examples=40)
@given(some_demands(most=4, highest=6, bounds=False, priorities=0), st.floats(1.1, 6.0))
def test_no_size_on_the_curve_is_cheaper_than_the_best(demands: list[Demand], virtual_price: float) -> None:
    owning = worth_owning(
        demands, owned_price=1.0, virtual_price=virtual_price, target_utilization=0.65, billing=HOURLY
    )
    assert owning.best.cost_per_hour == min(point.cost_per_hour for point in owning.curve)
    cost = hourly_cost(
        demands,
        owning.plan.thresholds,
        owned_price=1.0,
        virtual_price=virtual_price,
        target_utilization=0.65,
        billing=HOURLY,
        owned_cores=owning.best.owned_cores,
    )
    assert cost.planned == pytest.approx(owning.best.cost_per_hour)


@settings(max_examples=40)
@given(some_demands(bounds=False, priorities=0), st.floats(0.0, 1.2))
def test_what_is_owned_and_what_is_rented_is_all_that_is_needed(demands: list[Demand], share: float) -> None:
    plan = allocate(demands, capacity_cores=share * peak_cores(demands), target_utilization=1.0)
    cost = hourly_cost(
        demands,
        plan.thresholds,
        owned_price=1e-12,
        virtual_price=1.0,
        target_utilization=1.0,
        billing=HOURLY,
        owned_cores=0.0,
    )
    needed = sum(float(one.whole_replicas().mean()) * one.cpu_cores for one in demands)
    assert cost.planned + float(plan.owned_load.mean()) == pytest.approx(needed)


def test_all_virtual_owns_the_valley_and_a_workload_without_a_threshold_is_owned() -> None:
    prices: dict[str, Any] = {"owned_price": 1.0, "virtual_price": 3.0, "target_utilization": 0.5, "billing": HOURLY}
    cost = hourly_cost([demand("a", [8, 6, 4, 4], 0.5)], {}, **prices)
    assert cost.all_owned == pytest.approx(8.0)
    assert cost.planned == pytest.approx(8.0)
    assert cost.all_virtual == pytest.approx(4.0 + 3.0 * 0.5 * (4 + 2) / 4)
    assert cost.saved_against_virtual == pytest.approx(cost.all_virtual - 8.0)


def test_owned_cores_are_paid_for_whether_in_use_or_not() -> None:
    prices: dict[str, Any] = {"owned_price": 1.0, "virtual_price": 3.0, "target_utilization": 1.0, "billing": HOURLY}
    idle = hourly_cost([demand("a", [0.0] * 4)], {}, owned_cores=10, **prices)
    assert idle.planned == pytest.approx(10.0)
    assert idle.saved_against_owned == pytest.approx(-10.0)
    assert hourly_cost([], {}, owned_cores=10, **prices).planned == pytest.approx(10.0)


@settings(max_examples=40)
@given(some_demands(most=4, highest=6), st.floats(1.1, 6.0), st.floats(0.0, 0.9), st.floats(0.0, 9.0))
def test_the_curve_begins_where_the_minima_and_the_pods_of_others_fit(
    demands: list[Demand], virtual_price: float, taken: float, elsewhere: float
) -> None:
    node = NodeSize(4.0, 4.0 * taken, elsewhere)
    owning = worth_owning(
        demands, owned_price=1.0, virtual_price=virtual_price, target_utilization=0.65, billing=HOURLY, node=node
    )
    minima = float(np.sum([one.owned_load(one.minimum) for one in demands], axis=0).max())
    least = owning.curve[0].nodes

    assert node.free_cores(least) * 0.65 >= minima - 1e-6
    assert least * 4.0 >= elsewhere + least * 4.0 * taken - 1e-6
    assert least == 0 or node.free_cores(least - 1) * 0.65 < minima or node.nodes_for(0.0) == least
    assert owning.plan.excess_cores == pytest.approx(0.0, abs=1e-6)


def test_a_node_that_its_own_pods_fill_has_no_size() -> None:
    with pytest.raises(ValueError, match="more cores than the pods of each node"):
        NodeSize(2.0, 2.0)
