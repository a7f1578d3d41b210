"""What the forecaster serves on days that are alike, change, or tell nothing."""

import numpy as np
import pytest

from spillway.domain.forecast.forecaster import forecast, replay
from spillway.domain.forecast.outcome import CapacityOutcome, in_force, outcome_of, scale_for
from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS, Floats, ForecastSpec
from tests.unit.domain.forecast.demand_shapes import at, wandering, working_days

SPEC = ForecastSpec(900, 3600)


def served(values: Floats, spec: ForecastSpec = SPEC) -> Floats:
    found: Floats = replay(values, spec).served[0]
    return found


def outcome(
    values: Floats, decided: Floats, begin: int, end: int | None = None, spec: ForecastSpec = SPEC
) -> CapacityOutcome:
    """The outcome of these decisions in the steps from `begin` on."""
    capacity, steps = in_force(decided, spec.first), np.arange(values.shape[1])[begin:end]
    return outcome_of(values[0, begin:end], steps - begin, capacity[begin:end])


def reactive_of(values: Floats) -> Floats:
    return np.concatenate([[np.nan], values[0]])


def test_a_jump_that_comes_every_day_is_served_before_it_comes() -> None:
    values = working_days(8)

    found = replay(values, SPEC)

    jump = at(7, 9)
    assert (found.served[0, jump - 12 : jump - 3] > 90)[3:].all()
    assert found.predictable[0, jump - 3]
    # A start-up before the jump, nothing is short at all; the present demand alone is short for three steps.
    assert outcome(values, found.served[0], jump, jump + 3).unmet_percent < 2
    assert outcome(values, reactive_of(values), jump, jump + 3).unmet_percent > 85


def test_the_night_is_not_served_as_the_day() -> None:
    found = served(working_days(8))

    assert (found[at(7, 1) : at(7, 7)] < 15).all()


def test_what_nothing_explains_is_not_predictable_and_no_worse_than_headroom() -> None:
    values = wandering(21, seed=4)

    found = replay(values, SPEC)

    begin = at(7, 0)
    ours = outcome(values, found.served[0], begin)
    reactive = reactive_of(values)
    factor = scale_for(in_force(reactive, SPEC.first)[begin:], ours.mean_capacity)
    same_cost = outcome(values, reactive * factor, begin)
    assert found.predictable[0, begin:].mean() < 0.5
    assert ours.unmet_percent <= 1.1 * same_cost.unmet_percent


@pytest.mark.parametrize("level", [0.0, 1e-9, 7.0, 1e12])
def test_a_constant_is_served_as_it_is(level: float) -> None:
    found = forecast(np.full((1, 9 * DAY_STEPS), level), SPEC)

    assert found.served.tolist() == pytest.approx([level])
    assert not found.predictable[0]


def test_a_level_that_doubles_is_followed_within_two_days() -> None:
    values = working_days(14)
    values[:, at(9, 0) :] *= 2

    found = served(values)

    assert outcome(values, found, at(11, 0)).unmet_percent < 1
    assert (found[at(11, 10) : at(11, 17)] > 180).all()


def test_a_clock_that_is_changed_is_followed_within_three_days() -> None:
    before = working_days(10, noise=0)
    # From day 10 on local time is an hour earlier in UTC.
    shifted = np.concatenate([before, np.roll(working_days(8, noise=0), -HOUR_STEPS, axis=1)], axis=1)

    found = served(shifted)

    jump = at(13, 8)
    assert outcome(shifted, found, jump, jump + 3).unmet_percent < 15
    assert outcome(shifted, reactive_of(shifted), jump, jump + 3).unmet_percent == 90


def test_a_week_is_learnt() -> None:
    values = working_days(36)
    quiet = (np.arange(values.shape[1]) // DAY_STEPS) % 7 >= 5
    values[:, quiet] = 8.0

    found = served(values)

    monday, saturday = at(35, 9), at(33, 0)
    assert outcome(values, found, monday, monday + 6).unmet_percent < 3
    assert (found[saturday + 12 : saturday + DAY_STEPS - 12] < 20).all()


def test_one_outage_does_not_change_the_next_day() -> None:
    values = working_days(10)
    values[:, at(8, 6) : at(8, 14)] = 0.0

    jump = at(9, 9)
    assert outcome(values, served(values), jump, jump + 6).unmet_percent < 2


def test_a_gap_of_hours_keeps_what_is_known_of_earlier_days() -> None:
    values = working_days(10)
    values[:, at(8, 20) : at(9, 4)] = np.nan

    jump = at(9, 9)
    assert outcome(values, served(values), jump, jump + 6).unmet_percent < 2


def test_a_young_workload_gets_its_present_demand() -> None:
    values = working_days(14)
    young = values.copy()
    young[:, : at(13, 0)] = np.nan

    found = replay(np.concatenate([values, young]), SPEC)

    assert np.isnan(found.served[1, : at(13, 0) + 1]).all()
    part = found.served[1, at(13, 0) + 1 :]
    assert np.isfinite(part).all()
    assert (part >= young[0, at(13, 0) :]).all()


def test_a_higher_price_serves_more() -> None:
    values = working_days(12, noise=0.4)

    means = [served(values, ForecastSpec(900, 3600, price))[at(9, 0) :].mean() for price in (1, 5, 25, 100)]

    assert means == sorted(means)
    assert means[-1] > 1.2 * means[0]


def test_the_quantiles_of_the_maximum_are_calibrated() -> None:
    values = np.concatenate([working_days(28, noise=0.25, seed=seed) for seed in range(3)])

    found = replay(values, SPEC).quantiles

    begin, end = at(10, 0), at(27, 0)
    ahead = np.stack([values[:, begin + 3 + back : end + 3 + back] for back in range(9)]).max(axis=0)
    covered = (ahead[:, None] <= found[:, :, begin:end]).mean(axis=(0, 2))
    assert covered == pytest.approx([0.3, 0.5, 0.7, 0.85, 0.93, 0.98], abs=0.06)


def test_the_hour_of_the_jump_is_what_the_window_asks_for() -> None:
    values = working_days(9, noise=0)

    short, long = served(values, ForecastSpec(300, 600, 100)), served(values, ForecastSpec(300, 7200, 100))

    two_hours_before = at(8, 7.25)
    assert short[two_hours_before] < 15
    assert long[two_hours_before] > 90
    assert short[at(8, 8 + 11 / 12)] > 90


def test_no_rows_and_no_steps() -> None:
    assert forecast(np.empty((0, 100)), SPEC).served.shape == (0,)
    assert np.isnan(forecast(np.empty((2, 0)), SPEC).served).all()
