"""The forecast demand of one workload, in replicas at the target load.

Contract: demand is a real number; `replicas_for` rounds it up to whole replicas. A forecast that is older than
`STALE_SECONDS` counts no more, because the span that it describes has begun.
"""

import math
from dataclasses import dataclass
from typing import Final

STALE_SECONDS: Final = 900.0
"""Three steps of the grid: one refresh may fail without an effect."""
_ROUNDING: Final = 1e-6
"""A demand of 3 and a rounding error is no demand of 4."""


def replicas_for(demand: float) -> int:
    """Whole replicas for a demand in replicas."""
    return max(0, math.ceil(demand - _ROUNDING))


@dataclass(frozen=True, slots=True)
class DemandForecast:
    """What one workload will need, as it was known at `made`."""

    made: float
    """Unix seconds: the end of the history that it follows from."""
    present: float
    """The demand in the last step, in replicas at the target load."""
    highest: float
    """The highest demand to provide for from one start-up ahead until the end of the window; at least `present`."""
    predictable: bool
    """Whether a forecast serves it, and not the present demand with headroom."""
    later: float = 0.0
    """The highest demand until one start-up after the end of the window: what `highest` may be by the time at which a
    node is ready that is ordered now. 0 where nothing asks for it, or neither a forecast nor an occasion tells it."""
    soon_after: float = 0.0
    """What the demand is expected to reach until a quarter of an hour after the window, by the days before; it adds no
    replica, and holds a scale-down back."""

    def is_stale(self, now: float) -> bool:
        """Whether it is too old to be used at `now`, Unix seconds."""
        return now - self.made > STALE_SECONDS
