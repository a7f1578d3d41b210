"""Spikes of minutes on the hour and the half hour, with a start-up of three minutes: capacity is there before they are.

Beside the present demand and Crane's published algorithm, each with a factor that makes its mean capacity the same.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pytest

from spillway.domain.forecast.forecaster import replay
from spillway.domain.forecast.grid import on_grid
from spillway.domain.forecast.outcome import outcome_of, scale_for
from spillway.domain.forecast.spec import STEP_SECONDS, Floats, ForecastSpec
from tests.bench.crane_dsp import forecasts

pytestmark = pytest.mark.xdist_group("forecast-spikes")

SPEC: Final = ForecastSpec(180, 600)
DAYS: Final = 8
MINUTES: Final = DAYS * 1440
LATE: Final = 180
"""Seconds from a decision until its capacity serves."""
PER_STEP: Final = STEP_SECONDS // 60


@dataclass(frozen=True)
class Spikes:
    """Demand of every minute, and the decisions of each contender at every step."""

    demand: Floats
    spillway: Floats
    reactive: Floats
    crane: Floats


@pytest.fixture(scope="module")
def spikes() -> Spikes:
    """Spikes of three minutes, five times as high as the rest, for eight hours of each day."""
    random = np.random.default_rng(0)
    minute = np.arange(MINUTES)
    working = (minute % 1440 >= 9 * 60) & (minute % 1440 < 17 * 60)
    demand = np.where(working & (minute % 30 < 3), 50.0, 10.0) * random.lognormal(0, 0.05, MINUTES)
    _, grid = on_grid(minute * 60.0, demand)
    reactive = np.concatenate([[10.0], grid])
    crane = reactive.copy()
    fits = forecasts(demand, 60.0)
    refit = MINUTES // len(fits)
    for origin in range(crane.size):
        now = origin * PER_STEP
        if 0 < now // refit <= len(fits):
            begin, expected = fits[now // refit - 1]
            ahead = expected[max(now + LATE // 60 - begin, 0) : max(now + 10 - begin, 0)]
            crane[origin] = max(crane[origin], ahead.max(initial=0.0))
    return Spikes(demand, replay(grid[None], SPEC).served[0], reactive, crane)


def serves(decided: Floats) -> Floats:
    """The capacity of each minute: a decision made at a step serves three minutes later."""
    at = (np.arange(MINUTES) * 60 - LATE) // STEP_SECONDS
    return np.where(at >= 0, decided[np.maximum(at, 0)], np.nan)


def unmet(spikes: Spikes, decided: Floats, mean: float) -> float:
    last_day = slice((DAYS - 1) * 1440, None)
    capacity = serves(decided)[last_day]
    demand = spikes.demand[last_day]
    return outcome_of(demand, np.arange(demand.size), capacity * scale_for(capacity, mean)).unmet_percent


def test_capacity_is_there_before_each_spike_and_gone_between_them(spikes: Spikes) -> None:
    capacity = serves(spikes.spillway)[(DAYS - 1) * 1440 :]
    begins = np.arange(9 * 60, 17 * 60, 30)

    assert (capacity[begins - 1] > 40).all()
    assert (np.stack([capacity[begins + minute] for minute in range(3)]) > 40).all()
    assert (capacity[begins + 15] < 15).all()


def test_at_the_same_cost_less_is_short_than_with_the_others(spikes: Spikes) -> None:
    mean = float(serves(spikes.spillway)[(DAYS - 1) * 1440 :].mean())

    ours, reactive, crane = (
        unmet(spikes, decided, mean) for decided in (spikes.spillway, spikes.reactive, spikes.crane)
    )

    assert ours < 1
    assert ours < 0.1 * reactive
    assert ours < 0.7 * crane


def test_a_spike_in_each_hour_is_served_all_the_time_when_the_window_is_an_hour() -> None:
    # A window of an hour has a spike in it at any time. Serving it always costs more than leaving it out, even so.
    minute = np.arange(MINUTES)
    demand = np.where(minute % 60 < 3, 50.0, 10.0) * np.random.default_rng(1).lognormal(0, 0.05, MINUTES)
    _, grid = on_grid(minute * 60.0, demand)

    found = replay(grid[None], ForecastSpec(180, 3600))

    last_days = slice(-3 * 1440 // PER_STEP, None)
    assert (found.served[0, last_days] > 45).all()
    assert found.predictable[0, last_days].all()
