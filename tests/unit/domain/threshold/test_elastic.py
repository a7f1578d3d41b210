"""The part of a plan on elastic nodes."""

import math
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.threshold.billing import Billed, Billing, billed_runs
from spillway.domain.threshold.demand import Demand
from spillway.domain.threshold.elastic import on_elastic, seen_elastic, worth_on_elastic
from spillway.domain.threshold.node_groups import NodeGroup
from spillway.domain.threshold.packing import Requests
from spillway.domain.threshold.prices import Prices
from spillway.domain.threshold.request import PlanRequest, PolicyNeed
from spillway.domain.threshold.sums import Share
from tests.unit.domain.threshold.threshold_cases import demand, some_demands

PRICES: Final = Prices(owned_node_core=1.0, elastic_core=1.0, virtual_core=2.0, billing=Billing(3600))


def share(name: str, replicas: list[float], owned: int, physical: int, **bounds: Any) -> Share:
    of = replace(demand(name, replicas), **bounds)
    return Share(of, PRICES, owned=owned, physical=physical, planned=True, learning=False, policy="online")


def placed(*shares: Share, nodes: int | None, size: float = 4.0, request_cores: float = 1.0) -> list[int]:
    policy = PolicyNeed(name="online", target=1.0, elastic_node_cores=size, elastic_max_nodes=nodes)
    request = PlanRequest(now=0.0, capacity_cores=8.0, node_cores=8.0, policies=(policy,), workloads=())
    requests = {one.demand.workload: Requests(request_cores) for one in shares}
    found = on_elastic(shares, requests, request)
    assert [one.demand.workload for one in found] == [one.demand.workload for one in shares]
    return [one.physical for one in found]


def test_all_workloads_of_a_policy_share_its_elastic_nodes() -> None:
    together = [share("a", [6, 6], 2, 6), share("b", [6, 6], 2, 6)]

    assert placed(*together, nodes=None) == [6, 6]
    assert placed(*together, nodes=2) == [6, 6]
    assert sum(placed(*together, nodes=1)) == 4 + 4
    # At different times of the day they use the same nodes.
    assert placed(share("a", [6, 2], 2, 6), share("b", [2, 6], 2, 6), nodes=1) == [6, 6]


def test_a_pod_that_fits_on_no_elastic_node_is_not_planned_there() -> None:
    assert placed(share("a", [6, 6], 2, 6), nodes=None, request_cores=5.0) == [2]
    assert placed(share("a", [6, 6], 2, 6), nodes=9, request_cores=2.5) == [6]
    assert placed(share("a", [6, 6], 2, 6), nodes=3, request_cores=2.5) == [5]


def test_a_given_number_holds_and_comes_first() -> None:
    given_number = share("given", [6, 6], 2, 5, minimum=5, maximum=5)

    assert placed(given_number, share("a", [6, 6], 2, 6), nodes=1) == [5, 3]


def test_the_elastic_nodes_of_a_day_by_their_size() -> None:
    seen = PolicyNeed(name="a", target=1.0, elastic_cores=32.0, elastic_node_cores=8.0, elastic_node_gib=16.0)
    gone = PolicyNeed(name="b", target=1.0, elastic_cores=32.0)

    assert seen_elastic([seen, gone, PolicyNeed(name="c", target=1.0)]) == (
        NodeGroup(count=4, cores=8.0, gib=16.0),
        NodeGroup(count=1, cores=32.0, gib=math.inf),
    )


@given(st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=4), st.integers(1, 5))
def test_no_step_needs_more_elastic_nodes_than_there_can_be(days: list[list[int]], nodes: int) -> None:
    shares = [share(f"w{row}", [float(count) for count in day], 1, max(*day, 1)) for row, day in enumerate(days)]

    found = placed(*shares, nodes=nodes)

    for step in range(4):
        there = sum(max(0, min(day[step], count) - 1) for day, count in zip(days, found, strict=True))
        assert there <= nodes * 4
    assert all(count >= 1 for count in found)


STEP: Final = 300.0
AT_ONCE: Final = Billing(STEP)
"""Nodes that come and go with their pods."""


def prices(elastic: float, virtual: float, of_elastic: Billing = AT_ONCE, of_virtual: Billing = AT_ONCE) -> Prices:
    return Prices(None, elastic, virtual, of_virtual, of_elastic)


