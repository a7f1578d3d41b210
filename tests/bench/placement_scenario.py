"""The days of `bench_placement`: what every workload asks for, on fourteen days of history and on the one lived. Pure.

Contract: the same seed gives the same days on every machine. Workloads are those of `demo/scenario.py`; each date has a
noise of its own: a level for the whole day, a shift of its peaks, an unrest from step to step. Replicas follow the load
as an HPA lets them: up at once, down when the last quarter of an hour needed no more.
"""

import math
import random
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.scenario import DAY_BEGINS_AT, HOURS, Day, Workload, desired_replicas, plan_day

STEP_MINUTES: Final = 5
STEPS: Final = 24 * 60 // STEP_MINUTES
STEPS_PER_HOUR: Final = 60 // STEP_MINUTES
HISTORY_DAYS: Final = 14
LIVED: Final = HISTORY_DAYS
"""The date that is lived: the one after the history."""

LEVEL_NOISE: Final = 0.06
SHIFT_HOURS: Final = 0.25
STEP_NOISE: Final = 0.02
DOWN_AFTER_STEPS: Final = 3

Replicas = NDArray[np.int64]
"""Workloads by steps."""


@dataclass(frozen=True, slots=True)
class Dates:
    """The workloads and their replicas on every date."""

    seed: int
    day: Day

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(workload.name for workload in self.day.workloads)

    def calendar(self, date: int) -> Replicas:
        """The replicas of every workload from midnight to midnight of that date."""
        return np.array([self._replicas(workload, date) for workload in self.day.workloads], dtype=np.int64)

    def lived(self) -> Replicas:
        """The replicas of the lived day, which begins at `DAY_BEGINS_AT`."""
        return np.roll(self.calendar(LIVED), -round(DAY_BEGINS_AT * STEPS_PER_HOUR), axis=1)

    def _replicas(self, workload: Workload, date: int) -> list[int]:
        chance = random.Random(f"{self.seed}/{workload.name}/{date}")
        level = math.exp(chance.gauss(0.0, LEVEL_NOISE))
        shift = chance.gauss(0.0, SHIFT_HOURS)
        wanted = []
        for step in range(STEPS):
            hour = (step / STEPS_PER_HOUR + shift) % HOURS
            unrest = 1.0 + chance.gauss(0.0, STEP_NOISE)
            wanted.append(desired_replicas(workload, workload.load(hour) * level * unrest))
        return [max(wanted[step - back] for back in range(DOWN_AFTER_STEPS)) for step in range(STEPS)]


def plan_dates(*, seed: int = 1, workloads: int = 20) -> Dates:
    """The dates of that seed."""
    return Dates(seed, plan_day(seed=seed, workloads=workloads))


def step_at(hours: float) -> int:
    """The step in which so many hours since the day began lie; the last one afterwards."""
    return min(max(int(hours * STEPS_PER_HOUR), 0), STEPS - 1)
