"""The growth tells what past days had just after the span, and nothing that an origin cannot know."""

import numpy as np
import pytest

from spillway.domain.forecast.grid import offset
from spillway.domain.forecast.growth import growth, present_growth
from spillway.domain.forecast.spec import DAY_STEPS, Floats, ForecastSpec
from spillway.domain.forecast.window import mean_behind

SPEC = ForecastSpec(startup_seconds=300.0, window_seconds=1800.0)
NINE = 9 * 12


def _days(count: int, steps: int = 0) -> Floats:
    """Days of 2, and of 6 from nine to ten o'clock; and so many steps of one more day."""
    day = np.full(DAY_STEPS, 2.0)
    day[NINE : NINE + 12] = 6.0
    return np.tile(day, count + 1)[None, : count * DAY_STEPS + steps]


def _small(values: Floats) -> Floats:
    return offset(mean_behind(values, 7 * DAY_STEPS))


@pytest.mark.parametrize(
    ("before_nine", "expected"),
    [(10, 1.0), (9, 1.0), (8, 3.0), (6, 3.0), (5, 1.0), (0, 1.0), (-12, 1.0)],
    ids=[
        "long before",
        "the rise comes later than a quarter of an hour after the window",
        "it comes within that",
        "right after the window",
        "it is in the window",
        "at nine",
        "at ten",
    ],
)
def test_it_is_what_came_just_after_the_window_on_the_days_before(before_nine: int, expected: float) -> None:
    values = _days(3, NINE - before_nine)
    assert present_growth(values, _small(values), SPEC)[0] == pytest.approx(expected, rel=0.01)


def test_one_odd_day_does_not_count() -> None:
    values = _days(5, 60)
    odd = values.copy()
    odd[:, 2 * DAY_STEPS + 60 + 7] = 50.0
    assert present_growth(odd, _small(odd), SPEC)[0] == pytest.approx(present_growth(values, _small(values), SPEC)[0])


def test_the_present_one_is_the_last_of_all_and_no_origin_knows_what_comes() -> None:
    random = np.random.default_rng(3)
    values = random.gamma(2.0, 1.0, (3, 4 * DAY_STEPS + 77))
    every = growth(values, _small(values), SPEC)
    assert (every >= 1).all()
    for cut in (1, DAY_STEPS - 1, DAY_STEPS, 3 * DAY_STEPS + 5, values.shape[1]):
        known = values[:, :cut]
        assert np.array_equal(present_growth(known, _small(known), SPEC), every[:, cut])


def test_without_a_day_before_it_is_one() -> None:
    values = np.full((1, 40), 3.0)
    assert (growth(values, _small(values), SPEC) == 1).all()
    assert present_growth(values, _small(values), SPEC)[0] == 1.0


def test_after_zeros_it_is_finite() -> None:
    values = np.zeros((1, 3 * DAY_STEPS))
    values[:, NINE::DAY_STEPS] = 4.0
    assert np.isfinite(growth(values, _small(values), SPEC)).all()
