"""The distribution of demand over the coming cycle, step by step: what a threshold needs to know of the future.

Contract: pure and deterministic; the first step is the one that begins at the end of the history. Three shapes compete
for each row: the profile of the day, that of the week, and no shape at all (the median of the last day). Around each
the distribution is that of actual over expected demand in the last seven days, and the shape with the smallest pinball
loss on the same days is taken. Steps that were filled teach nothing. A row without any value is nan.

`past_cycles` answers for the days that are over, each by what was known at its begin, so that others can judge it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
    rows, steps = values.shape
    if not steps:
        return np.full((rows, len(quantiles), cycle_steps), np.nan)
    return _cycle_from(steps, _shapes(values), quantiles, cycle_steps)


def past_cycles(values: Floats, *, quantile: float, days: int) -> Floats:
    """What `coming_cycle` gave at the begin of each of the last days, shape (row, day, step), the newest day last.

    A day begins a multiple of 24 hours before the end of the history; those before which no whole day is known are
    left out.
    """
    rows, steps = values.shape
    begins = range(steps - min(days, steps // DAY_STEPS - 1) * DAY_STEPS, steps, DAY_STEPS)
    if not begins:
        return np.empty((rows, 0, DAY_STEPS))
    shapes = _shapes(values)
    return np.stack([_cycle_from(begin, shapes, (quantile,), DAY_STEPS)[:, 0] for begin in begins], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Shapes:
    """What each shape expects at each step, which follows from earlier steps alone."""

    actual: Floats
    """(row, step); nan where nothing was seen."""
    expected: Floats
    """(shape, row, step), with a week more than there is."""


def _shapes(values: Floats) -> _Shapes:
    whole, seen = filled(values)
    padded = np.concatenate([whole, np.full((whole.shape[0], WEEK_STEPS), np.nan)], axis=1)
    day = _repeated(profile(padded, DAY_STEPS, DAYS), whole.shape[1])
    expected = np.stack([day, profile(padded, WEEK_STEPS, WEEKS), _flat(padded)])
    return _Shapes(np.where(seen, whole, np.nan), expected)


def _cycle_from(begin: int, shapes: _Shapes, quantiles: Sequence[float], cycle_steps: int) -> Floats:
    """The quantiles of the cycle that begins at this step, by the steps before it."""
    recent = slice(max(begin - WEEK_STEPS, 0), begin)
    actual, expected = shapes.actual[:, recent], shapes.expected[:, :, recent].copy()
    # A first day has none before it and is compared with the newest level, so that a young workload has a distribution.
    newest = shapes.expected[_FLAT, :, begin, None]
    expected[_FLAT] = np.where(np.isfinite(expected[_FLAT]), expected[_FLAT], newest)
    small = offset(_mean(actual)[:, None])
    ratios = np.log(actual + small) - np.log(expected + small)
    factors = np.exp(np.nan_to_num(_quantiles(ratios, quantiles)))
    ahead = shapes.expected[:, :, begin : begin + cycle_steps]
    best = _losses(actual, expected, small, factors, quantiles)
    best[~np.isfinite(ahead).all(axis=2)] = np.inf
    best[_FLAT] = np.minimum(best[_FLAT], np.finfo(np.float64).max)
    chosen, row = best.argmin(axis=0), np.arange(actual.shape[0])
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
    return found


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
