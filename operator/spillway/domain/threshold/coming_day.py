"""The demand of the coming day that a plan assumes: the forecast of that day, or the usual day of the history.

Contract: pure and deterministic. Both are a quantile of demand at each step. Both are made again for each of the last
days, from what was known at its begin, and compared with that day by their pinball loss; newer days count more. The
forecast is used if its loss is lower by at least a twentieth. A history that is too short to compare them, or that
ended too long ago to say which day is the coming one, gives the usual day.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from spillway.domain.forecast.candidate_weights import pinball
from spillway.domain.forecast.distribution import coming_cycle, past_cycles
from spillway.domain.forecast.grid import on_grid
from spillway.domain.forecast.refresh import LONGEST_HISTORY_SECONDS
from spillway.domain.forecast.spec import DAY_STEPS, STEP_SECONDS
from spillway.domain.model.units import HOUR_SECONDS
from spillway.domain.threshold.basis import Basis
from spillway.domain.threshold.cycle import QUANTILE, usual_day
from spillway.domain.threshold.demand import Series
from spillway.domain.threshold.history import Floats

STALE_SECONDS: Final = float(HOUR_SECONDS)
"""A history that ended longer ago is not continued."""
COMPARED_DAYS: Final = 7
LEAST_COMPARED_DAYS: Final = 3
_LEARNT_DAYS: Final = 2
"""The days that are known before the first one that is compared: fewer make no usual day."""
_LEAST_SEEN: Final = 0.5
"""The share of a day's steps that must have been seen for the day to be compared."""
_BETTER: Final = 0.95
_HALF_LIFE_DAYS: Final = 2.0
MOST_TIMES: Final = 10.0
"""A ratio of losses above this is told as this: beside a loss of nearly nothing it has no limit."""


@dataclass(frozen=True, slots=True, eq=False)
class ComingDay:
    """The demand that is assumed of the coming day."""

    replicas: Series
    """At each step of a day of UTC."""
    basis: Basis
    loss_ratio: float | None = None
    """The loss of forecasts divided by that of usual days; None where they were not compared."""


def loss_percent(ratio: float | None) -> int | None:
    """A ratio of losses in whole percent, as a status tells it."""
    return None if ratio is None else round(100 * min(ratio, MOST_TIMES))


def coming_day(usual: Series, times: Floats, replicas: Floats, *, now: float | None = None) -> ComingDay:
    """The coming day of a history, of which `usual` is the usual day.

    `times` in Unix seconds; `now` is the time of the plan, None for the end of the history.
    """
    start, grid = on_grid(times, replicas)
    end = start + grid.size * STEP_SECONDS
    grid = grid[-int(LONGEST_HISTORY_SECONDS // STEP_SECONDS) :]
    if now is not None and now - end > STALE_SECONDS:
        return ComingDay(usual, Basis.STALE_HISTORY)
    compared = _losses(grid)
    if len(compared) < LEAST_COMPARED_DAYS:
        return ComingDay(usual, Basis.SHORT_HISTORY)
    weights = 0.5 ** (np.array([one.days_ago for one in compared]) / _HALF_LIFE_DAYS)
    forecast, past = (weights @ np.array([(one.forecast, one.usual) for one in compared])).tolist()
    ratio = forecast / past if past > 0 else 1.0
    if ratio >= _BETTER:
        return ComingDay(usual, Basis.PAST_DAYS, ratio)
    coming = coming_cycle(grid[None], quantiles=(QUANTILE,))[0, 0]
    first = int(end // STEP_SECONDS) % DAY_STEPS
    # After a rise from nearly nothing a forecast has no limit; a plan never assumes more than has been seen.
    return ComingDay(np.roll(np.minimum(coming, np.nanmax(grid)), first), Basis.FORECAST, ratio)


@dataclass(frozen=True, slots=True)
class _Losses:
    """What both would have lost on one day."""

    days_ago: int
    forecast: float
    usual: float


def _losses(grid: Floats) -> list[_Losses]:
    """Both compared with each of the last days of which enough is known."""
    days = min(COMPARED_DAYS, grid.size // DAY_STEPS - _LEARNT_DAYS)
    if days < LEAST_COMPARED_DAYS:
        return []
    forecasts = past_cycles(grid[None], quantile=QUANTILE, days=days)[0]
    rows, found = grid[grid.size % DAY_STEPS :].reshape(-1, DAY_STEPS), list[_Losses]()
    for days_ago in range(days):
        day, before = rows[-1 - days_ago], rows[: -1 - days_ago]
        if min(np.isfinite(day).mean(), np.isfinite(before).any(axis=0).mean()) >= _LEAST_SEEN:
            both = (forecasts[-1 - days_ago], usual_day(before, QUANTILE))
            found.append(_Losses(days_ago, *(_loss(day, one) for one in both)))
    return found


def _loss(day: Series, assumed: Series) -> float:
    seen = np.isfinite(day)
    return float(pinball(day[seen], assumed[seen], np.asarray(QUANTILE)).mean())
