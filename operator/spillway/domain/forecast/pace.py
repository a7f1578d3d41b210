"""The pace of demand: how fast the time in which demand is recorded and forecast runs beside the clock.

Contract: pure. Both times are Unix seconds. A cluster has one time, so by default both are the same. The demo plays a
whole day within minutes: there a step of the grid is over within seconds of the clock, and the forecaster, its grid,
its days and the durations of a policy stay what they are.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """The relation of the two times."""

    speed: float = 1.0
    """Seconds of demand in a second of the clock."""
    meets: float = 0.0
    """When both times are the same, in Unix seconds; before it, a faster demand is further in the past."""

    def demand_time(self, clock: float) -> float:
        """The time of demand at a time of the clock."""
        return self.meets + (clock - self.meets) * self.speed

    def clock_time(self, demand: float) -> float:
        """The time of the clock at a time of demand."""
        return self.meets + (demand - self.meets) / self.speed
