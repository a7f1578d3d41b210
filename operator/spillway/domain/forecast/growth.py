"""The growth just after the span of a forecast: by how much its maximum rises if the span ends a little later.

Contract: pure. At each origin it is the weighted median of what the same time of the last days had, as a ratio of at
least 1. It is not calibrated, so it decides about no capacity by itself: it tells whether capacity that the forecast no
longer needs will be needed again at once. Where no day before is known it is 1.
"""

from typing import Final

import numpy as np

from spillway.domain.forecast.profile import DAYS, profile
from spillway.domain.forecast.spec import DAY_STEPS, STEP_SECONDS, Floats, ForecastSpec
from spillway.domain.forecast.window import maximum_ahead

AFTER_SECONDS: Final = 900.0
"""How much later the span ends."""
_AFTER_STEPS: Final = int(AFTER_SECONDS // STEP_SECONDS)


def growth(values: Floats, small: Floats, spec: ForecastSpec) -> Floats:
    """The growth at each origin (row, origin).

    `values` are without gaps, and `small` is an amount of demand that means nothing.
    """
    return _known(profile(_growths(values, small, spec), DAY_STEPS, DAYS))


def present_growth(values: Floats, small: Floats, spec: ForecastSpec) -> Floats:
    """The growth at the last origin (row), of which only the origins at the same time of day matter."""
    same_time = _growths(values, small, spec)[:, values.shape[1] % DAY_STEPS :: DAY_STEPS]
    return _known(profile(same_time, 1, DAYS)[:, -1])


def _growths(values: Floats, small: Floats, spec: ForecastSpec) -> Floats:
    """What each origin had afterwards."""
    within = maximum_ahead(values, spec.first, spec.end)
    return (maximum_ahead(values, spec.first, spec.end + _AFTER_STEPS) + small) / (within + small)


def _known(found: Floats) -> Floats:
    return np.where(np.isfinite(found), found, 1.0)
