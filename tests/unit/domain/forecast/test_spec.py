"""What a forecast may be asked for, and which steps it covers."""

import pytest

from spillway.domain.forecast.spec import ForecastSpec


@pytest.mark.parametrize(
    ("startup", "window", "first", "end"),
    [
        pytest.param(900, 3600, 3, 12, id="whole steps"),
        pytest.param(180, 600, 0, 2, id="a start-up within a step begins with it"),
        pytest.param(0, 60, 0, 1, id="the step that begins now"),
        pytest.param(301, 601, 1, 3, id="rounded outwards"),
    ],
)
def test_the_span_is_rounded_outwards(startup: float, window: float, first: int, end: int) -> None:
    spec = ForecastSpec(startup, window)

    assert (spec.first, spec.end) == (first, end)


@pytest.mark.parametrize(
    ("startup", "window", "price", "message"),
    [
        pytest.param(900, 900, 10, "start-up < window", id="nothing is covered"),
        pytest.param(-1, 900, 10, "start-up of -1 s", id="negative"),
        pytest.param(0, 90_000, 10, "24 hours", id="more than a day"),
        pytest.param(0, 900, 0, "price", id="no price"),
        pytest.param(0, 900, float("nan"), "price", id="a price that is no number"),
    ],
)
def test_what_makes_no_sense_is_refused(startup: float, window: float, price: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ForecastSpec(startup, window, price)
