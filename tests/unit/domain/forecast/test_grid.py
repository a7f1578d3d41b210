"""Samples on the grid, and what a gap is filled with."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.forecast.grid import filled, on_grid
from spillway.domain.forecast.spec import DAY_STEPS, WEEK_STEPS
from tests.unit.domain.forecast.demand_shapes import ragged

HOUR = 3600.0


def test_the_highest_sample_of_a_step_counts_and_the_grid_begins_at_a_whole_hour() -> None:
    start, grid = on_grid([HOUR + 600, HOUR + 660, HOUR + 899, HOUR + 900], [1, 9, 3, 4])

    assert start == HOUR
    assert np.array_equal(grid, [np.nan, np.nan, 9, 4], equal_nan=True)


def test_bad_samples_are_gaps() -> None:
    _, grid = on_grid([0, 300, 600, 900, np.nan], [1, np.nan, -2, np.inf, 7])

    assert np.array_equal(grid, [1], equal_nan=True)


@pytest.mark.parametrize(("end", "expected"), [(600.0, [1.0, 2.0]), (1200.0, [1.0, 2.0, 3.0, np.nan])])
def test_the_grid_ends_before_the_step_that_is_not_known_yet(end: float, expected: list[float]) -> None:
    _, grid = on_grid([0, 300, 600], [1, 2, 3], end=end)

    assert np.array_equal(grid, expected, equal_nan=True)


def test_no_samples_are_an_empty_grid() -> None:
    assert on_grid([], [])[1].size == 0


def test_a_gap_is_filled_from_the_day_before_then_the_week_before_then_the_last_value() -> None:
    values = np.arange(WEEK_STEPS + 2 * DAY_STEPS, dtype=np.float64)[None]
    gap = WEEK_STEPS + 10
    holes = values.copy()
    holes[0, [5, gap]] = np.nan

    whole, seen = filled(holes)

    assert whole[0, 5] == 4
    assert whole[0, gap] == gap - DAY_STEPS
    assert not seen[0, gap]
    assert seen.sum() == values.size - 2


def test_nothing_is_made_up_before_the_first_value() -> None:
    whole, seen = filled(np.array([[np.nan, np.nan, 3.0, np.nan]]))

    assert np.array_equal(whole, [[np.nan, np.nan, 3, 3]], equal_nan=True)
    assert seen.tolist() == [[False, False, True, False]]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 10), st.integers(0, 1000))
def test_what_is_filled_is_a_value_of_the_past(days: int, seed: int) -> None:
    values = ragged(days, seed)

    whole, seen = filled(values)

    assert np.array_equal(whole[seen], values[seen])
    for before, after in zip(values, whole, strict=True):
        known = np.flatnonzero(np.isfinite(before))
        first = known[0] if known.size else before.size
        assert np.isnan(after[:first]).all()
        for step in np.flatnonzero(~np.isfinite(before[first:])) + first:
            assert after[step] in before[:step]
