"""What holds for every history: nothing from the future, no row in another, no scale, always an answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.forecast.forecaster import forecast, replay
from spillway.domain.forecast.grid import filled
from spillway.domain.forecast.spec import DAY_STEPS, ForecastSpec
from tests.unit.domain.forecast.demand_shapes import ragged, wandering, working_days

SPECS = st.builds(
    ForecastSpec,
    startup_seconds=st.sampled_from([0.0, 180.0, 900.0, 5400.0]),
    window_seconds=st.sampled_from([5700.0, 3.0 * 3600]),
    price=st.sampled_from([1.0, 10.0, 80.0]),
)
SEEDS = st.integers(0, 10_000)
DAYS = st.integers(1, 12)


@settings(max_examples=25, deadline=None)
@given(DAYS, SEEDS, SPECS, st.floats(0, 1))
def test_a_forecast_does_not_change_with_what_comes_after_it(
    days: int, seed: int, spec: ForecastSpec, share: float
) -> None:
    values = ragged(days, seed)
    cut = int(share * values.shape[1])
    other = values.copy()
    other[:, cut:] = np.random.default_rng(seed + 1).lognormal(3, 2, other[:, cut:].shape)

    found, changed = replay(values, spec), replay(other, spec)

    np.testing.assert_array_equal(found.served[:, : cut + 1], changed.served[:, : cut + 1])
    np.testing.assert_array_equal(found.predictable[:, : cut + 1], changed.predictable[:, : cut + 1])
    np.testing.assert_array_equal(found.quantiles[:, :, : cut + 1], changed.quantiles[:, :, : cut + 1])


@settings(max_examples=25, deadline=None)
@given(DAYS, SEEDS, SPECS, st.floats(0, 1))
def test_the_present_forecast_is_that_of_the_replay(days: int, seed: int, spec: ForecastSpec, share: float) -> None:
    values = ragged(days, seed)
    cut = int(share * values.shape[1])

    now, then = forecast(values[:, :cut], spec), replay(values, spec)

    np.testing.assert_allclose(now.served, then.served[:, cut], rtol=1e-9)
    assert np.array_equal(now.predictable, then.predictable[:, cut])


@settings(max_examples=20, deadline=None)
@given(DAYS, SEEDS, SPECS)
def test_there_is_an_answer_from_the_first_value_on_and_never_below_the_present(
    days: int, seed: int, spec: ForecastSpec
) -> None:
    values = ragged(days, seed)
    present = filled(values)[0]

    found = replay(values, spec).served

    known = np.isfinite(present)
    assert np.isfinite(found[:, 1:][known]).all()
    assert np.isnan(found[:, 1:][~known]).all()
    assert (found[:, 1:][known] >= present[known]).all()


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_rows_do_not_influence_each_other(seed: int) -> None:
    values = np.concatenate([ragged(9, seed + index) for index in range(4)])
    spec = ForecastSpec()

    together = replay(values, spec)

    for row in range(values.shape[0]):
        alone = replay(values[row : row + 1], spec)
        np.testing.assert_allclose(alone.served[0], together.served[row], rtol=1e-9)


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**40])
def test_the_scale_does_not_matter(scale: float) -> None:
    values = np.concatenate([working_days(12), wandering(12), ragged(12, 3)])
    spec = ForecastSpec()

    found, scaled = replay(values, spec), replay(values * scale, spec)

    np.testing.assert_allclose(scaled.served, found.served * scale, rtol=1e-4)
    assert np.array_equal(scaled.predictable, found.predictable)


def test_the_same_history_gives_the_same_forecast() -> None:
    values = np.concatenate([ragged(9, 1), np.zeros((1, 9 * DAY_STEPS))])

    first, second = replay(values, ForecastSpec()), replay(values.copy(), ForecastSpec())

    np.testing.assert_array_equal(first.served, second.served)
