"""What a plan assumes of the coming day: a forecast where it was better on the days before, else the usual day."""

import numpy as np
import pytest

from spillway.domain.threshold.basis import Basis
from spillway.domain.threshold.coming_day import MOST_TIMES, ComingDay, coming_day, loss_percent
from spillway.domain.threshold.cycle import cycle_of
from spillway.domain.threshold.history import STEP_SECONDS, Floats

DAY = 288
MONDAY = 4 * 86_400.0
"""The first Monday of the epoch."""


def working_week(days: int) -> Floats:
    """Busy from eight to sixteen on five days of seven, from a Monday on."""
    step = np.arange(days * DAY)
    busy = (step % DAY >= 96) & (step % DAY < 192) & (step // DAY % 7 < 5)
    return np.where(busy, 100.0, 10.0) * np.random.default_rng(1).normal(1, 0.02, step.size)


def coming(values: Floats, *, late: float = 0.0) -> tuple[ComingDay, Floats]:
    """The coming day of a history from a Monday on, planned so much after its end, and its usual day."""
    times: Floats = MONDAY + np.arange(values.size, dtype=np.float64) * STEP_SECONDS
    known = np.isfinite(values)
    usual = cycle_of(times[known], values[known], step_seconds=300)
    assert usual is not None
    now = float(times[-1] + STEP_SECONDS + late)
    return coming_day(usual.values, times[known], values[known], now=now), usual.values


def test_before_a_weekend_and_before_a_monday_the_day_is_that_of_the_week() -> None:
    saturday, usual = coming(working_week(26))
    assert usual.max() > 90
    assert (saturday.basis, saturday.replicas.size) == (Basis.FORECAST, DAY)
    assert saturday.replicas.max() < 15
    assert saturday.loss_ratio is not None
    assert saturday.loss_ratio < 0.5

    monday, _ = coming(working_week(28))
    assert monday.basis is Basis.FORECAST
    assert monday.replicas[96:192].min() > 90


def test_the_steps_are_those_of_a_day_of_utc_at_whatever_hour_the_plan_is_made() -> None:
    midnight, _ = coming(working_week(24))
    evening, _ = coming(working_week(24)[: -DAY // 4])

    for found in (midnight, evening):
        assert found.basis is Basis.FORECAST
        assert found.replicas[96:192].min() > 90
        assert max(found.replicas[:90].max(), found.replicas[198:].max()) < 20


def test_days_that_are_alike_are_planned_from_all_of_them() -> None:
    step = np.arange(14 * DAY)
    values = np.where(step % DAY < 96, 10.0, 50.0) * np.random.default_rng(2).lognormal(0, 0.1, step.size)

    found, usual = coming(values)

    assert found.basis is Basis.PAST_DAYS
    assert found.replicas is usual
    assert found.loss_ratio is not None
    assert found.loss_ratio >= 0.95


@pytest.mark.parametrize(("days", "basis"), [(2, Basis.SHORT_HISTORY), (4, Basis.SHORT_HISTORY), (5, Basis.PAST_DAYS)])
def test_a_short_history_is_not_compared(days: int, basis: Basis) -> None:
    found, usual = coming(np.full(days * DAY, 7.0))

    assert found.basis is basis
    assert found.replicas is usual
    assert (found.loss_ratio is None) == (basis is Basis.SHORT_HISTORY)


def test_days_without_samples_are_not_compared() -> None:
    values = working_week(12)
    values[6 * DAY : 11 * DAY] = np.nan

    assert coming(values)[0].basis is Basis.SHORT_HISTORY


@pytest.mark.parametrize(("late", "basis"), [(3600.0, Basis.FORECAST), (3601.0, Basis.STALE_HISTORY)])
def test_a_history_that_ended_long_ago_is_not_continued(late: float, basis: Basis) -> None:
    assert coming(working_week(26), late=late)[0].basis is basis


def test_no_more_is_assumed_than_was_ever_seen() -> None:
    # Each day is three times the one before it.
    growing: Floats = np.repeat(np.power(3.0, np.arange(12)), DAY)

    found, _ = coming(growing)

    assert found.basis is Basis.FORECAST
    assert found.replicas.max() == growing.max()


@pytest.mark.parametrize(("ratio", "percent"), [(None, None), (0.616, 62), (1e9, 100 * MOST_TIMES)])
def test_a_ratio_of_losses_is_told_in_percent(ratio: float | None, percent: int | None) -> None:
    assert loss_percent(ratio) == percent
