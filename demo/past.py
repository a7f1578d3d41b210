"""The demand of the days before the played one, and of the played one: what Prometheus has to tell. Pure and seeded.

Contract: times are Unix seconds of demand, in which a day has 24 hours, however fast it is played. Each workload has a
usual day; every day, the played one as well, differs from it by a level and a delay of its own, and every minute has
noise. So the past does not tell the played day exactly. Days change in the valley, at the hour at which a run begins.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo.scenario import DAY_BEGINS_AT, HOURS, Day, Workload
from spillway.domain.model.units import DAY_SECONDS

PAST_DAYS: Final = 14
PER_CORE: Final = 100.0
"""Requests per second that take one core."""
MINUTE: Final = 60.0
DAY_LEVEL: Final = 0.05
DAY_DELAY_HOURS: Final = 0.2
MINUTE_NOISE: Final = 0.02
"""Standard deviations: of a day's level and of a minute's noise relative to the demand, and of a day's delay."""

_NOISE_MINUTES: Final = 4999
"""After so many minutes noise repeats, never at the same time of a day."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DemandOfDays:
    """The requests per second of each workload of a day; `begins` is the time of demand at which the day begins."""

    day: Day
    begins: float

    def at(self, workload: Workload, times: Floats) -> Floats:
        """The demand at each of `times`, of which none is before the past or later than a day after the played one."""
        usual = self._usual[workload.name]
        days, seconds = np.divmod(times - self.begins, DAY_SECONDS)
        row = days.astype(np.int64) + PAST_DAYS
        hours = DAY_BEGINS_AT + seconds / 3600 - usual.delay_hours[row]
        minute = (times // MINUTE).astype(np.int64) % usual.noise.size
        cores = np.interp(hours, usual.hours, usual.cores, period=HOURS) * usual.level[row]
        found: Floats = PER_CORE * cores * (1 + usual.noise[minute])
        return found

    def minutes(self, since: float, until: float) -> Floats:
        """The whole minutes from `since` on and before `until`."""
        return np.arange(math.ceil(since / MINUTE) * MINUTE, until, MINUTE)

    @property
    def past_begins(self) -> float:
        """The earliest time of which the demand is known."""
        return self.begins - PAST_DAYS * DAY_SECONDS

    @cached_property
    def _usual(self) -> dict[str, "_Days"]:
        return {one.name: _days(one, (self.day.seed, index)) for index, one in enumerate(self.day.workloads)}


@dataclass(frozen=True)
class _Days:
    """The days of one workload: its load by the hour of the played day, and how each day differs from that one."""

    hours: Floats
    cores: Floats
    level: Floats
    delay_hours: Floats
    noise: Floats


class Differences(NamedTuple):
    """How days differ from a usual one: each by a factor and a delay, and each minute by a part of the demand."""

    level: Floats
    delay: Floats
    noise: Floats


def differences(seed: tuple[int, int], days: int, *, delay: float, minutes: int) -> Differences:
    """The differences of so many days; `delay` is the standard deviation, in the unit of the result."""
    dice = np.random.default_rng(seed)
    level = np.exp(dice.normal(0.0, DAY_LEVEL, days))
    return Differences(level, dice.normal(0.0, delay, days), dice.normal(0.0, MINUTE_NOISE, minutes))


def _days(workload: Workload, seed: tuple[int, int]) -> _Days:
    level, delay, noise = differences(seed, PAST_DAYS + 2, delay=DAY_DELAY_HOURS, minutes=_NOISE_MINUTES)
    hours = np.arange(0.0, HOURS, MINUTE / 3600)
    cores = np.array([workload.load(hour) for hour in hours.tolist()])
    # The load of the played day is given: so the other days differ from it as much as from one another.
    return _Days(hours, cores, level / level[PAST_DAYS], delay - delay[PAST_DAYS], noise)
