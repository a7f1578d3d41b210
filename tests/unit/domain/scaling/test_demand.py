"""A forecast counts until its span has begun."""

import pytest

from spillway.domain.scaling.demand import STALE_SECONDS, DemandForecast, replicas_for


@pytest.mark.parametrize(
    ("age", "stale"),
    [(-30.0, False), (0.0, False), (STALE_SECONDS, False), (STALE_SECONDS + 1, True)],
    ids=["a clock behind", "new", "at the limit", "older"],
)
def test_a_forecast_grows_stale(age: float, *, stale: bool) -> None:
    forecast = DemandForecast(made=1_000_000.0, present=3.5, highest=8.2, predictable=True)
    assert forecast.is_stale(1_000_000.0 + age) is stale


def test_a_rounding_error_is_no_replica() -> None:
    assert replicas_for(3.0000000001) == 3
    assert replicas_for(3.01) == 4
    assert replicas_for(-0.0) == 0
