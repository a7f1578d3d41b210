"""The order of a scale-down: which pods of a ReplicaSet are deleted, decided by these rules in this order.

1. What Kubernetes puts first in any case: unassigned, then Pending, Unknown, not ready; among them by its rules.
2. The pod that a surge replaces, whose successor is ready elsewhere.
3. Virtual before physical, the most expensive pool first.
4. Zones: while the skew of what remains exceeds `max_skew`, from a zone with the most pods; else whatever keeps it.
5. Elastic before fixed.
6. Of the zones that rule 4 allows, the one in which the workload itself has the lowest load; not in a rollout.
7. On elastic nodes: the node that should empty soonest. On fixed nodes: the node with most pods of this workload; of
   nodes with equally many, a hot one.
8. Lowest stored cost, so that the order that is already written is the plan wherever the rules leave a choice.
9. Newest, then UID.

Contract: pure and total. The plan is greedy, so `plan(n)` is a prefix of `plan(n + 1)`; it depends on the set of
candidates and never on their sequence; a zone skew above `max_skew` is never larger than the rules before it force.
O(n log n + n·zones).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from typing import Final, Protocol

from spillway.domain.model.names import NodeName, PodUid, Tier, Zone
from spillway.domain.model.records import Phase
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.kubernetes_order import READY_CLASS, kubernetes_class, kubernetes_order
from spillway.domain.scale_down.reasons import VictimReason, explain

__all__ = ["Victim", "VictimPlan", "VictimReason", "explain", "plan_scale_down"]


@dataclass(frozen=True, slots=True)
class Victim:
    """One pod to delete, and the rule that chose it."""

    uid: PodUid
    reason: VictimReason


@dataclass(frozen=True, slots=True)
class VictimPlan:
    """The pods to delete, first victim first."""

    victims: tuple[Victim, ...]

    @property
    def uids(self) -> tuple[PodUid, ...]:
        return tuple(victim.uid for victim in self.victims)


_Key = tuple[float | str, ...]
_NO_ZONE: Final = Zone("")


def plan_scale_down(
    candidates: Iterable[Candidate], count: int, *, max_skew: int, mirror: bool = False, now: float = 0.0
) -> VictimPlan:
    """Choose `count` victims (all of them where there are fewer) among a ReplicaSet's active pods.

    `mirror` is for an old ReplicaSet in a rollout: fixed first, then elastic with the node that empties last first,
    virtual last with the cheapest pool first, so that the new pods find the room where pods should end up. `now` only
    matters among pods that are not ready (see `kubernetes_order`).
    """
    unready: list[Candidate] = []
    replaced: list[Candidate] = []
    ready: list[Candidate] = []
    for candidate in candidates:
        if kubernetes_class(candidate) < READY_CLASS:
            unready.append(candidate)
        else:
            (replaced if candidate.replaced else ready).append(candidate)
    first = kubernetes_order(unready, now=now)[: max(count, 0)]
    victims = [Victim(candidate.uid, _kubernetes_reason(candidate)) for candidate in first]
    victims += [Victim(candidate.uid, VictimReason.REPLACED) for candidate in replaced[: max(count - len(victims), 0)]]
    wanted = min(count - len(victims), len(ready))
    if wanted > 0:
        victims += _Greedy(ready, max_skew=max_skew, mirror=mirror).take(wanted)
    return VictimPlan(tuple(victims))


def _kubernetes_reason(candidate: Candidate) -> VictimReason:
    if not candidate.node:
        return VictimReason.UNASSIGNED
    if candidate.phase == Phase.RUNNING:
        return VictimReason.NOT_READY
    return VictimReason.PHASE_UNKNOWN if candidate.phase == Phase.UNKNOWN else VictimReason.PENDING


class _Lane(Protocol):
    """The candidates of one tier in one zone, in the order in which they should go if zones did not matter."""

    def peek(self) -> _Key | None: ...
    def pop(self) -> tuple[Candidate, VictimReason]: ...


class _SortedLane:
    """The lane of a virtual or elastic tier, whose order is fixed in advance."""

    def __init__(self, candidates: Sequence[Candidate], reason: VictimReason, *, node_sign: int) -> None:
        """`node_sign` weighs the emptying order: -1 soonest first, 1 last first, 0 not at all."""
        self._reason = reason
        self._rest = sorted(
            (((node_sign * c.node_order, c.deletion_cost, -c.created, c.uid), c) for c in candidates),
            key=lambda entry: entry[0],
            reverse=True,
        )

    def peek(self) -> _Key | None:
        return self._rest[-1][0] if self._rest else None

    def pop(self) -> tuple[Candidate, VictimReason]:
        return self._rest.pop()[1], self._reason


class _SpreadLane:
    """The lane of the fixed tier: each victim comes from the node that has most pods of the workload at that moment."""

    def __init__(self, candidates: Sequence[Candidate], reason: VictimReason | None) -> None:
        self._reason = reason
        self._on_node: dict[NodeName, list[Candidate]] = defaultdict(list)
        for candidate in candidates:
            self._on_node[candidate.node].append(candidate)
        for pods in self._on_node.values():
            pods.sort(key=lambda c: (c.deletion_cost, -c.created, c.uid), reverse=True)
        self._heap = [self._key(node) for node in self._on_node]
        heapify(self._heap)

    def _key(self, node: NodeName) -> _Key:
        pods = self._on_node[node]
        pod = pods[-1]
        return (-len(pods), not pod.node_hot, pod.deletion_cost, -pod.created, pod.uid, node)

    def peek(self) -> _Key | None:
        return self._heap[0] if self._heap else None

    def pop(self) -> tuple[Candidate, VictimReason]:
        node = NodeName(str(self._heap[0][-1]))
        pods = self._on_node[node]
        pod = pods.pop()
        reason = self._reason or _fixed_reason(pod, doubled=bool(pods))
        if pods:
            heapreplace(self._heap, self._key(node))
        else:
            heappop(self._heap)
        return pod, reason


def _fixed_reason(pod: Candidate, *, doubled: bool) -> VictimReason:
    if doubled:
        return VictimReason.FIXED_DOUBLED
    return VictimReason.FIXED_HOT if pod.node_hot else VictimReason.FIXED


class _Greedy:
    """The greedy choice of one ready pod after another; its state describes the remaining pods."""

    def __init__(self, ready: Sequence[Candidate], *, max_skew: int, mirror: bool) -> None:
        self._max_skew = max_skew
        self._remaining: dict[Zone, int] = dict(Counter(c.zone for c in ready if c.zone))
        self._weights: dict[Zone, int] = {} if mirror else {c.zone: c.zone_weight for c in ready}
        self._phases = _phases(ready, mirror=mirror)

    def take(self, count: int) -> list[Victim]:
        victims: list[Victim] = []
        for lanes_by_tier in self._phases:
            while len(victims) < count:
                victim = self._pick(lanes_by_tier)
                if victim is None:
                    break
                victims.append(victim)
        return victims

    def _pick(self, lanes_by_tier: Sequence[Mapping[Zone, _Lane]]) -> Victim | None:
        available = {zone for lanes in lanes_by_tier for zone, lane in lanes.items() if lane.peek() is not None}
        if not available:
            return None
        allowed, by_zone = _allowed_zones(self._remaining, available, self._max_skew)
        for lanes in lanes_by_tier:
            choice, by_load = self._choose(lanes, allowed)
            if choice is not None:
                pod, reason = choice.pop()
                if pod.zone:
                    self._remaining[pod.zone] -= 1
                if by_zone and len(lanes_by_tier) > 1:
                    reason = VictimReason.ZONE_SKEW
                elif by_load:
                    reason = VictimReason.ZONE_LOAD
                return Victim(pod.uid, reason)
            by_zone = by_zone or any(lane.peek() is not None for lane in lanes.values())
        raise AssertionError("an allowed zone holds a candidate")

    def _choose(self, lanes: Mapping[Zone, _Lane], allowed: set[Zone]) -> tuple[_Lane | None, bool]:
        """The lane that gives the next pod, if one does; and whether another one has a higher load in its zone."""
        choice: _Lane | None = None
        best: tuple[int, _Key] = (0, ())
        highest = 0
        for zone, lane in lanes.items():
            key = lane.peek()
            if key is None or zone not in allowed:
                continue
            weight = self._weights.get(zone, 0)
            highest = max(highest, weight)
            if choice is None or (weight, key) < best:
                choice, best = lane, (weight, key)
        return choice, best[0] < highest


def _allowed_zones(remaining: Mapping[Zone, int], available: set[Zone], max_skew: int) -> tuple[set[Zone], bool]:
    """The zones from which the next victim may come, and whether the skew leaves no other choice.

    Pods without a zone are free to go while the zones are even, and wait while they are not, unless every other choice
    would make the zones less even.
    """
    counts = sorted(remaining.values())
    zoned = available - {_NO_ZONE}
    if counts and counts[-1] - counts[0] <= max_skew:
        lowest, highest = counts[0], counts[-1]
        keeping = available - zoned
        for zone in zoned:
            after = remaining[zone] - 1
            runner_up = counts[-2] if remaining[zone] == highest and len(counts) > 1 else highest
            top = runner_up if len(counts) > 1 else after
            if max(top, after) - min(lowest, after) <= max_skew:
                keeping.add(zone)
        if keeping:
            return keeping, False
    if not zoned:
        return available, False
    fullest = max(remaining[zone] for zone in zoned)
    if _NO_ZONE in available and fullest == counts[0]:
        return {_NO_ZONE}, True
    return {zone for zone in zoned if remaining[zone] == fullest}, True


def _phases(ready: Sequence[Candidate], *, mirror: bool) -> list[list[dict[Zone, _Lane]]]:
    """The phases in which pods go; within a phase tiers come in order, but zones may override it."""
    members: dict[tuple[Tier, int], dict[Zone, list[Candidate]]] = defaultdict(lambda: defaultdict(list))
    for candidate in ready:
        price_rank = candidate.price_rank if candidate.tier is Tier.VIRTUAL else 0
        members[candidate.tier, price_rank][candidate.zone].append(candidate)

    def sorted_lanes(key: tuple[Tier, int], reason: VictimReason, node_sign: int) -> dict[Zone, _Lane]:
        return {zone: _SortedLane(pods, reason, node_sign=node_sign) for zone, pods in members[key].items()}

    pools = sorted((key for key in members if key[0] is Tier.VIRTUAL), key=lambda key: key[1], reverse=not mirror)
    of_pool = VictimReason.ROLLOUT_VIRTUAL if mirror else VictimReason.VIRTUAL
    virtual = [[sorted_lanes(key, of_pool, 0)] for key in pools]
    fixed: dict[Zone, _Lane] = {
        zone: _SpreadLane(pods, VictimReason.ROLLOUT_FIXED if mirror else None)
        for zone, pods in members[Tier.FIXED, 0].items()
    }
    if mirror:
        return [[fixed, sorted_lanes((Tier.ELASTIC, 0), VictimReason.ROLLOUT_ELASTIC, 1)], *virtual]
    return [*virtual, [sorted_lanes((Tier.ELASTIC, 0), VictimReason.ELASTIC, -1), fixed]]
