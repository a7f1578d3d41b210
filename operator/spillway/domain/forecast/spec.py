"""What is to be forecast: the span ahead, the length of a step, and the price of too little against too much.

Contract: a forecast at time `t` is about the demand within [t + start-up, t + window). Both are rounded outwards to
whole steps, so a start-up of three minutes looks at the step that has begun at `t` as well.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spillway.domain.model.units import DAY_SECONDS

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

STEP_SECONDS: Final = 300
"""The grid of every forecast."""
HOUR_STEPS: Final = 3600 // STEP_SECONDS
DAY_STEPS: Final = 24 * HOUR_STEPS
WEEK_STEPS: Final = 7 * DAY_STEPS
LONGEST_WINDOW_SECONDS: Final = DAY_SECONDS
DEFAULT_PRICE: Final = 10.0


@dataclass(frozen=True, slots=True)
class ForecastSpec:
    """The span that a forecast covers, and what its errors cost.

    Raises:
        ValueError: a value is out of its range.
    """

    startup_seconds: float = 900.0
    """The time from a decision until its replicas serve; the covered span begins there."""
    window_seconds: float = 3600.0
    """The end of the covered span; more than the start-up, and a day at most."""
    price: float = DEFAULT_PRICE
    """What a unit of demand that is not served costs, in units of capacity that is served and not used; above 0."""

    def __post_init__(self) -> None:
        if not 0 <= self.startup_seconds < self.window_seconds <= LONGEST_WINDOW_SECONDS:
            raise ValueError(
                "a forecast needs 0 <= start-up < window <= 24 hours, not a start-up of "
                f"{self.startup_seconds:g} s and a window of {self.window_seconds:g} s"
            )
        if not (math.isfinite(self.price) and self.price > 0):
            raise ValueError(f"the price of demand that is not served must be above 0, not {self.price:g}")

    @property
    def first(self) -> int:
        """The first step of the span, counted from the step that begins at the time of the forecast."""
        return int(self.startup_seconds // STEP_SECONDS)

    @property
    def end(self) -> int:
        """The step at which the span has ended."""
        return math.ceil(self.window_seconds / STEP_SECONDS)

    def beyond(self, seconds: float) -> "ForecastSpec":
        """The span until the last end that this one has if it is made again at each step within `seconds`."""
        end = self.end + math.ceil(seconds / STEP_SECONDS)
        return replace(self, window_seconds=min(float(end * STEP_SECONDS), LONGEST_WINDOW_SECONDS))
