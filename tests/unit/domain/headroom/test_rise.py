"""The replicas that a workload is expected to start."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.headroom.rise import rise_of
from spillway.domain.scaling.demand import STALE_SECONDS, DemandForecast

NOW = 1_000_000.0


def _forecast(highest: float, *, made: float = NOW, present: float = 2.0) -> DemandForecast:
    return DemandForecast(made, present, highest, predictable=True)


def _rise(forecast: DemandForecast | None, before: DemandForecast | None = None, **given: Any) -> int:
    values: dict[str, Any] = {"replicas": 2, "most": None, "startup_seconds": 300.0, "now": NOW} | given
    return rise_of(forecast, before, **values)


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


def test_a_forecast_that_rises_is_expected_to_rise_as_much_again() -> None:
    before = _forecast(6.0, made=NOW - 300)
    # The replicas follow the forecast already: room is needed for its next step.
    assert _rise(_forecast(10.0), before, replicas=10) == 4
    assert _rise(_forecast(10.0), before, replicas=10, startup_seconds=150.0) == 2
    assert _rise(_forecast(10.0), before, replicas=10, startup_seconds=3000.0) == 4


def test_after_a_spike_and_in_the_valley_nothing_is_expected() -> None:
    assert _rise(_forecast(4.0), _forecast(10.0, made=NOW - 300), replicas=10) == 0
    assert _rise(_forecast(2.0), _forecast(2.0, made=NOW - 300), replicas=2) == 0


@given(
    st.floats(0, 1000),
    st.floats(0, 1000),
    st.integers(0, 1000),
    st.one_of(st.none(), st.integers(0, 1000)),
    st.floats(0, 5000),
)
def test_the_rise_is_never_negative_nor_beyond_the_bound(
    highest: float, before: float, replicas: int, most: int | None, startup: float
) -> None:
    rise = _rise(
        _forecast(highest),
        _forecast(before, made=NOW - 300),
        replicas=replicas,
        most=most,
        startup_seconds=startup,
    )
    assert rise >= 0
    if most is not None:
        assert replicas + rise <= max(most, replicas)
