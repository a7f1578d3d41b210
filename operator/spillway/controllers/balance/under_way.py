"""The moves that other resources have asked for, and whose effect no load shows yet.

Contract: it reads the state, and remembers the evictions for moves for `EFFECT_SECONDS`. Several ZonalBalances may
select the same nodes, and consolidation moves pods between them too: without this, each would plan as if it were alone,
and together they would move too much.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spillway.controllers.base import World
from spillway.controllers.surge.moves import MoveRequest, SurgeMovesController
from spillway.domain.balance.arrivals import CLOCK_SECONDS, SUCCESSOR_SECONDS
from spillway.domain.balance.move_effect import EFFECT_SECONDS
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import PodRecord
from spillway.domain.surge.steps import Purpose

_NOWHERE: Final = NodeName("")


@dataclass(frozen=True, slots=True)
class MoveUnderWay:
    """A move that another resource has asked for."""

    pod: PodRecord
    """The pod that is moved."""
    target: NodeName
    """The node to which its plan expects it to go; empty if that is not known."""
    leaves: bool
    """Whether the pod is still on its node."""
    comes: bool
    """Whether the pod that takes its place is on no node yet."""
    lately: bool
    """Whether it was asked for less than `EFFECT_SECONDS` ago; one that takes longer holds up no other."""


class MovesUnderWay:
    """The moves of all resources."""

    def __init__(self, world: World, surges: SurgeMovesController) -> None:
        self._world = world
        self._surges = surges
        self._evicted: deque[tuple[MoveRequest, PodRecord]] = deque()
        """In the order in which they were evicted."""

    def note_eviction(self, request: MoveRequest, pod: PodRecord) -> None:
        """Note that a pod is evicted for a move."""
        self._evicted.append((request, pod))

    def of_others(self, balance: str) -> Sequence[MoveUnderWay]:
        """The moves that are not of this ZonalBalance."""
        now, pods, found = self._world.now(), self._world.state.pods, list[MoveUnderWay]()
        # A time in the future is one of before the clock was set back.
        while self._evicted and not 0 <= now - self._evicted[0][0].at < EFFECT_SECONDS:
            self._evicted.popleft()
        going = [(one, pods.get(one.pod), True) for one in self._surges.under_way()]
        # The owner of an evicted pod creates the next one within this time.
        evicted = [(one, pod, now - one.at < SUCCESSOR_SECONDS) for one, pod in self._evicted]
        for request, pod, awaited in (*going, *evicted):
            if pod is None or (request.purpose, request.asker) == (Purpose.REBALANCE, balance):
                continue
            present = pods.get(request.pod)
            found.append(
                MoveUnderWay(
                    pod,
                    request.target,
                    leaves=present is not None and not present.finished,
                    comes=bool(request.target) and awaited and not self._has_come(request),
                    lately=now - request.at < EFFECT_SECONDS,
                )
            )
        return found

    def _has_come(self, request: MoveRequest) -> bool:
        """Whether the pod that takes the place of the moved one is on a node, as far as clocks agree."""
        since = request.at - CLOCK_SECONDS
        pods = self._world.state.pods_of(request.owner)
        return any(one.node != _NOWHERE and one.created >= since and one.uid != request.pod for one in pods)
