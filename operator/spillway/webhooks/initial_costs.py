"""The deletion costs that pods get when they are bound, distinct even while the informer lags behind the bindings.

Contract: pods of one owner in one zone and tier get distinct indices, counted up from the lowest that is free, so that
taking the lowest cost first empties zones evenly, newest first. A burst of bindings, each answered before the informer
shows the one before, still gets distinct indices: every cost that is handed out is remembered until the informer shows
that pod with it, or until `memory_seconds` have passed (the binding may have failed).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from spillway.admission.deadline import Clock
from spillway.domain.model.names import NodeName, OwnerUid, PodUid, Zone
from spillway.domain.model.places import NodePlace
from spillway.domain.model.records import PodRecord
from spillway.domain.scale_down.costs import free_index, initial_cost

MEMORY_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Given:
    zone: Zone
    cost: int
    expires: float


class InitialCosts:
    """The costs that were chosen for pods that are being bound, by owner."""

    def __init__(self, clock: Clock, *, memory_seconds: float = MEMORY_SECONDS) -> None:
        self._clock = clock
        self._memory_seconds = memory_seconds
        self._given: dict[OwnerUid, dict[PodUid, _Given]] = {}
        self._swept = clock()

    def cost(
        self,
        pod: PodRecord,
        place: NodePlace,
        node_order: int,
        siblings: Iterable[PodRecord],
        zone_of: Callable[[NodeName], Zone],
    ) -> int:
        """Choose the pod's cost and remember it.

        `siblings` are the pods of the same owner as the informer has them, the pod itself perhaps among them.
        """
        now = self._clock()
        self._sweep(now)
        given = self._given.setdefault(pod.owner_uid, {})
        taken: list[int | None] = []
        for sibling in siblings:
            if not sibling.active or sibling.deletion_cost is not None:
                given.pop(sibling.uid, None)
            if sibling.active and sibling.node and sibling.uid != pod.uid and zone_of(sibling.node) == place.zone:
                taken.append(sibling.deletion_cost)
        given.pop(pod.uid, None)
        taken += (
            given_cost.cost
            for given_cost in given.values()
            if given_cost.zone == place.zone and given_cost.expires > now
        )
        cost = initial_cost(place, index_in_zone=free_index(taken, place), node_order=node_order)
        given[pod.uid] = _Given(place.zone, cost, now + self._memory_seconds)
        return cost

    def _sweep(self, now: float) -> None:
        if now - self._swept < self._memory_seconds:
            return
        self._swept = now
        for owner, given in list(self._given.items()):
            live = {uid: given_cost for uid, given_cost in given.items() if given_cost.expires > now}
            if live:
                self._given[owner] = live
            else:
                del self._given[owner]
