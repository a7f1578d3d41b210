"""A forecast counts until its span has begun."""

import pytest

from spillway.domain.scaling.demand import STALE_SECONDS, DemandForecast


@pytest.mark.parametrize(
    ("age", "stale"),
    [(-30.0, False), (0.0, False), (STALE_SECONDS, False), (STALE_SECONDS + 1, True)],
    ids=["a clock behind", "new", "at the limit", "older"],
)
def test_a_forecast_grows_stale(age: float, *, stale: bool) -> None:
    forecast = DemandForecast(made=1_000_000.0, present=3.5, highest=8.2, predictable=True)
    assert forecast.is_stale(1_000_000.0 + age) is stale
