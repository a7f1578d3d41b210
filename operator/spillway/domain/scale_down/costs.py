"""Deletion costs: the initial cost of a pod, and the writes that make Kubernetes choose exactly the planned victims.

A cost is one readable decimal number. Pods with lower costs are deleted first; the millions give the tier, and bands
never overlap:

    0 … -999 999                    fixed: the hundreds are the pod's index in its zone, the rest tells zones apart
    -1 000 000 … -1 999 999         elastic: the thousands are the index in the zone, the rest is the node's place
    -2 000 000 … and each million   virtual, the cheapest pool first: as fixed

The index comes first, so zones empty evenly; and pods of equal index differ, since equal costs would need a write to be
distinguished.

Contract: every cost that leaves this module is a canonical integer of at most 2^24 in size: Karpenter divides deletion
costs by 2^27 and adds them to its own, so these costs must stay small compared with 2^27; they fit easily in an int32.
"""

from collections.abc import Collection, Iterable
from typing import Final

from spillway.domain.model.names import PodUid, Tier
from spillway.domain.model.places import NodePlace
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.kubernetes_order import READY_CLASS, kubernetes_class

BOUND: Final = 2**24
"""The largest absolute value of a cost."""
BAND: Final = 1_000_000
_ELASTIC_STEP: Final = 1_000
"""Within the elastic band: the number of node places for each index."""
_STEP: Final = 100
"""Within the other bands: the number of zone numbers for each index."""
_LAST_BAND: Final = BOUND // BAND - 1

_LIFT_FACTOR: Final = 4
_LIFT_SAVES: Final = 20
"""Survivors are lifted only if that needs this factor and this number of writes fewer than lowering victims."""


def initial_cost(place: NodePlace, *, index_in_zone: int, node_order: int) -> int:
    """The initial cost of a pod on a node at this place.

    `index_in_zone` is the pod's index among the pods of its ReplicaSet in the same tier and zone, from 0 (see
    `free_index`); `node_order` is the node's place in the emptying order. A value that does not fit in the band is
    clamped: such pods have equal costs, and the plan at the scale-down distinguishes them.
    """
    step = _step(place)
    index = min(max(index_in_zone, 0), BAND // step - 1)
    rest = min(max(node_order, 0), step - 1) if place.tier is Tier.ELASTIC else _zone_number(place)
    return -(_band(place) * BAND + index * step + rest)


def natural_cost(candidate: Candidate, *, index_in_zone: int) -> int:
    """The initial cost that this pod would get at its present place."""
    return initial_cost(candidate.place, index_in_zone=index_in_zone, node_order=candidate.node_order)


def free_index(costs: Iterable[int | None], place: NodePlace) -> int:
    """The lowest index that none of these pods has in the place's tier.

    `costs` are those of the ReplicaSet's pods in the place's zone, of whatever tier; None where a pod has none. The
    index of a lost pod is used again, so zones stay even in the stored order.
    """
    band = _band(place)
    step = _step(place)
    taken = {(-cost - band * BAND) // step for cost in costs if cost is not None and _band_of(cost) == band}
    index = 0
    while index in taken:
        index += 1
    return index


def is_band_violation(cost: int | None, place: NodePlace) -> bool:
    """Whether a cost belongs to another tier (or virtual pool) than the pod's place; absent counts as 0."""
    return _band_of(cost or 0) != _band(place)


def is_above_band(cost: int, place: NodePlace) -> bool:
    """Whether a pod with this cost would be deleted after the last pods of its own tier."""
    return _band_of(cost) < _band(place)


def cost_writes(candidates: Iterable[Candidate], victims: Collection[PodUid]) -> dict[PodUid, int]:
    """The fewest writes after which Kubernetes deletes exactly these victims of these candidates.

    Only ready pods are written: among pods that are not ready Kubernetes' own order is the plan. Victims at or above
    the lowest survivor go just below it. Survivors are lifted instead where that saves many writes, or where there is
    no room below; a pod that was lifted out of its band is put back by `marking.upkeep`. The result never depends on
    equal costs.
    """
    chosen = frozenset(victims)
    going: list[Candidate] = []
    staying: list[Candidate] = []
    for candidate in candidates:
        if kubernetes_class(candidate) >= READY_CLASS:
            (going if candidate.uid in chosen else staying).append(candidate)
    if not going or not staying:
        return {}
    bar = _bar([c.deletion_cost for c in going], [c.deletion_cost for c in staying])
    writes = {c.uid: bar - 1 for c in going if c.deletion_cost >= bar}
    writes.update((c.uid, bar) for c in staying if c.deletion_cost < bar)
    return writes


def _bar(going: list[int], staying: list[int]) -> int:
    """The cost that every survivor has to reach and every victim has to stay below."""
    lowest = min(max(min(staying), 1 - BOUND), BOUND)

    def writes(bar: int) -> tuple[int, int]:
        return sum(cost >= bar for cost in going) + sum(cost < bar for cost in staying), bar

    by_lowering = writes(lowest)
    if by_lowering[0] < _LIFT_SAVES:
        return lowest
    bars = {min(max(cost, 1 - BOUND), BOUND) for cost in (*staying, max(going) + 1)}
    by_lifting = _fewest_writes(bars, going, staying)
    saves = by_lowering[0] - by_lifting[0]
    worth_it = saves >= _LIFT_SAVES and by_lifting[0] * _LIFT_FACTOR <= by_lowering[0]
    return by_lifting[1] if worth_it else lowest


def _fewest_writes(bars: Iterable[int], going: Iterable[int], staying: Iterable[int]) -> tuple[int, int]:
    """The least number of writes and the lowest bar that needs no more."""
    remaining = sorted(going, reverse=True)
    below = sorted(staying, reverse=True)
    lifted = 0
    best: tuple[int, int] | None = None
    for bar in sorted(bars):
        while remaining and remaining[-1] < bar:
            remaining.pop()
        while below and below[-1] < bar:
            below.pop()
            lifted += 1
        found = (len(remaining) + lifted, bar)
        if best is None or found < best:
            best = found
    if best is None:
        raise AssertionError("there is a survivor, so there is a bar")
    return best


def _step(place: NodePlace) -> int:
    return _ELASTIC_STEP if place.tier is Tier.ELASTIC else _STEP


def _zone_number(place: NodePlace) -> int:
    """A number that distinguishes the zones of a region, whose names differ in the last characters."""
    return int.from_bytes(place.zone.encode()[-2:], "big") % 97


def _band(place: NodePlace) -> int:
    """The number of a place's band: how many millions below zero it starts."""
    if place.tier is Tier.VIRTUAL:
        return min(2 + max(place.price_rank, 0), _LAST_BAND)
    return 1 if place.tier is Tier.ELASTIC else 0


def _band_of(cost: int) -> int:
    """The number of the band of a cost; a positive cost is in no band."""
    return -1 if cost > 0 else -cost // BAND
