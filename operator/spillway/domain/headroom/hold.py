"""The hold of a headroom that is to shrink: it shrinks to the most that was wanted within the last while.

Contract: pure. It grows at once. A bound that is lowered counts at once, and so does what the governed workloads have
taken of it since: their new replicas are what it was for. What exists when a process begins to lead counts as wanted
then, so a new leader, which has no forecast yet, takes nothing away for as long.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

HOLD_SECONDS: Final = 600.0
"""How long it is held, unless the operator is told otherwise."""


class WantedUnits(NamedTuple):
    """What was wanted at one time."""

    at: float
    """When, in Unix seconds."""
    pods: int
    """The units that were wanted."""
    replicas: int
    """The replicas that the governed workloads had then, in units."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What was wanted within the last while, each more units than all later ones."""

    wanted: tuple[WantedUnits, ...] = ()

    def then(self, pods: int, now: float, *, seconds: float, replicas: int = 0) -> "Hold":
        """With what is wanted at `now`; what was wanted longer ago than `seconds` is forgotten."""
        recent = tuple(one for one in self.wanted if now - one.at < seconds and one.pods > pods)
        return Hold((*recent, WantedUnits(now, pods, replicas)))

    def shrinks_at(self, seconds: float) -> float:
        """When it shrinks next if nothing else is wanted until then, Unix seconds; infinite if it does not."""
        return self.wanted[0].at + seconds if len(self.wanted) > 1 else float("inf")

    def pods(self, most: int) -> int:
        """The units to keep, at most `most`."""
        now = self.wanted[-1].replicas if self.wanted else 0
        return min(max((one.pods - max(now - one.replicas, 0) for one in self.wanted), default=0), most)
