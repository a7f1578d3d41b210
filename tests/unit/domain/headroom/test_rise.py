"""The replicas that a workload is expected to start."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.headroom.rise import rise_of
from spillway.domain.scaling.demand import STALE_SECONDS, DemandForecast

NOW = 1_000_000.0


def _forecast(highest: float, *, made: float = NOW, present: float = 2.0, later: float = 0.0) -> DemandForecast:
    return DemandForecast(made, present, highest, predictable=True, later=later)


def _rise(forecast: DemandForecast | None, **given: Any) -> int:
    values: dict[str, Any] = {"replicas": 2, "most": None, "now": NOW} | given
    return rise_of(forecast, **values)


@pytest.mark.parametrize(
    ("case", "rise"),
    [
        (_rise(_forecast(7.2)), 6),
        (_rise(_forecast(7.2), replicas=8), 0),
        (_rise(_forecast(7.2), most=5), 3),
        (_rise(None), 0),
        (_rise(_forecast(7.2, made=NOW - STALE_SECONDS - 1)), 0),
    ],
    ids=["to the forecast", "the replicas exist", "no more than may run there", "no forecast", "an old forecast"],
)
def test_the_rise_is_what_is_expected_and_does_not_exist(case: int, rise: int) -> None:
    assert case == rise


def test_nodes_are_ordered_before_the_replicas_follow_the_forecast() -> None:
    # The floor of an autoscaler is still in the valley; one start-up later it is not.
    assert _rise(_forecast(2.0, later=9.3), replicas=2) == 8
    # The floor has risen, and the replicas with it: nothing more is expected.
    assert _rise(_forecast(9.3, later=9.3), replicas=10) == 0


def test_after_a_spike_and_in_the_valley_nothing_is_expected() -> None:
    assert _rise(_forecast(4.0, later=4.0), replicas=10) == 0
    assert _rise(_forecast(2.0, later=2.0), replicas=2) == 0


@given(
    st.floats(0, 1000),
    st.floats(0, 1000),
    st.integers(0, 1000),
    st.one_of(st.none(), st.integers(0, 1000)),
)
def test_the_rise_is_never_negative_nor_beyond_the_bound(
    highest: float, later: float, replicas: int, most: int | None
) -> None:
    rise = _rise(_forecast(highest, later=later), replicas=replicas, most=most)
    assert rise >= 0
    if most is not None:
        assert replicas + rise <= max(most, replicas)
