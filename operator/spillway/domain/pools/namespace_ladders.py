"""The positions of a pool on its ladder of sizes, by the namespace whose pods had no stock.

Contract: pure. A stock-out moves the position of its own namespace. One namespace moves no other's: whoever may create
pods can ask for what no provider has. What several namespaces have seen (`FOR_ALL`) holds for everyone, that is the
highest step that so many of them have reached. Each position is forgotten by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from types import MappingProxyType
from typing import Final, Self

from spillway.domain.pools.size_ladder import BOTTOM, Position, decayed, seconds_to_decay
from spillway.domain.pools.start_failures import FOR_ALL

EVERYONE: Final = ""
"""The key of a position that an earlier version kept for the whole pool."""


@dataclass(frozen=True, slots=True)
class NamespaceLadders:
    """The positions by namespace, none of them at the bottom."""

    positions: Mapping[str, Position] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def for_all(self) -> Position:
        """The position for the pods of every namespace."""
        seen = (one for name, one in self.positions.items() if name != EVERYONE)
        highest = nlargest(FOR_ALL, seen, key=_height)
        common = highest[-1] if len(highest) == FOR_ALL else BOTTOM
        return max(common, self.positions.get(EVERYONE, BOTTOM), key=_height)

    @property
    def highest(self) -> Position:
        """The highest position of any namespace."""
        return max(self.positions.values(), key=_height, default=BOTTOM)

    @property
    def ahead(self) -> Mapping[str, Position]:
        """The namespaces whose step is higher than that for all."""
        common = self.for_all
        return {name: one for name, one in self.positions.items() if one.step > common.step}

    def of(self, namespace: str) -> Position:
        """The position for the pods of a namespace."""
        return max(self.positions.get(namespace, BOTTOM), self.for_all, key=_height)

    def moved(self, namespace: str, position: Position) -> Self:
        """The same with another position of this namespace."""
        if position == self.of(namespace):
            return self
        return type(self)({**self.positions, namespace: position})

    def decayed(self, forget_after: float, now: float) -> Self:
        """The positions at `now`, each forgotten `forget_after` seconds after its last move."""
        kept = {name: one for name, one in self.positions.items() if decayed(one, forget_after, now) != BOTTOM}
        return self if len(kept) == len(self.positions) else type(self)(kept)

    def seconds_to_decay(self, forget_after: float, now: float) -> float | None:
        """Seconds until the next position is forgotten; None if there is none."""
        dues = (seconds_to_decay(one, forget_after, now) for one in self.positions.values())
        return min((due for due in dues if due is not None), default=None)


NO_LADDERS: Final = NamespaceLadders()


def _height(position: Position) -> tuple[int, float]:
    return position.step, position.since
