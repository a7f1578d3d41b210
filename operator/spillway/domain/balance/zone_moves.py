"""Moves that bring the zones of workloads back within `maxSkew`, for example after a zone was lost and has come back.

Contract: pure, deterministic and greedy. Each move takes a pod from the fullest zone of a workload, off the most loaded
node there, to the emptiest zone that has room, onto the least loaded node there. One move for each workload, and
`MOST_PER_NODE` from and to each node, in one plan. Zones without a node that takes pods do not count, and a pod that
may not run in another zone is left. Where a pod really goes is the scheduler's decision.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from spillway.domain.balance.move_board import MOST_PER_NODE, Admits, Alike, LoadedNode, MovablePod, alike_of
from spillway.domain.balance.moves import Reason
from spillway.domain.balance.skew import zone_skew
from spillway.domain.model.names import NodeName, PodUid, Zone


@dataclass(frozen=True, slots=True)
class ZoneMove:
    """One pod that would be better in another zone."""

    pod: PodUid
    key: str
    workload: str
    source: NodeName
    target: NodeName
    zones: tuple[Zone, Zone]
    replicas: tuple[int, int]
    """The replicas of its workload in the two zones, before the move."""
    before: Mapping[Zone, int]
    """The replicas of its workload by zone, before the move."""

    reason: ClassVar[Reason] = Reason.ZONES

    @property
    def text(self) -> str:
        """A line for people."""
        (fullest, emptiest), (most, fewest) = self.zones, self.replicas
        return f"{self.key}: {self.source} ({fullest}, {most} replicas) to {self.target} ({emptiest}, {fewest})"


def open_zones(nodes: Iterable[LoadedNode]) -> frozenset[Zone]:
    """The zones with a node to which pods may come."""
    return frozenset(node.zone for node in nodes if node.accepts and node.zone)


def fullest_zone(pods: Mapping[Zone, int], zones: Collection[Zone], max_skew: int) -> Zone | None:
    """The fullest of these zones, if a workload with these pods differs by more than `max_skew` between them."""
    if len(zones) < 2 or zone_skew(pods, zones) <= max_skew:
        return None
    return min(zones, key=lambda zone: (-pods.get(zone, 0), zone))


def plan_zone_moves(
    nodes: Iterable[LoadedNode],
    pods: Iterable[MovablePod],
    *,
    max_skew: int,
    most: int,
    admits: Admits,
) -> tuple[ZoneMove, ...]:
    """At most `most` moves of these pods, which are in the fullest zones of their workloads."""
    board = _Board(nodes, max_skew, admits)
    found: dict[str, ZoneMove] = {}
    for pod in sorted(pods, key=lambda one: (-board.nodes[one.node].percent, one.key)):
        if len(found) == most:
            break
        move = None if pod.workload in found else board.move(pod)
        if move is not None:
            found[pod.workload] = move
    return tuple(found.values())


def moves_beside(moves: Iterable[ZoneMove], leaving: Iterable[NodeName]) -> list[ZoneMove]:
    """Those of these moves that may begin while pods are leaving these nodes, one for each pod.

    With those pods, at most `MOST_PER_NODE` leave each node at once.
    """
    gone, found = Counter(leaving), list[ZoneMove]()
    for move in moves:
        if gone[move.source] < MOST_PER_NODE:
            gone[move.source] += 1
            found.append(move)
    return found


class _Board:
    """The nodes as they would be after the moves so far."""

    def __init__(self, nodes: Iterable[LoadedNode], max_skew: int, admits: Admits) -> None:
        self._admits = admits
        self.nodes = {node.name: node for node in nodes}
        self._max_skew = max_skew
        self._zones = open_zones(self.nodes.values())
        self._free = {name: node.free for name, node in self.nodes.items()}
        self._gone: Counter[NodeName] = Counter()
        self._come: defaultdict[NodeName, list[MovablePod]] = defaultdict(list)
        self._nowhere: set[Alike] = set()
        """Pods for which no node was found; there is only less room later in a plan."""

    def move(self, pod: MovablePod) -> ZoneMove | None:
        """Move a pod; None if its zone is not the fullest, its node gives no more, or no emptier zone takes it."""
        source = self.nodes[pod.node]
        if source.zone != fullest_zone(pod.zones, self._zones, self._max_skew):
            return None
        if self._gone[source.name] + source.others_gone >= MOST_PER_NODE:
            return None
        alike = alike_of(pod, source)
        if alike in self._nowhere:
            return None
        here = pod.zones.get(source.zone, 0)
        targets = [
            node
            for node in self.nodes.values()
            if node.accepts
            and node.zone in self._zones
            and here - pod.zones.get(node.zone, 0) > self._max_skew
            and len(self._come[node.name]) + node.others_come < MOST_PER_NODE
            and self._free[node.name].covers(pod.requests)
            and node.offers(pod, self._come[node.name])
            and node.tolerated_from(source)
            and self._admits(pod, node.name)
        ]
        if not targets:
            self._nowhere.add(alike)
            return None
        target = min(targets, key=lambda node: (pod.zones.get(node.zone, 0), node.percent, node.name))
        self._gone[source.name] += 1
        self._come[target.name].append(pod)
        self._free[target.name] -= pod.requests
        zones, counts = (source.zone, target.zone), (here, pod.zones.get(target.zone, 0))
        return ZoneMove(pod.uid, pod.key, pod.workload, source.name, target.name, zones, counts, pod.zones)
