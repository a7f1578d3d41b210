"""What forecasts asked for in the past, for the time in which they are out of date.

Contract: no clock of its own. While forecasts are up to date, the units that they ask for are noted, by steps of five
minutes. While they are not, the headroom is no less than they asked for last, without what the governed workloads have
taken of it since; and no less than they asked for at this time of the day before, so that an outage that begins while
demand is low does not leave the next peak without headroom. Both count for a day at most: then only reactive scaling
and the bounds of the policy are left. A process that has just begun to lead knows no day before, and its day begins
when it finds the headroom that its predecessor has left.
"""

from dataclasses import dataclass, field
from typing import Final

from spillway.domain.headroom.hold import WantedUnits
from spillway.domain.model.units import DAY_SECONDS

STEP_SECONDS: Final = 300.0
AROUND_SECONDS: Final = 900.0
"""How much earlier or later than the day before the same demand may come."""


@dataclass(slots=True)
class PastForecasts:
    """What the forecasts of one policy asked for."""

    _last: WantedUnits | None = None
    _by_step: dict[int, int] = field(default_factory=dict)
    """The most units of each step of the last day, by the number of the step."""

    def note(self, units: int, now: float, *, replicas: int) -> None:
        """Note what up-to-date forecasts ask for; `replicas` are those of the governed workloads, in units."""
        self._last = WantedUnits(now, units, replicas)
        self.learn(units, now)

    def learn(self, units: int, now: float) -> None:
        """Note for the next day what those forecasts ask for that are up to date while others are not."""
        step, oldest = _step(now), _step(now - DAY_SECONDS - AROUND_SECONDS)
        if step not in self._by_step:
            self._by_step = {known: most for known, most in self._by_step.items() if known >= oldest}
        self._by_step[step] = max(units, self._by_step.get(step, 0))

    def units(self, now: float, *, replicas: int) -> int:
        """The units to keep while forecasts are out of date."""
        last, then = self._last, now - DAY_SECONDS
        if last is None or last.at <= then:
            return 0
        steps = range(_step(then - AROUND_SECONDS), _step(then + AROUND_SECONDS) + 1)
        day_before = max(self._by_step.get(step, 0) for step in steps)
        return max(day_before, last.pods - max(replicas - last.replicas, 0))


def _step(at: float) -> int:
    return int(at // STEP_SECONDS)
