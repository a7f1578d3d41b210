"""The cost of each day, beside owning everything and owning nothing."""

import numpy as np
import pytest

from spillway.domain.overview.history import ClusterHistory, by_day, cost_by_day
from spillway.domain.threshold.request import PolicyNeed

DAY = 86_400.0
START = 20_000 * DAY
PRICES = PolicyNeed(
    name="p",
    target=0.65,
    fixed_node_hour=10.0,
    elastic_node_hour=4.0,
    virtual_core_hour=2.0,
    virtual_gib_hour=0.5,
    currency="CNY",
)


def two_days(**changes: object) -> ClusterHistory:
    """Of steps of six hours; the day has 10, 10, 30 and 10 cores, of which 10 at the peak are virtual."""
    each = np.ones(8)
    peak = np.array([0, 0, 1, 0] * 2, dtype=float)
    given: dict[str, object] = {
        "times": START + 6 * 3600 * np.arange(1, 9),
        "step_seconds": 6 * 3600.0,
        "cores": {"fixed": 10 * each, "elastic": 10 * peak, "virtual": 10 * peak},
        "gib": {"fixed": 20 * each, "elastic": 20 * peak, "virtual": 20 * peak},
        "nodes": {"fixed": 2 * each, "elastic": peak, "virtual": each},
        "owned_cores": 16 * each,
        "charged": {"CNY": 120 * peak, "USD": each},
    }
    return ClusterHistory(**given | changes)  # type: ignore[arg-type]


def test_every_tier_at_its_price() -> None:
    days = cost_by_day(two_days(), PRICES)

    assert [one.begins for one in days] == [START, START + DAY]
    for one in days:
        assert (one.hours, one.fixed, one.elastic, one.virtual) == (24, 24 * 2 * 10, 6 * 4, 120)
        assert one.actual == 624
        assert one.all_owned == 24 * 4 * 10, "30 cores need four nodes of eight"
        assert one.all_virtual == (18 * 10 + 6 * 30) * 2 + (18 * 20 + 6 * 60) * 0.5


def test_a_step_that_is_not_known_counts_for_nothing() -> None:
    hole = np.array([np.nan, 1, 1, 1, 1, 1, 1, 1])
    cores = {tier: values * hole for tier, values in two_days().cores.items()}
    first, second = cost_by_day(two_days(cores=cores), PRICES)

    assert first.hours == 18
    assert first.fixed == 18 * 2 * 10
    assert first.all_owned == 18 * 4 * 10
    assert second == cost_by_day(two_days(), PRICES)[1]


def test_a_tier_may_be_missing_at_times() -> None:
    """Prometheus has no sample of a counter before it first counts."""
    late = np.array([np.nan, np.nan, 10, np.nan] * 2)
    whole = two_days()
    found = cost_by_day(two_days(cores={**whole.cores, "virtual": late}), PRICES)
    assert list(found) == list(cost_by_day(whole, PRICES))


@pytest.mark.parametrize(
    ("changes", "prices", "field"),
    [
        ({"owned_cores": None}, {}, "all_owned"),
        ({}, {"virtual_core_hour": None}, "all_virtual"),
    ],
)
def test_what_cannot_be_compared_is_none(changes: dict[str, object], prices: dict[str, object], field: str) -> None:
    known = {name: getattr(PRICES, name) for name in PRICES.__struct_fields__} | prices
    [first, _] = cost_by_day(two_days(**changes), PolicyNeed(**known))
    assert getattr(first, field) is None
    assert first.actual == 624


def test_without_requests_nodes_or_a_price_there_are_no_costs() -> None:
    free = PolicyNeed(name="p", target=0.65)
    assert not cost_by_day(two_days(cores={}), PRICES)
    assert not cost_by_day(two_days(nodes={}), PRICES)
    assert not cost_by_day(two_days(), free)


def test_sums_of_days() -> None:
    days, sums = by_day(two_days(), np.array([1, 2, np.nan, 3, 4, 0, 0, 0]))
    assert days.tolist() == [START, START + DAY]
    assert sums.tolist() == [6, 4]
