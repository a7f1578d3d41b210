"""Made-up demand on the grid of five minutes, for the tests of the forecaster."""

import numpy as np

from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS, Floats


def hours(days: int) -> Floats:
    """The hour of the day of each step."""
    return np.asarray(np.arange(days * DAY_STEPS) % DAY_STEPS / HOUR_STEPS)


def working_days(days: int, *, low: float = 10.0, high: float = 100.0, noise: float = 0.02, seed: int = 0) -> Floats:
    """Low at night, and at nine o'clock sharp high until six; one row."""
    hour = hours(days)
    shape = np.where((hour >= 9) & (hour < 18), high, low)
    return np.asarray(shape * np.random.default_rng(seed).lognormal(0, noise, shape.size))[None]


def wandering(days: int, *, seed: int = 0) -> Floats:
    """A random walk of the logarithm, which no phase of the day explains; one row."""
    return np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.05, days * DAY_STEPS)))[None]


def ragged(days: int, seed: int) -> Floats:
    """Three rows with everything that goes wrong: gaps, zeros, bursts, a late begin, a level that jumps."""
    random = np.random.default_rng(seed)
    rows = np.concatenate(
        [working_days(days, seed=seed), wandering(days, seed=seed), working_days(days, seed=seed + 1)]
    )
    steps = rows.shape[1]
    rows[0, random.integers(steps) :] *= random.choice([0.1, 3.0])
    for row in rows:
        begin = random.integers(steps)
        row[begin : begin + random.integers(1, DAY_STEPS * 2)] = np.nan
        row[random.random(steps) < 0.02] = 0.0
        row[random.random(steps) < 0.01] = np.nan
        row[random.random(steps) < 0.002] *= 1000
    rows[2, : random.integers(steps)] = np.nan
    return rows


def at(day: int, hour: float) -> int:
    """The origin at that time of that day, counted from 0."""
    return round(day * DAY_STEPS + hour * HOUR_STEPS)
