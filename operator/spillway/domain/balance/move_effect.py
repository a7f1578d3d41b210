"""Whether the moves for one reason helped, and how long the next ones for it wait if they did not.

Contract: no clock of its own. Moves helped if what they were to lower has fallen. Those for the load also helped if the
busier of the two nodes of a move is less loaded than before, in the mean of all: the difference between the most and
the least loaded of all nodes can rise meanwhile by what happens on two others. Each time in a row that moves did not
help, the pause doubles, up to `LONGEST_PAUSE_SECONDS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from types import MappingProxyType
from typing import Final

from spillway.domain.model.backoff import backoff_seconds
from spillway.domain.model.names import NodeName

EFFECT_SECONDS: Final = 180.0
"""After so long the load shows what moves did."""
LONGEST_PAUSE_SECONDS: Final = 3600.0
LEAST_EFFECT: Final = 1.0
"""Percentage points by which moves must have lowered what they were made for, to count as a help."""
NodePercent = Mapping[NodeName, float]
"""The load of each node as it was read, in percent."""
NO_LOADS: Final[NodePercent] = MappingProxyType({})


@dataclass(slots=True)
class MoveEffect:
    """What is remembered of the moves for one reason."""

    before: float = 0.0
    """What the last moves were to lower, before them."""
    judged: bool = True
    """Whether it was looked at what the last moves did."""
    failures: int = 0
    """How often in a row moves did not help."""
    paused_until: float = 0.0
    _loads: NodePercent = field(default_factory=lambda: NO_LOADS)
    """Before the last moves."""
    _ends: list[tuple[NodeName, NodeName]] = field(default_factory=list)
    """The two nodes of each of the last moves that succeeded."""

    def begun(self, before: float, loads: NodePercent = NO_LOADS) -> None:
        """Note that moves have begun; `loads` are given for those that are made for the load."""
        self.before = before
        self._loads = loads
        self._ends.clear()

    def moved(self, source: NodeName, to: NodeName) -> None:
        """Note that a move succeeded, and where the pod came to; an empty name where that is not known."""
        self.judged = False
        if source in self._loads and to in self._loads:
            self._ends.append((source, to))

    def pauses(self, now: float) -> bool:
        """Whether the next moves wait; not for longer than the longest pause, even if the clock is set back."""
        return now < self.paused_until <= now + LONGEST_PAUSE_SECONDS

    def judge(self, value: float, now: float, loads: NodePercent = NO_LOADS) -> float:
        """Judge the last moves by the present values; the seconds for which the next ones wait, 0.0 if they helped."""
        self.judged = True
        if value <= self.before - LEAST_EFFECT or self._relief(loads) >= LEAST_EFFECT:
            self.failures = 0
            return 0.0
        self.failures += 1
        pause = backoff_seconds(self.failures, first=EFFECT_SECONDS, longest=LONGEST_PAUSE_SECONDS)
        self.paused_until = now + pause
        return pause

    def _relief(self, loads: NodePercent) -> float:
        """By how many points the busier node of a move is less loaded, in the mean; 0.0 where nothing is known."""
        known = [ends for ends in self._ends if all(name in loads for name in ends)]
        return fmean(_busier(self._loads, ends) - _busier(loads, ends) for ends in known) if known else 0.0


def _busier(loads: NodePercent, ends: tuple[NodeName, NodeName]) -> float:
    return max(loads[name] for name in ends)
