"""The choice of what is served: the quantile, or the headroom over the present demand, that would have cost least.

Contract: the cost of a step is price x (demand that was not served) + (capacity that was not used), with the capacity
that would have been decided a start-up earlier, over the last ten days. A quantile of a maximum over a span buys more
than the price asks for, so the quantile does not follow from the price; it is found by what would have been served.
Without a forecast a multiple of the present demand is served, the cheapest one; a forecast is cheaper only if it beats
that by a twentieth.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS, Flags, Floats

QUANTILES: Final = (0.3, 0.5, 0.7, 0.85, 0.93, 0.98)
HEADROOMS: Final = (1.0, 1.05, 1.1, 1.15, 1.2, 1.27, 1.35, 1.5, 1.7, 2.0)
LOOK_BACK_HOURS: Final = 10 * DAY_STEPS // HOUR_STEPS
_NEEDED_GAIN: Final = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What is served in each hour; arrays of (row, hour)."""

    quantile: NDArray[np.int64]
    """The index of the cheapest quantile."""
    headroom: Floats
    """The cheapest multiple of the present demand."""
    cheaper: Flags
    """Whether the quantile is cheaper than the headroom by enough."""


def cheapest(mixtures: Floats, reactive: Floats, demand: Floats, *, first: int, price: float, hours: int) -> Choice:
    """The cheapest choices for `demand` (row, step), in which nan is not counted.

    `mixtures` are the forecasts (row, quantile, origin) and `reactive` is the present demand (row, origin). What is
    decided at an origin is in force `first` steps later.
    """
    counted = np.isfinite(demand)
    wanted = np.where(counted, demand, 0.0)

    def cost(capacity: Floats) -> Floats:
        over = np.zeros((demand.shape[0], hours * HOUR_STEPS))
        steps = demand.shape[1]
        np.subtract(capacity[:, : max(steps - first, 0)], wanted[:, first:], out=over[:, first:steps])
        over[:, first:steps] *= counted[:, first:]
        loss = np.maximum(over, -price * over).reshape(-1, hours, HOUR_STEPS).sum(axis=2)
        total = np.zeros((demand.shape[0], hours + 1))
        np.cumsum(loss, axis=1, out=total[:, 1:])
        # An hour knows the steps before it.
        recent = total[:, :-1].copy()
        recent[:, LOOK_BACK_HOURS:] -= total[:, : max(hours - LOOK_BACK_HOURS, 0)]
        return recent

    forecasts = np.stack([cost(mixtures[:, index]) for index in range(mixtures.shape[1])])
    headrooms = np.stack([cost(reactive * headroom) for headroom in HEADROOMS])
    return Choice(
        forecasts.argmin(axis=0),
        np.asarray(HEADROOMS)[headrooms.argmin(axis=0)],
        forecasts.min(axis=0) < _NEEDED_GAIN * headrooms.min(axis=0),
    )
