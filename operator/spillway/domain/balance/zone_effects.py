"""Whether the moves for even zones made the zones of workloads more even, and for long enough.

Contract: pure, with no clock of its own. A move that succeeded is judged once its workload has settled: it helped if
the pods are less concentrated than before it, and than before each earlier move since the last one that helped. So a
workload whose pods the scheduler puts back into the same zones, or into two of them by turns, does not count as helped.
Neither does one that was as concentrated again, within `LASTING_SECONDS`, as before a move that made it less so: who
makes the zones of a workload uneven after each move gets ever fewer moves.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from spillway.domain.balance.skew import concentration
from spillway.domain.model.names import Zone

LASTING_SECONDS: Final = 3600.0
"""What a move has reached lasts if the zones are not as uneven again within this time, or after the workload's rest."""


class _Lowered(NamedTuple):
    """What moves that made a workload less concentrated have to keep."""

    before: float
    """The lowest concentration before one of them."""
    until: float
    """Until when it is not to be so concentrated again."""


@dataclass(slots=True)
class ZoneEffects:
    """What is remembered of the moves for even zones of one ZonalBalance."""

    pending: set[str] = field(default_factory=set)
    """The workloads whose last move was not judged yet."""
    _lowest: dict[str, float] = field(default_factory=dict)
    """The lowest concentration of a workload before its moves since the last one that helped."""
    _lowered: dict[str, _Lowered] = field(default_factory=dict)
    """The workloads that moves made less concentrated a short time ago."""
    _again: set[str] = field(default_factory=set)
    """The workloads that had to be moved because they were as concentrated again."""

    def moved(self, workload: str, before: Mapping[Zone, int], now: float) -> None:
        """Note that a move succeeded; `before` are the pods of its workload by zone before it."""
        found = concentration(before)
        lowered = self._lowered.get(workload)
        if lowered is not None and now < lowered.until and found >= lowered.before:
            self._again.add(workload)
        self.pending.add(workload)
        self._lowest[workload] = min(self._lowest.get(workload, 1.0), found)

    def helped(self, workload: str, zones: Mapping[Zone, int], now: float) -> bool:
        """Judge the last move of a workload by its pods by zone now: whether it helped, and earlier ones lasted."""
        self.pending.discard(workload)
        if concentration(zones) >= self._lowest[workload]:
            return False
        before, again = self._lowest.pop(workload), workload in self._again
        lowered = self._lowered.get(workload)
        if lowered is not None and now < lowered.until:
            before = min(before, lowered.before)
        self._lowered[workload] = _Lowered(before, now + LASTING_SECONDS)
        self._again.discard(workload)
        return not again

    def rests(self, workload: str, until: float) -> None:
        """Note until when a workload rests, because a move did not help."""
        if (lowered := self._lowered.get(workload)) is not None:
            self._lowered[workload] = lowered._replace(until=until + LASTING_SECONDS)

    def keep(self, workloads: Collection[str], now: float) -> None:
        """Forget all workloads but these, and what has lasted for long enough."""
        self.pending &= set(workloads)
        self._lowest = {name: value for name, value in self._lowest.items() if name in workloads}
        self._lowered = {name: one for name, one in self._lowered.items() if now < one.until}
        self._again &= self._lowest.keys()
