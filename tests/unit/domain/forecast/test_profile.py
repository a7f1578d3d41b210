"""The profile of past periods."""

import numpy as np

from spillway.domain.forecast.profile import DAYS, profile

PERIOD = 4


def test_one_odd_day_does_not_move_the_profile() -> None:
    days = np.tile([1.0, 2, 3, 4], (6, 1))
    days[4] *= 50

    found = profile(days.reshape(1, -1), PERIOD, DAYS)

    assert found[0, -PERIOD:].tolist() == [1, 2, 3, 4]


def test_two_new_days_do() -> None:
    days = np.tile([1.0, 2, 3, 4], (6, 1))
    days[3:5] *= 50

    assert profile(days.reshape(1, -1), PERIOD, DAYS)[0, -PERIOD:].tolist() == [50, 100, 150, 200]


def test_a_column_never_knows_itself() -> None:
    values = np.random.default_rng(0).random((1, 40))
    changed = values.copy()
    changed[0, 20:] = 1e6

    assert np.array_equal(profile(values, PERIOD, DAYS)[0, :24], profile(changed, PERIOD, DAYS)[0, :24], equal_nan=True)


def test_without_a_period_there_is_no_profile() -> None:
    assert np.isnan(profile(np.ones((2, PERIOD)), PERIOD, DAYS)).all()
