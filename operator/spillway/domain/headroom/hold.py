"""The hold of a headroom that is to shrink: it shrinks to the most that was wanted within the last while.

Contract: pure. It grows at once. A bound that is lowered counts at once. What exists when a process begins to lead
counts as wanted then, so a new leader, which has no forecast yet, takes nothing away for as long.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hold:
    """What was wanted within the last while: (Unix seconds, units), each more than all later ones."""

    wanted: tuple[tuple[float, int], ...] = ()

    def then(self, pods: int, now: float, *, seconds: float) -> "Hold":
        """With what is wanted at `now`; what was wanted longer ago than `seconds` is forgotten."""
        recent = tuple(one for one in self.wanted if now - one[0] < seconds and one[1] > pods)
        return Hold((*recent, (now, pods)))

    def shrinks_at(self, seconds: float) -> float:
        """When it shrinks next if nothing else is wanted until then, Unix seconds; infinite if it does not."""
        return self.wanted[0][0] + seconds if len(self.wanted) > 1 else float("inf")

    def pods(self, most: int) -> int:
        """The units to keep, at most `most`."""
        return min(max((pods for _, pods in self.wanted), default=0), most)
