"""The marking of the next victims in advance, so that a scale-down finds the stored order correct and needs no write.

Contract: `upkeep` is stable: once its writes are done, it returns none. It never changes pods that are not ready:
Kubernetes deletes those first, and they are considered again once they are ready.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from spillway.domain.model.names import PodUid, Zone
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.costs import BOUND, free_index, is_above_band, is_band_violation, natural_cost
from spillway.domain.scale_down.kubernetes_order import READY_CLASS, kubernetes_class
from spillway.domain.scale_down.ranking import plan_scale_down

DEPTH_SHARE: Final = 4
"""The next victims that are kept in order: one in four of the replicas …"""
DEPTH_MIN: Final = 2
"""… at least these many …"""
DEPTH_MAX: Final = 64
"""… and never more."""

_ROUNDS: Final = 8
"""A repair may break a tie and so change the next victims; the result is stable after two or three rounds."""


def depth_for(replicas: int) -> int:
    """How many of the next victims are kept in order."""
    return min(max(-(-replicas // DEPTH_SHARE), DEPTH_MIN), DEPTH_MAX)


def next_victims(candidates: Iterable[Candidate], depth: int, *, max_skew: int) -> dict[PodUid, int]:
    """The fewest writes after which the first `depth` victims stand in stored order, below every survivor.

    Then a scale-down by any number up to `depth` deletes exactly the planned pods without a write. At least one pod is
    not a victim, because the order does not matter if all pods go. Pods that are already in the right sequence keep
    their cost (a longest non-decreasing subsequence); each other pod gets a cost just below the next one.
    """
    ready = {c.uid: c for c in candidates if kubernetes_class(c) >= READY_CLASS}
    if depth <= 0:
        return {}
    plan = plan_scale_down(ready.values(), min(depth, len(ready) - 1), max_skew=max_skew)
    victims = [ready.pop(uid) for uid in plan.uids]
    if not victims:
        return {}
    top = min(max(min(c.deletion_cost for c in ready.values()), len(victims) - BOUND), BOUND)
    wanted = _in_sequence([c.deletion_cost for c in victims], top)
    writes = {c.uid: cost for c, cost in zip(victims, wanted, strict=True) if c.deletion_cost != cost}
    writes.update((c.uid, top) for c in ready.values() if c.deletion_cost < top)
    return writes


def upkeep(candidates: Iterable[Candidate], depth: int, *, max_skew: int) -> dict[PodUid, int]:
    """The writes that bring a ReplicaSet's ready pods into order: repairs, then marks of the next victims.

    A pod without a cost is repaired, and so is a pod whose cost belongs to another tier; but one of the next `depth`
    victims may have a cost below its tier (zones may require that a fixed pod goes before an elastic one).
    """
    before = {c.uid: c for c in candidates if kubernetes_class(c) >= READY_CLASS}
    now = dict(before)
    for _ in range(_ROUNDS):
        changes = _repairs(now, depth, max_skew)
        _apply(now, changes)
        marks = next_victims(now.values(), depth, max_skew=max_skew)
        _apply(now, marks)
        if not changes and not marks:
            break
    return {
        uid: c.deletion_cost
        for uid, c in now.items()
        if c.deletion_cost != before[uid].deletion_cost or not before[uid].stamped
    }


def _repairs(candidates: Mapping[PodUid, Candidate], depth: int, max_skew: int) -> dict[PodUid, int]:
    """Give a natural cost to each pod that lacks one or is out of its band, the last to die first."""
    if not any(not c.stamped or is_band_violation(c.deletion_cost, c.place) for c in candidates.values()):
        return {}
    sequence = plan_scale_down(candidates.values(), len(candidates), max_skew=max_skew).uids
    marked = frozenset(sequence[:depth])
    wrong = [
        candidates[uid]
        for uid in reversed(sequence)
        if not candidates[uid].stamped
        or is_above_band(candidates[uid].deletion_cost, candidates[uid].place)
        or (uid not in marked and is_band_violation(candidates[uid].deletion_cost, candidates[uid].place))
    ]
    if not wrong:
        return {}
    writes: dict[PodUid, int] = {}
    being_repaired = {c.uid for c in wrong}
    costs: dict[Zone, list[int]] = defaultdict(list)
    for candidate in candidates.values():
        if candidate.uid not in being_repaired:
            costs[candidate.zone].append(candidate.deletion_cost)
    for candidate in wrong:
        index = free_index(costs[candidate.zone], candidate.place)
        writes[candidate.uid] = natural_cost(candidate, index_in_zone=index)
        costs[candidate.zone].append(writes[candidate.uid])
    return writes


def _apply(candidates: dict[PodUid, Candidate], writes: Mapping[PodUid, int]) -> None:
    for uid, cost in writes.items():
        candidates[uid] = msgspec.structs.replace(candidates[uid], deletion_cost=cost, stamped=True)


def _in_sequence(costs: Sequence[int], top: int) -> list[int]:
    """Strictly increasing costs below `top` that keep as many of these as possible.

    With `slack[i] = cost[i] - i` "strictly increasing integers" becomes "non-decreasing", so that between two costs
    that are kept there is always room for those in between.
    """
    count = len(costs)
    limit = top - count
    slack = [cost - index for index, cost in enumerate(costs)]
    kept = _longest_non_decreasing([s if -BOUND <= s <= limit else None for s in slack])
    wanted = [0] * count
    current = limit
    for index in range(count - 1, -1, -1):
        if index in kept:
            current = slack[index]
        wanted[index] = current + index
    return wanted


def _longest_non_decreasing(values: Sequence[int | None]) -> frozenset[int]:
    """The indices of a longest non-decreasing subsequence, passing over None."""
    tails: list[int] = []
    ends: list[int] = []
    previous: dict[int, int] = {}
    for index, value in enumerate(values):
        if value is None:
            continue
        position = bisect_right(tails, value)
        if position:
            previous[index] = ends[position - 1]
        if position == len(tails):
            tails.append(value)
            ends.append(index)
        else:
            tails[position] = value
            ends[position] = index
    kept: set[int] = set()
    index = ends[-1] if ends else -1
    while index >= 0:
        kept.add(index)
        index = previous.get(index, -1)
    return frozenset(kept)
