"""What each candidate expects."""

import numpy as np
import pytest

from spillway.domain.forecast.candidates import NAMES, candidates_of
from spillway.domain.forecast.spec import WEEK_STEPS, Floats
from spillway.domain.forecast.window import maximum_ahead
from tests.unit.domain.forecast.demand_shapes import at, working_days

SMALL = np.zeros((1, 1))


def expected_of(values: Floats, origin: int) -> dict[str, float]:
    ahead = maximum_ahead(values, 3, 12)
    found = candidates_of(values, ahead, SMALL)[:, 0, origin]
    return dict(zip(NAMES, found.tolist(), strict=True))


def test_the_profiles_know_the_jump_and_the_present_does_not() -> None:
    found = expected_of(working_days(5, noise=0), at(4, 8.5))

    assert found == {
        "day": 100,
        "day by level": pytest.approx(100),
        "week": 100,
        "week by level": pytest.approx(100),
        "last value": 10,
        "last hour": 10,
    }


def test_a_level_that_doubled_doubles_what_goes_by_the_level() -> None:
    values = working_days(5, noise=0)
    values[:, at(4, 0) :] *= 2

    found = expected_of(values, at(4, 8.5))

    assert found["day"] == 100
    assert found["day by level"] == pytest.approx(200)


def test_the_week_knows_the_day_of_the_week() -> None:
    values = working_days(16, noise=0)
    days = values.reshape(16, -1)
    days[[5, 6, 12, 13]] = 10  # two weekends

    monday = expected_of(values, at(14, 8.5))

    assert (monday["day"], monday["week"]) == (10, 100)


def test_a_young_history_falls_back_to_the_present() -> None:
    values = working_days(1, noise=0)

    assert set(expected_of(values, at(0, 12)).values()) == {100.0}
    assert values.shape[1] < WEEK_STEPS
