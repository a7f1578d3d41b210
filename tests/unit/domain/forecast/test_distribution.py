"""The distribution of demand over the coming cycle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.forecast.distribution import QUANTILES, coming_cycle, past_cycles
from spillway.domain.forecast.spec import DAY_STEPS, WEEK_STEPS
from tests.unit.domain.forecast.demand_shapes import at, ragged, wandering, working_days


@pytest.mark.parametrize("seed", range(3))
def test_each_quantile_covers_its_share_of_the_next_day(seed: int) -> None:
    values = working_days(15, noise=0.3, seed=seed)
    covered = []
    for day in range(8, 15):
        quantiles = coming_cycle(values[:, : at(day, 0)])[0]
        covered.append((values[0, at(day, 0) : at(day + 1, 0)] <= quantiles).mean(axis=1))

    assert np.mean(covered, axis=0) == pytest.approx(QUANTILES, abs=0.05)


def test_the_shape_begins_at_the_end_of_the_history() -> None:
    values = working_days(8, noise=0)[:, : at(7, 6)]

    median = coming_cycle(values, quantiles=(0.5,))[0, 0]

    assert median[: 3 * 12].max() == pytest.approx(10)
    assert median[3 * 12] == pytest.approx(100)


def test_a_week_has_its_weekend() -> None:
    values = working_days(28)
    quiet = (np.arange(values.shape[1]) // DAY_STEPS) % 7 >= 5
    values[:, quiet] = 5.0

    week = coming_cycle(values, quantiles=(0.8,), cycle_steps=WEEK_STEPS)[0, 0].reshape(7, DAY_STEPS)

    assert (week[:5].max(axis=1) > 90).all()
    assert (week[5:].max(axis=1) < 7).all()


def test_demand_without_a_shape_gets_one_level() -> None:
    values = np.random.default_rng(5).lognormal(0, 1, (1, 14 * DAY_STEPS))

    found = coming_cycle(values)[0]

    assert (found == found[:, :1]).all()
    assert (values[:, -WEEK_STEPS:] <= found[1, 0]).mean() == pytest.approx(0.8, abs=0.02)


def test_half_a_day_of_history_is_enough_for_a_level() -> None:
    found = coming_cycle(np.full((1, DAY_STEPS // 2), 7.0))

    np.testing.assert_allclose(found, 7.0)


@pytest.mark.parametrize("steps", [0, 1, DAY_STEPS])
def test_without_any_value_there_is_none(steps: int) -> None:
    found = coming_cycle(np.full((2, steps), np.nan))

    assert found.shape == (2, len(QUANTILES), DAY_STEPS)
    assert np.isnan(found).all()


def test_without_workloads_there_are_no_rows() -> None:
    assert coming_cycle(np.empty((0, DAY_STEPS))).shape == (0, len(QUANTILES), DAY_STEPS)


@pytest.mark.parametrize(("days", "hours"), [(1, 0), (2, 7), (9, 0), (16, 5)])
def test_what_was_said_of_a_day_that_is_over_is_what_was_known_at_its_begin(days: int, hours: int) -> None:
    values = ragged(days + 1, seed=days)[:, : at(days, hours)]

    found = past_cycles(values, quantile=0.8, days=7)

    assert found.shape == (3, min(7, max(days - 1, 0)), DAY_STEPS)
    for back in range(found.shape[1]):
        before = values[:, : values.shape[1] - (back + 1) * DAY_STEPS]
        np.testing.assert_array_equal(found[:, -1 - back], coming_cycle(before, quantiles=(0.8,))[:, 0])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 16), st.integers(0, 1000), st.sampled_from([DAY_STEPS, WEEK_STEPS]))
def test_quantiles_are_ordered_finite_and_not_negative(days: int, seed: int, cycle: int) -> None:
    values = ragged(days, seed)

    found = coming_cycle(values, cycle_steps=cycle)

    known = np.isfinite(values).any(axis=1)
    assert np.isfinite(found[known]).all()
    assert (found[known] >= 0).all()
    assert (np.diff(found[known], axis=1) >= 0).all()


@pytest.mark.parametrize("scale", [1e-9, 1e12])
def test_the_scale_does_not_matter(scale: float) -> None:
    values = np.concatenate([working_days(10), wandering(10)])

    np.testing.assert_allclose(coming_cycle(values * scale), coming_cycle(values) * scale, rtol=1e-6)


@pytest.mark.parametrize(
    ("cycle", "quantiles", "message"),
    [(100, (0.5,), "a day or a week"), (DAY_STEPS, (0.5, 1.0), "between 0 and 1")],
)
def test_what_makes_no_sense_is_refused(cycle: int, quantiles: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        coming_cycle(np.ones((1, 10)), quantiles=quantiles, cycle_steps=cycle)
