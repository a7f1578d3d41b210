"""The demand of `bench_foresight`: a rise, a dip, a long plateau and a fall, at the same time of every day. Pure.

Contract: times are Unix seconds, demand is in replicas at the target load. The same seed gives the same demand for the
same start. Days differ: each has a level and a delay of its own, each minute has noise; the played day is one of them.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from demo.past import MINUTE, Floats, differences
from spillway.domain.model.units import DAY_SECONDS

PLAYED_MINUTES: Final = 40.0
"""How much of the shape is played; a shorter run compresses it."""
SHAPE: Final = (
    (0.0, 0.0),
    (13.0, 0.0),
    (17.0, 1.0),
    (20.0, 0.96),
    (21.5, 0.4),
    (27.5, 0.4),
    (30.0, 1.0),
    (32.0, 0.97),
    (570.0, 0.97),
    (600.0, 0.0),
)
"""Minutes from the start, and the level between valley and peak: nine hours of high demand a day. The dip is longer
than an HPA's 300 s of patience, so that a reactive one begins to scale down shortly before the second rise."""

DAY_DELAY_SECONDS: Final = 45.0
"""The standard deviation of a day's delay."""


@dataclass(frozen=True)
class ForeseenService:
    """One workload's demand."""

    name: str
    valley: float
    peak: float
    late_seconds: float
    """How much later than the others its shape comes."""


@dataclass(frozen=True)
class DailyDemand:
    """The demand of all services, for the days before `start` and the played part after it."""

    start: float
    minutes: float
    days: int
    seed: int
    services: tuple[ForeseenService, ...]

    def at(self, index: int, times: Floats) -> Floats:
        """The demand of a service at each of `times`, none of which is later than a day after the start."""
        service = self.services[index]
        days = self.days + 2
        level, delay, noise = differences((self.seed, index), days, delay=DAY_DELAY_SECONDS, minutes=days * 1440)
        since = times - self.start
        # Half a day before and after the start is the played day, so that no shape crosses the bounds of its day.
        day = np.floor(since / DAY_SECONDS + 0.5).astype(np.int64)
        within = since - day * DAY_SECONDS
        row = day + self.days
        late = (delay[row] + service.late_seconds) / MINUTE
        shape = _level(within / MINUTE * (PLAYED_MINUTES / self.minutes) - late)
        minute = since / MINUTE + self.days * 1440 + 720
        unrest = np.interp(minute, np.arange(noise.size), noise)
        smooth = service.valley + (service.peak * level[row] - service.valley) * shape
        found: Floats = smooth * (1 + unrest)
        return found

    def now(self, index: int, time: float) -> float:
        """The demand of a service at one time."""
        return float(self.at(index, np.array([time]))[0])

    def history(self, index: int) -> tuple[Floats, Floats]:
        """The times, a minute apart, and the values of the days before the start."""
        first = math.ceil((self.start - self.days * DAY_SECONDS) / MINUTE) * MINUTE
        times = np.arange(first, self.start, MINUTE)
        return times, self.at(index, times)


def services(count: int, seed: int) -> tuple[ForeseenService, ...]:
    """Services of 2 to 20 replicas."""
    dice = np.random.default_rng(seed)
    return tuple(
        ForeseenService(
            name=f"svc-{index}",
            valley=float(dice.uniform(1.6, 3.6)),
            peak=float(dice.uniform(8.0, 18.0)),
            late_seconds=float(dice.uniform(-30.0, 60.0)),
        )
        for index in range(count)
    )


def _level(minutes: Floats) -> Floats:
    """The shape between its corners; before the first and after the last one the valley."""
    corners, levels = zip(*SHAPE, strict=True)
    found: Floats = np.interp(minutes, corners, levels)
    return found
