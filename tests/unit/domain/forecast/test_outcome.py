"""What a capacity is worth."""

import numpy as np
import pytest

from spillway.domain.forecast.outcome import in_force, outcome_of, scale_for


@pytest.mark.parametrize(("steps", "first"), [(1, 3), (2, 3), (3, 3), (4, 3)])
def test_the_capacity_of_a_series_that_is_shorter_than_the_start_up(steps: int, first: int) -> None:
    capacity = in_force(np.arange(steps + 1, dtype=np.float64), first)
    assert capacity.size == steps
    assert np.isnan(capacity[:first]).all()
    assert capacity[first:].tolist() == list(range(max(steps - first, 0)))


def test_a_decision_is_in_force_a_startup_later() -> None:
    assert np.array_equal(in_force(np.array([1.0, 2, 3, 4]), 2), [np.nan, np.nan, 1], equal_nan=True)


def test_short_samples_are_counted_by_amount_number_and_run() -> None:
    demand = np.array([5.0, 5, 12, 14, 5, 11])
    capacity = np.array([np.nan, 10.0, 10.0])
    step = np.array([0, 1, 1, 2, 2, 2])

    found = outcome_of(demand, step, capacity)

    assert found.mean_capacity == 10
    assert found.unmet_percent == pytest.approx(100 * (2 + 4 + 1) / 47)
    assert found.under_percent == pytest.approx(60)
    assert found.longest_samples == 2


def test_nothing_known_is_nothing_short() -> None:
    found = outcome_of(np.array([1.0]), np.array([0]), np.array([np.nan]))

    assert (found.mean_capacity, found.unmet_percent, found.under_percent, found.longest_samples) == (0, 0, 0, 0)


def test_a_scale_reaches_the_mean() -> None:
    decided = np.array([np.nan, 1.0, 3.0])

    assert float(np.nanmean(decided * scale_for(decided, 5.0))) == pytest.approx(5)
    assert scale_for(np.zeros(3), 5.0) == 0
