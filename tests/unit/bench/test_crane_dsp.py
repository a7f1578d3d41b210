"""The contender after Crane's algorithm: what it finds, what it repeats, and what it discards."""

import numpy as np
import pytest

from tests.bench.crane_dsp import DAY_SECONDS, continuous, error_of, forecasts, next_period, period_of

STEP = 300.0
DAY = int(DAY_SECONDS / STEP)


def wave(days: int, *, noise: float = 0.0) -> np.ndarray:
    clock = np.arange(days * DAY) / DAY * 2 * np.pi
    return 100 + 50 * np.sin(clock) + np.random.default_rng(0).normal(0, 1, clock.size) * noise


def test_a_daily_wave_has_the_period_of_a_day() -> None:
    assert period_of(wave(6, noise=5), STEP, np.random.default_rng(0)) == DAY_SECONDS


def test_noise_has_none() -> None:
    assert next_period(np.random.default_rng(1).random(6 * DAY), STEP, np.random.default_rng(0)) is None


def test_a_constant_has_none() -> None:
    assert next_period(np.ones(6 * DAY), STEP, np.random.default_rng(0)) is None


def test_the_last_period_is_repeated_with_a_margin() -> None:
    found = next_period(wave(6), STEP, np.random.default_rng(0))

    assert found is not None
    assert found == pytest.approx(wave(6)[-DAY:] * 1.01, rel=0.03)


def test_history_before_a_gap_of_more_than_an_hour_is_discarded_and_a_small_one_interpolated() -> None:
    values = np.arange(100.0)
    values[20:40] = np.nan
    values[60] = np.nan

    found = continuous(values, STEP)

    assert found.size == 60
    assert found[20] == 60


def test_an_error_below_weighs_more() -> None:
    actual = np.full(10, 10.0)

    assert error_of(actual, actual - 2) == pytest.approx(-np.log(0.8) / np.log(1.25))
    assert error_of(actual, actual + 2) == pytest.approx(0.2)
    assert error_of(np.zeros(10), np.ones(10)) == 1


def test_it_is_refitted_every_twelve_hours_by_the_past_alone() -> None:
    values = wave(4, noise=2)
    changed = values.copy()
    changed[3 * DAY :] = 0

    before, after = forecasts(values, STEP), forecasts(changed, STEP)

    assert [begin for begin, _ in before] == [DAY // 2 * turn for turn in range(1, 9)]
    for (_, one), (_, other) in zip(before[:6], after[:6], strict=True):
        assert np.array_equal(one, other)
