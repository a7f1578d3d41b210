"""The profile of a day or a week: at each phase the weighted median of what the last periods had there.

Contract: the newer a period, the more it weighs, and one odd day (a holiday, an outage) does not move the profile. A
period that lacks the phase has no weight. Only earlier columns are used, so a profile at a column never knows it.
"""

from typing import Final

import numpy as np

from spillway.domain.forecast.median import weighted_median
from spillway.domain.forecast.spec import Floats

DAYS: Final = tuple(0.7**back for back in range(5))
"""The weights of the last days."""
WEEKS: Final = tuple(0.8**back for back in range(4))
"""The weights of the last weeks."""


def profile(values: Floats, period: int, weights: tuple[float, ...]) -> Floats:
    """The profile at each column; nan where no earlier period has the phase."""
    count = min(len(weights), (values.shape[1] - 1) // period)
    if count < 1:
        return np.full(values.shape, np.nan)
    layers = []
    for back in range(1, count + 1):
        layer = np.full(values.shape, np.nan)
        layer[:, back * period :] = values[:, : -back * period]
        layers.append(layer)
    return weighted_median(layers, weights[:count])
