"""Demand on a regular grid: the highest sample of each step, and gaps filled from the same phase of the past.

Contract: within a step the highest sample counts, so that a spike of a minute is not averaged away. Samples that are
negative or no finite number are gaps. A gap is filled from the same time of the day before, else of the week before,
else with the last value: never from what came later, and no history is discarded for it.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from spillway.domain.forecast.spec import DAY_STEPS, STEP_SECONDS, WEEK_STEPS, Flags, Floats

GRID_SECONDS = 3600
"""A grid starts at a whole hour, because the models of a forecast are renewed at whole hours."""

_SMALL: Final = 1e-3
_TINY: Final = 1e-200
"""For demand that is 0."""


def on_grid(times: ArrayLike, values: ArrayLike, *, end: float | None = None) -> tuple[float, Floats]:
    """The start of the grid in Unix seconds, and the highest value in each of its steps; nan where there is none.

    The grid ends with the last sample, or before `end`, whose step is the first one that is not known yet.
    """
    at, seen = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    good = np.isfinite(at) & np.isfinite(seen) & (np.nan_to_num(seen) >= 0)
    slots, seen = np.floor(at[good] / STEP_SECONDS).astype(np.int64), seen[good]
    limit = None if end is None else int(end // STEP_SECONDS)
    if limit is not None:
        before = slots < limit
        slots, seen = slots[before], seen[before]
    if not slots.size:
        return 0.0, np.empty(0)
    start = int(slots.min()) * STEP_SECONDS // GRID_SECONDS * GRID_SECONDS
    first = start // STEP_SECONDS
    steps = (int(slots.max()) + 1 if limit is None else limit) - first
    grid = np.full(steps, -np.inf)
    np.maximum.at(grid, slots - first, seen)
    return float(start), np.where(np.isfinite(grid), grid, np.nan)


def offset(mean: Floats) -> Floats:
    """What is added to demand before logarithms and ratios are taken of it: a small part of this mean of it."""
    return _SMALL * mean + _TINY


def filled(values: Floats) -> tuple[Floats, Flags]:
    """The series (one per row) without gaps after their first value, and which of their steps were seen."""
    seen = np.isfinite(values)
    whole = np.where(seen, values, np.nan)
    if seen.all():
        return whole, seen
    for begin in range(0, whole.shape[1], DAY_STEPS):
        day = whole[:, begin : begin + DAY_STEPS]
        for back in (DAY_STEPS, WEEK_STEPS):
            if begin >= back:
                before = whole[:, begin - back : begin - back + day.shape[1]]
                np.copyto(day, before, where=~np.isfinite(day))
        _hold_last(whole, begin, begin + day.shape[1])
    return whole, seen


def _hold_last(whole: Floats, begin: int, end: int) -> None:
    """Fill what is still missing in these columns with the last value before it."""
    first = max(begin - 1, 0)
    part = whole[:, first:end]
    known = np.isfinite(part)
    if known.all():
        return
    last = np.maximum.accumulate(np.where(known, np.arange(part.shape[1]), 0), axis=1)
    part[:] = np.take_along_axis(part, last, axis=1)
