"""Days that are unlike the others."""

import numpy as np
import pytest

from spillway.domain.forecast.occasions import Occasion, served_with, without
from spillway.domain.forecast.spec import DAY_STEPS, ForecastSpec
from tests.unit.domain.forecast.demand_shapes import at, working_days

DAY = 86_400.0
SPEC = ForecastSpec(900, 3600)


def test_a_holiday_is_like_the_day_that_was_named() -> None:
    # Day 6 was quiet; day 8 is a holiday like it, two days later.
    values = working_days(8, noise=0)
    values[:, at(6, 0) : at(7, 0)] = 4.0
    known = np.concatenate([values, values[:, : at(0, 8.5)]], axis=1)
    holiday = Occasion(8 * DAY, 9 * DAY, like_days_before=2)

    found = served_with(np.array([100.0]), known, [holiday], SPEC, start=0.0)

    # The present demand of ten is still there, and is not taken away.
    assert found.tolist() == [10.0]


def test_a_sale_is_a_multiple_of_last_week() -> None:
    values = working_days(9, noise=0)
    known = values[:, : at(8, 8.5)]

    found = served_with(np.array([100.0]), known, [Occasion(8 * DAY, 9 * DAY, factor=3.0)], SPEC, start=0.0)

    assert found.tolist() == [300.0]


def test_the_part_of_the_span_outside_keeps_its_forecast() -> None:
    values = working_days(9, noise=0)[:, : at(8, 8.5)]
    ends_at_nine = Occasion(8 * DAY, 8 * DAY + 9 * 3600, factor=0.1)

    assert served_with(np.array([123.0]), values, [ends_at_nine], SPEC, start=0.0).tolist() == [123.0]


@pytest.mark.parametrize(
    "occasion",
    [
        pytest.param(Occasion(20 * DAY, 21 * DAY, factor=9), id="far ahead"),
        pytest.param(Occasion(2 * DAY, 3 * DAY, factor=9), id="long over"),
        pytest.param(Occasion(8 * DAY, 9 * DAY, like_days_before=30, factor=9), id="like a day that is not known"),
    ],
)
def test_what_does_not_concern_the_span_changes_nothing(occasion: Occasion) -> None:
    values = working_days(9, noise=0)[:, : at(8, 8.5)]

    assert served_with(np.array([55.0]), values, [occasion], SPEC, start=0.0).tolist() == [55.0]


def test_an_occasion_that_is_over_is_left_out_of_the_history() -> None:
    values = working_days(4)

    found = without(values, [Occasion(DAY, 2 * DAY), Occasion(-9 * DAY, -8 * DAY)], start=0.0)

    assert np.isnan(found[:, DAY_STEPS : 2 * DAY_STEPS]).all()
    assert np.isfinite(found).sum() == values.size - DAY_STEPS
    assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"begin": 5.0, "end": 5.0}, "before it ends"),
        ({"begin": 0.0, "end": 5.0, "like_days_before": 0}, "at least 1 day"),
        ({"begin": 0.0, "end": 5.0, "factor": -1.0}, "factor"),
        ({"begin": 0.0, "end": 5.0, "factor": float("inf")}, "factor"),
    ],
)
def test_an_occasion_that_makes_no_sense_is_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Occasion(**fields)  # type: ignore[arg-type]  # numbers of both kinds
