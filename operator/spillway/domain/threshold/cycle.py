"""The coming cycle: how many replicas each step of the next day or week will need, from the history.

Contract: samples at any times, in any order, with gaps; each step of a cycle is compared across all cycles of the
history, and the plan assumes the given quantile of the samples there. Within a step the highest sample counts, so that
a spike of a minute is not averaged away. A step that a cycle lacks is left out of that cycle and no history is thrown
away for it; one that no cycle has is filled from its neighbours. A cycle of which the history has fewer than two (a
week, before two weeks are there, or with half of their steps) is made of days. The age of a history is its coverage,
the steps that have samples: with less than two days of these (a tenth may be missing) there is no answer, however long
ago the first one is. Days are those of UTC; a cycle starts at its step 0 at a whole multiple of its length since the
epoch.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.threshold.demand import Series

QUANTILE: Final = 0.8
"""The quantile of demand that a plan assumes of each step."""

LEAST_HISTORY_SECONDS: Final = 2 * DAY_SECONDS

LEAST_COVERAGE: Final = 0.9
"""The share of these two days that must have samples, as a scrape may fail."""
_LEAST_SEEN: Final = 0.5
"""The share of the steps of a day that the history must have seen at all, and of two weeks to count as such."""


@dataclass(frozen=True, slots=True, eq=False)
class Cycle:
    """The assumed demand of one workload."""

    values: Series
    """The replicas of each step of the cycle."""
    confidence: int
    """Percent: how well each past cycle agrees with the others, times the share of the steps that were seen."""


def cycle_of(
    times: ArrayLike,
    values: ArrayLike,
    *,
    step_seconds: int,
    cycle_seconds: int = DAY_SECONDS,
    quantile: float = QUANTILE,
    representative_seconds: float = 0.0,
) -> Cycle | None:
    """The coming cycle by these samples, or None with less than two days of samples.

    `times` in Unix seconds. Samples that are not finite or below 0 are gaps. The confidence of a history that covers
    less than `representative_seconds` falls with what it lacks.

    Raises:
        ValueError: a cycle that is no whole number of days, a day that is no whole number of steps, or a quantile
            outside 0 to 1.
    """
    if step_seconds <= 0 or DAY_SECONDS % step_seconds or cycle_seconds <= 0 or cycle_seconds % DAY_SECONDS:
        raise ValueError("a cycle must be whole days, and a day whole steps, for example 86400 and 300 seconds")
    if not 0 <= quantile <= 1:
        raise ValueError(f"a quantile must be between 0 and 1, not {quantile}")
    at, seen = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    good = np.isfinite(at) & np.isfinite(seen) & (np.nan_to_num(seen) >= 0)
    at, seen = at[good], seen[good]
    if not at.size:
        return None
    span = float(at.max() - at.min()) + step_seconds
    covered = np.unique(np.floor(at / step_seconds)).size * step_seconds
    if span < LEAST_HISTORY_SECONDS or covered < LEAST_HISTORY_SECONDS * LEAST_COVERAGE:
        return None
    two = 2 * cycle_seconds
    length = cycle_seconds if span >= two and covered >= two * _LEAST_SEEN else DAY_SECONDS
    rows = _cycles(at, seen, step_seconds, length)
    days = rows.reshape(-1, DAY_SECONDS // step_seconds)
    if float(np.isfinite(days).any(axis=0).mean()) < _LEAST_SEEN:
        return None
    profile = usual_day(rows, quantile)
    return Cycle(np.tile(profile, cycle_seconds // length), _confidence(rows, representative_seconds / step_seconds))


def _cycles(at: Series, seen: Series, step_seconds: int, length: int) -> NDArray[np.float64]:
    """One row a cycle, one column a step; nan where nothing was seen."""
    steps = length // step_seconds
    slot = np.floor(at / step_seconds).astype(np.int64)
    first = int(slot.min()) // steps * steps
    rows = math.ceil((int(slot.max()) - first + 1) / steps)
    grid = np.full(rows * steps, -np.inf)
    np.maximum.at(grid, slot - first, seen)
    return np.where(np.isfinite(grid), grid, np.nan).reshape(rows, steps)


def usual_day(rows: NDArray[np.float64], quantile: float) -> Series:
    """The quantile of each column; one that no row has (nan) is filled from its neighbours, of which there must be one.

    `rows` are days or weeks, with a column for each step.
    """
    found = np.isfinite(rows).any(axis=0)
    profile = np.full(rows.shape[1], np.nan)
    profile[found] = _quantile(rows[:, found], quantile)
    if not found.all():
        steps = np.arange(rows.shape[1])
        profile = np.interp(steps, steps[found], profile[found], period=rows.shape[1])
    return profile


def _quantile(rows: NDArray[np.float64], quantile: float) -> Series:
    """`numpy.nanquantile` over the first axis, for columns that are not all nan: that one takes 30 times as long."""
    ordered = np.sort(rows, axis=0)
    last = np.isfinite(rows).sum(axis=0) - 1
    position = quantile * last
    below = np.floor(position).astype(np.int64)
    column = np.arange(rows.shape[1])
    low, high = ordered[below, column], ordered[np.minimum(below + 1, last), column]
    between: Series = low + (high - low) * (position - below)
    return between


def _confidence(rows: NDArray[np.float64], representative_steps: float) -> int:
    """The agreement of each cycle with the median of the others (their common part over their union), times coverage.

    Coverage is the share of the steps seen, of those from the first to the last, or of `representative_steps` if these
    are more.
    """
    common = either = 0.0
    for index, row in enumerate(rows):
        others = np.delete(rows, index, axis=0)
        both = np.isfinite(row) & np.isfinite(others).any(axis=0)
        if both.any():
            expected = _quantile(others[:, both], 0.5)
            common += float(np.minimum(row[both], expected).sum())
            either += float(np.maximum(row[both], expected).sum())
    alike = common / either if either > 0 else 1.0
    # The first and the last cycle are cut by the ends of the history; what lies outside is no gap.
    flat = np.isfinite(rows).ravel()
    inside = np.flatnonzero(flat)
    seen = inside.size / max(float(inside[-1] - inside[0] + 1), representative_steps)
    return round(100 * alike * seen)
