"""Twin of tests/bench/placement_costs.py: the accounting of a day, and the clairvoyant against trying everything."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench.placement_costs import (
    Prices,
    Replicas,
    VirtualPrice,
    all_owned,
    all_virtual,
    clairvoyant,
    figures,
    owned_replicas,
    with_thresholds,
)

ONE_POOL = Prices(owned_core_hour=1.0, owned_cores_per_replica=1.0, pools=(VirtualPrice(1.5),))


def day(*rows: list[int]) -> Replicas:
    return np.array(rows, dtype=np.int64)


def test_the_arithmetic_of_the_background() -> None:
    # 10 replicas at the peak of 4 hours, 7 otherwise: 24C for all owned, 70 % owned and 30 % virtual at 1.5C is 18.6C.
    demand = day([10] * 4 + [7] * 20)
    assert all_owned(demand, ONE_POOL, 24) == pytest.approx(10 * 24.0)
    assert all_virtual(demand, ONE_POOL, 24) == pytest.approx(10 * 18.6)


def test_owned_capacity_is_paid_for_all_day_by_its_cores() -> None:
    prices = Prices(owned_core_hour=0.1, owned_cores_per_replica=1.25, pools=(VirtualPrice(0.2),))
    assert prices.owned(12, 24) == pytest.approx(28.8)
    assert prices.replicas_owned(12) == 9
    assert prices.replicas_owned(12.5) == 10
    assert all_owned(day([4, 8]), prices, 24) == pytest.approx(8 * 1.25 * 0.1 * 24)


def test_pools_fill_in_order_and_the_last_takes_the_rest() -> None:
    prices = Prices(1.0, 1.0, (VirtualPrice(1.0, 3), VirtualPrice(2.0, 2)))
    assert prices.virtual(np.array([2.0]), 1.0) == 2.0
    assert prices.virtual(np.array([4.0, 7.0]), 0.5) == 0.5 * ((3 + 2) + (3 + 8))


def test_thresholds_keep_the_first_replicas_of_each_workload() -> None:
    demand = day([1, 5, 3], [2, 2, 4])
    assert owned_replicas(demand, (3, 2)).tolist() == [3, 5, 5]
    assert with_thresholds(demand, (3, 2), ONE_POOL, 3) == pytest.approx(1.5 * (0 + 2 + 2))


def test_the_clairvoyant_gives_room_to_whom_it_serves_longest() -> None:
    # Both peak together; the first one's peak lasts three times as long.
    demand = day([1, 4, 4, 4], [1, 1, 4, 1])
    best = clairvoyant(demand, 5, ONE_POOL, 4)
    assert best.thresholds == (4, 1)
    assert best.virtual_cost == pytest.approx(1.5 * 3)
    assert best.virtual_cost_bound == pytest.approx(best.virtual_cost, rel=1e-3)


def test_what_peaks_at_other_times_shares_the_room() -> None:
    demand = day([4, 1, 1], [1, 1, 4])
    assert clairvoyant(demand, 5, ONE_POOL, 3).virtual_cost == 0


demands = st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(demands, st.integers(0, 9), st.integers(1, 3))
def test_no_other_thresholds_are_cheaper(rows: list[list[int]], room: int, first: int) -> None:
    demand = day(*rows)
    prices = Prices(1.0, 1.0, (VirtualPrice(1.5, first), VirtualPrice(2.0)))
    best = clairvoyant(demand, room, prices, 4)
    assert owned_replicas(demand, best.thresholds).max() <= room
    choices = itertools.product(*(range(int(row.max()) + 1) for row in demand))
    allowed = [choice for choice in choices if owned_replicas(demand, choice).max() <= room]
    cheapest = min(with_thresholds(demand, choice, prices, 4) for choice in allowed)
    assert best.virtual_cost == pytest.approx(cheapest, rel=2e-4, abs=1e-6)
    assert best.virtual_cost_bound <= cheapest + 1e-6


def test_all_figures_use_the_same_owned_capacity() -> None:
    demand = day([4, 10, 4, 4])
    found = figures(demand, ONE_POOL, owned_cores=6, hours=4, spillway_virtual=9.0)
    assert found["of_it_owned"] == 24
    assert found["clairvoyant"] == 24 + 1.5 * 4
    assert found["spillway"] == 33
    assert found["spillway_over_clairvoyant"] == pytest.approx(33 / 30)
    assert found["spillway_virtual_over_clairvoyant"] == pytest.approx(1.5)
    assert found["all_owned"] == 40
    assert found["all_virtual"] == 16 + 9
