"""What is served at which price."""

import numpy as np
import pytest

from spillway.domain.forecast.calibration import hours_of
from spillway.domain.forecast.choice_by_cost import HEADROOMS, LOOK_BACK_HOURS, Choice, cheapest
from spillway.domain.forecast.spec import HOUR_STEPS, Floats

STEPS = 20 * 24 * HOUR_STEPS


def chosen(forecasts: Floats, demand: Floats, *, price: float = 10.0, first: int = 3) -> Choice:
    reactive = np.concatenate([[0.0], demand])[None]
    return cheapest(
        forecasts[None], np.nan_to_num(reactive), demand[None], first=first, price=price, hours=hours_of(demand.size)
    )


def foreseen(demand: Floats, first: int = 3) -> Floats:
    """What each origin would have to serve."""
    return np.concatenate([demand[first:], np.zeros(first + 1)])


def noisy(seed: int = 0) -> Floats:
    return np.asarray(np.random.default_rng(seed).lognormal(0, 0.5, STEPS))


def test_a_forecast_that_knows_the_future_is_served() -> None:
    demand = noisy()

    found = chosen(np.stack([foreseen(demand) * 0.5, foreseen(demand)]), demand)

    assert found.cheaper[0, 30:].all()
    assert (found.quantile[0, 30:] == 1).all()


def test_a_forecast_that_is_hardly_better_than_headroom_is_not() -> None:
    demand = noisy()
    reactive = np.concatenate([[0.0], demand])

    found = chosen(np.stack([reactive * 1.6]), demand)

    assert not found.cheaper.any()


def test_the_headroom_grows_with_the_price() -> None:
    nothing = np.zeros((1, STEPS + 1))

    found = [float(chosen(nothing, noisy(), price=price).headroom[0, -1]) for price in (0.2, 2.0, 20.0, 500.0)]

    assert found == sorted(found)
    assert (found[0], found[-1]) == (HEADROOMS[0], HEADROOMS[-1])


def test_what_is_older_than_a_week_is_forgotten() -> None:
    demand = noisy()
    bad_then_good = np.where(np.arange(STEPS + 1) < STEPS // 2, 1000.0, foreseen(demand))

    found = chosen(bad_then_good[None], demand)

    turned = STEPS // 2 // HOUR_STEPS
    assert not found.cheaper[0, : turned + 24].any()
    assert found.cheaper[0, turned + LOOK_BACK_HOURS + 2 :].all()


def test_gaps_cost_nothing() -> None:
    demand = noisy()
    demand[100:3000] = np.nan
    forecasts = np.nan_to_num(foreseen(demand))[None]
    worse_in_the_gap = forecasts.copy()
    worse_in_the_gap[:, 110:2990] = 1e9

    assert (chosen(forecasts, demand).quantile == chosen(worse_in_the_gap, demand).quantile).all()
    assert (chosen(forecasts, demand).cheaper == chosen(worse_in_the_gap, demand).cheaper).all()


@pytest.mark.parametrize("first", [0, 3, 12, 40])
def test_an_hour_knows_only_the_steps_before_it(first: int) -> None:
    demand = noisy()
    hour = 200
    changed = demand.copy()
    changed[hour * HOUR_STEPS :] *= 100
    forecasts = np.random.default_rng(3).random((4, STEPS + 1)) * 3

    before, after = chosen(forecasts, demand, first=first), chosen(forecasts, changed, first=first)

    for field in ("quantile", "headroom", "cheaper"):
        assert np.array_equal(getattr(before, field)[:, : hour + 1], getattr(after, field)[:, : hour + 1]), field
