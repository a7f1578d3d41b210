"""The time of demand beside the clock."""

import pytest

from spillway.domain.forecast.pace import Pace

NOW = 1_700_000_123.456


def test_in_a_cluster_both_times_are_the_same() -> None:
    assert Pace().demand_time(NOW) == NOW
    assert Pace().clock_time(NOW) == NOW


def test_a_day_of_demand_in_eight_minutes() -> None:
    pace = Pace(speed=180.0, meets=NOW)

    assert pace.demand_time(NOW) == NOW
    assert pace.demand_time(NOW - 480.0) == pytest.approx(NOW - 86_400.0), "further in the past, never in the future"
    assert pace.clock_time(pace.demand_time(NOW - 123.0)) == pytest.approx(NOW - 123.0)
