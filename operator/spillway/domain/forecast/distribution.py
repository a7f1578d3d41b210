"""The distribution of demand over the coming cycle, step by step: what a threshold needs to know of the future.

Contract: pure and deterministic; the first step is the one that begins at the end of the history. Three shapes compete
for each row: the profile of the day, that of the week, and no shape at all (the median of the last day). Around each
the distribution is that of actual over expected demand in the last seven days, and the shape with the smallest pinball
loss on the same days is taken. Steps that were filled teach nothing. A row without any value is nan.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from spillway.domain.forecast.calibration import rank_of
from spillway.domain.forecast.candidate_weights import pinball
from spillway.domain.forecast.grid import filled, offset
from spillway.domain.forecast.profile import DAYS, WEEKS, profile
from spillway.domain.forecast.spec import DAY_STEPS, WEEK_STEPS, Floats

QUANTILES: Final = (0.5, 0.8, 0.9, 0.95, 0.99)
_LEAST_STEPS: Final = DAY_STEPS
"""A shape needs a day of comparisons to compete."""
_FLAT: Final = 2
"""The shape that is there in any case."""


def coming_cycle(values: Floats, *, quantiles: Sequence[float] = QUANTILES, cycle_steps: int = DAY_STEPS) -> Floats:
    """The quantiles of demand at each step of the coming cycle, shape (row, quantile, step).

    `values` has a row for each workload and a column for each step, nan where nothing was seen.

    Raises:
        ValueError: the cycle is neither a day nor a week, or a quantile is not between 0 and 1.
    """
    if cycle_steps not in (DAY_STEPS, WEEK_STEPS):
        raise ValueError(f"a cycle is a day or a week, {DAY_STEPS} or {WEEK_STEPS} steps, not {cycle_steps}")
    if not all(0 < one < 1 for one in quantiles):
        raise ValueError(f"quantiles must be between 0 and 1, not {tuple(quantiles)}")
    whole, seen = filled(values)
    rows, steps = whole.shape
    if not steps:
        return np.full((rows, len(quantiles), cycle_steps), np.nan)
    padded = np.concatenate([whole, np.full((rows, WEEK_STEPS), np.nan)], axis=1)
    shapes = np.stack(
        [_repeated(profile(padded, DAY_STEPS, DAYS), steps), profile(padded, WEEK_STEPS, WEEKS), _flat(padded)]
    )
    recent = slice(max(steps - WEEK_STEPS, 0), steps)
    actual = np.where(seen, whole, np.nan)[:, recent]
    small = offset(_mean(actual)[:, None])
    ratios = np.log(actual + small) - np.log(shapes[:, :, recent] + small)
    factors = np.exp(np.nan_to_num(_quantiles(ratios, quantiles)))
    ahead = shapes[:, :, steps : steps + cycle_steps]
    best = _losses(actual, shapes[:, :, recent], small, factors, quantiles)
    best[~np.isfinite(ahead).all(axis=2)] = np.inf
    best[_FLAT] = np.minimum(best[_FLAT], np.finfo(np.float64).max)
    chosen, row = best.argmin(axis=0), np.arange(rows)
    found = (ahead[chosen, row] + small)[:, None] * factors[chosen, row][:, :, None] - small[:, None]
    return np.asarray(np.maximum(found, 0.0))


def _repeated(day: Floats, steps: int) -> Floats:
    """The profile of the day, of which only the coming day is known, on all days ahead."""
    found = day.copy()
    for begin in range(steps + DAY_STEPS, found.shape[1], DAY_STEPS):
        part = found[:, begin : begin + DAY_STEPS]
        part[:] = found[:, steps : steps + part.shape[1]]
    return found


def _flat(padded: Floats) -> Floats:
    """The median of the day before, at each midnight of the history's own days, for the day that follows it."""
    found = np.full(padded.shape, np.nan)
    steps = padded.shape[1] - WEEK_STEPS
    for end in range(steps, 0, -DAY_STEPS):
        before = padded[:, max(end - DAY_STEPS, 0) : end]
        ahead = slice(end, None) if end == steps else slice(end, end + DAY_STEPS)
        found[:, ahead] = _quantiles(before, (0.5,))
    # A first day has none before it and is compared with the newest level, so that a young workload has a distribution.
    return np.where(np.isfinite(found), found, found[:, -1:])


def _mean(values: Floats) -> Floats:
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(known.sum(axis=1), 1))


def _quantiles(values: Floats, quantiles: Sequence[float]) -> Floats:
    """The quantiles along the last axis without nan; nan where there is nothing else."""
    ordered = np.sort(values, axis=-1)
    count = np.isfinite(values).sum(axis=-1, keepdims=True)
    return np.take_along_axis(ordered, rank_of(np.asarray(quantiles), count), axis=-1)


def _losses(actual: Floats, expected: Floats, small: Floats, factors: Floats, quantiles: Sequence[float]) -> Floats:
    """The mean pinball loss of each shape over all quantiles (shape, row); infinite with too few comparisons."""
    total = np.zeros(expected.shape[:2])
    known = np.isfinite(actual) & np.isfinite(expected)
    count = known.sum(axis=2)
    for index, quantile in enumerate(quantiles):
        forecast = (expected + small) * factors[:, :, index, None] - small
        total += np.where(known, pinball(actual, forecast, np.asarray(quantile)), 0.0).sum(axis=2)
    enough = count >= np.minimum(_LEAST_STEPS, np.isfinite(actual).sum(axis=1))
    return np.where(enough & (count > 0), total / np.maximum(count, 1), np.inf)