def test_a_level_that_is_needed_for_a_quarter_of_the_day_is_worth_a_cheaper_elastic_node() -> None:
    """An elastic node is not paid for around the clock, as an owned one is."""
    evening = demand("a", [4.0] * 216 + [10.0] * 72)

    assert worth_on_elastic(evening, 4, prices(1.0, 1.5)) == 10
    assert worth_on_elastic(evening, 4, prices(1.5, 1.0)) == 4


def test_short_peaks_are_not_worth_a_node_that_starts_for_minutes_and_stays_idle() -> None:
    usual = Billing(STEP, startup_seconds=180, idle_seconds=600)
    spiky = demand("a", [2.0] * 11 + [6.0] + [2.0] * 12)  # five minutes
    long = demand("a", [2.0] * 6 + [6.0] * 12 + [2.0] * 6)  # an hour

    assert worth_on_elastic(spiky, 2, prices(1.0, 1.5, usual)) == 2
    assert worth_on_elastic(long, 2, prices(1.0, 1.5, usual)) == 6


def test_a_break_no_longer_than_a_node_stays_idle_starts_no_other_node() -> None:
    waves = demand("a", [3.0, 1.0, 1.0] * 96)  # ten minutes apart
    kept = Billing(STEP, startup_seconds=1e6, idle_seconds=600)

    assert billed_runs(waves, kept).shares.tolist() == [1.0, 1.0]
    assert billed_runs(waves, Billing(STEP, idle_seconds=299)).shares.tolist() == [1.0, pytest.approx(2 / 3)]


def test_the_minimum_that_is_billed_on_virtual_nodes_makes_elastic_ones_worth_it() -> None:
    waves = demand("a", ([3.0, 1.0, 1.0, 1.0, 1.0, 1.0] * 48))

    assert worth_on_elastic(waves, 1, prices(1.0, 0.5)) == 1
    assert worth_on_elastic(waves, 1, prices(1.0, 0.5, of_virtual=Billing(STEP, minimum_seconds=900))) == 3
    assert worth_on_elastic(waves, 1, prices(1.0, 0.5, of_virtual=Billing(STEP, startup_seconds=900))) == 3


def test_without_both_prices_nothing_beyond_the_owned_nodes_is_worth_it() -> None:
    evening = demand("a", [4.0, 10.0])

    assert worth_on_elastic(evening, 3, Prices(1.0, None, 2.0, AT_ONCE)) == 3
    assert worth_on_elastic(evening, 3, Prices(1.0, 1.0, None, AT_ONCE)) == 3
    assert worth_on_elastic(evening, 12, prices(1.0, 9.0)) == 12
    assert worth_on_elastic(replace(evening, maximum=6), 3, prices(1.0, 9.0)) == 6
    assert worth_on_elastic(demand("b", [0.0, 0.0]), 0, prices(1.0, 9.0)) == 0


@given(
    some_demands(most=1, highest=6),
    st.integers(0, 8),
    st.sampled_from([0.2, 0.9, 1.5]),
    st.sampled_from([0.0, 900.0]),
    st.sampled_from([0.0, 7200.0]),
)
def test_nothing_within_the_bounds_is_cheaper_than_what_is_worth_it(
    demands: list[Demand], owned: int, elastic_price: float, startup: float, minimum: float
) -> None:
    [one] = demands
    of_virtual = Billing(7200.0, minimum_seconds=minimum, startup_seconds=startup)
    of_elastic = Billing(7200.0, startup_seconds=600.0, idle_seconds=3600.0)
    virtual, elastic = Billed.of(one, of_virtual), Billed.of(one, of_elastic)

    def cost(physical: int) -> float:
        return virtual.at(physical) + elastic_price * (elastic.at(owned) - elastic.at(physical))

    chosen = worth_on_elastic(one, owned, prices(elastic_price, 1.0, of_elastic, of_virtual))
    most = one.peak if one.maximum is None else min(one.peak, one.maximum)
    assert owned <= chosen <= max(owned, most)
    assert cost(chosen) <= min(cost(physical) for physical in range(owned, max(owned, most) + 1)) + 1e-9


@given(some_demands(most=1, highest=6, bounds=False), st.sampled_from([0.0, 1.0, 7200.0, 7201.0, 1e9]))
def test_no_node_is_paid_for_longer_than_the_cycle(demands: list[Demand], idle: float) -> None:
    shares = billed_runs(demands[0], Billing(7200.0, idle_seconds=idle)).shares

    assert (shares <= 1).all()
    assert (np.diff(shares) <= 0).all()
    assert (shares >= billed_runs(demands[0], Billing(7200.0)).shares).all()
