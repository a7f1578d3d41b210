"""Whether what is read for a ZonalBalance beside the load of its nodes is known.

Contract: pure. One failed reading says little, so something is unknown only if no reading has been good for as long as
`load.staleAfter` says; the next good one ends that.
"""

from dataclasses import dataclass
from enum import StrEnum

from spillway.domain.balance.load import LoadProblem


class Measure(StrEnum):
    """What is read beside the load of nodes."""

    ZONE_LOAD = "ZoneLoad"
    """The load of each workload by zone, for `zonePreference`."""
    CLASS_USE = "ClassUse"
    """What pods use, for `classes`."""
    MOVE_USE = "MoveUse"
    """What pods use, for the moves of `rebalance`."""


@dataclass(frozen=True, slots=True)
class ReadingState:
    """The last readings of one measure."""

    good_at: float = 0.0
    """Unix seconds of the last good reading; 0.0 if there was none."""
    problem: LoadProblem | None = None
    """What is wrong with the newest reading; None if it was good."""

    def after(self, problem: LoadProblem | None, now: float) -> "ReadingState":
        """The state after one more reading."""
        return ReadingState(now) if problem is None else ReadingState(self.good_at, problem)

    def unknown(self, now: float, stale_after: float) -> LoadProblem | None:
        """Why it is not known; None while it is, or was less than `stale_after` seconds ago."""
        return None if self.good_at and now - self.good_at <= stale_after else self.problem
