"""Whether the moves for even zones made the zones of workloads more even.

Contract: pure. A move that succeeded is judged once its workload has settled: it helped if the pods are less
concentrated than before it, and than before each earlier move since the last one that helped. So a workload whose pods
the scheduler puts back into the same zones, or into two of them by turns, does not count as helped.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from spillway.domain.balance.skew import concentration
from spillway.domain.model.names import Zone


@dataclass(slots=True)
class ZoneEffects:
    """What is remembered of the moves for even zones of one ZonalBalance."""

    pending: set[str] = field(default_factory=set)
    """The workloads whose last move was not judged yet."""
    _lowest: dict[str, float] = field(default_factory=dict)
    """The lowest concentration of a workload before its moves since the last one that helped."""

    def moved(self, workload: str, before: Mapping[Zone, int]) -> None:
        """Note that a move succeeded; `before` are the pods of its workload by zone before it."""
        self.pending.add(workload)
        self._lowest[workload] = min(self._lowest.get(workload, 1.0), concentration(before))

    def helped(self, workload: str, now: Mapping[Zone, int]) -> bool:
        """Judge the last move of a workload: whether its pods, by zone, are less concentrated now."""
        self.pending.discard(workload)
        if concentration(now) < self._lowest[workload]:
            del self._lowest[workload]
            return True
        return False

    def keep(self, workloads: Collection[str]) -> None:
        """Forget all workloads but these."""
        self.pending &= set(workloads)
        self._lowest = {name: value for name, value in self._lowest.items() if name in workloads}
