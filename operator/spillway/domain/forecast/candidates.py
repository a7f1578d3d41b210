"""The candidates: six simple forecasts of the highest demand in the span ahead, at every origin of the past.

Contract: each forecasts the maximum directly, so that a spike of minutes is not smoothed away, and uses only what its
origin knows. The profiles take the maxima of the same span of earlier days or weeks, as they are and as multiples of
the level at that time; where a week's profile knows nothing the day's counts, and where that knows nothing the present
value. The last two know only the present. `candidate_weights` weighs them, and `choice_by_cost` chooses what is served.
"""

from typing import Final

import numpy as np

from spillway.domain.forecast.profile import DAYS, WEEKS, profile
from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS, WEEK_STEPS, Floats
from spillway.domain.forecast.window import maximum_behind, mean_behind

NAMES: Final = ("day", "day by level", "week", "week by level", "last value", "last hour")
LAST_VALUE: Final = NAMES.index("last value")
"""The candidate that the others are compared with."""
_LEVEL_STEPS: Final = 3
_LAST_STEPS: Final = 2
_MOST_LEVELS: Final = 1000.0
"""The highest multiple of a level: after zeros it may be anything."""


def candidates_of(values: Floats, ahead: Floats, small: Floats) -> Floats:
    """The forecasts: one layer for each candidate, with a row for each series and a column for each origin.

    `values` are without gaps, `ahead` is the maximum that is to be forecast, and `small` is an amount of demand that
    means nothing; it is added to levels before something is divided by them.
    """
    last = maximum_behind(values, _LAST_STEPS)
    level = mean_behind(values, _LEVEL_STEPS) + small
    ratio = np.minimum(ahead / level, _MOST_LEVELS)
    found = np.empty((len(NAMES), *ahead.shape))
    found[0] = _or(profile(ahead, DAY_STEPS, DAYS), last)
    found[1] = _or(profile(ratio, DAY_STEPS, DAYS) * level, last)
    found[2] = _or(profile(ahead, WEEK_STEPS, WEEKS), found[0])
    found[3] = _or(profile(ratio, WEEK_STEPS, WEEKS) * level, found[1])
    found[4] = last
    found[5] = maximum_behind(values, HOUR_STEPS)
    return found


def _or(wanted: Floats, otherwise: Floats) -> Floats:
    return np.where(np.isfinite(wanted), wanted, otherwise)
