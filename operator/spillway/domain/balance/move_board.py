"""The nodes as they would be after the moves that a plan has chosen so far.

Contract: the working memory of the planners of moves, which are pure. It knows the load and the room of each node,
which nodes a pod may go to (room, zones, hard taints and what its own constraints admit), and how many pods each node
has lost and got.
"""

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from heapq import nlargest, nsmallest
from typing import Final

from spillway.domain.balance.load import Weights, load_points
from spillway.domain.balance.node import OpenZones, PlannedNode
from spillway.domain.balance.skew import keeps_zones
from spillway.domain.model.host_ports import HostPort
from spillway.domain.model.names import NodeName, PodUid, Zone
from spillway.domain.model.records import Taint
from spillway.domain.model.usage import NOTHING, Usage

LEAST_GAIN: Final = 2.0
"""Percentage points: a smaller gain is within what a measurement varies by."""
AIM: Final = 0.75
"""Moves for the load end at this part of the accepted imbalance. Ended at the whole of it, the next change of the load
would make nodes uneven again."""
MOST_PER_NODE: Final = 2
"""Moves from one node, and to one node, in one plan, with those of other resources that are in progress: the load shows
what they did before there are more."""
MOST_REQUESTED: Final = 90.0
"""Percent: a node of whose CPU or memory more is requested takes few new pods, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedNode(PlannedNode):
    """One node, with its load and its room."""

    percent: float
    """Its real load."""
    others_gone: int = 0
    """Moves from it of other resources that are in progress: they count in `MOST_PER_NODE`."""
    others_come: int = 0
    """The same of moves to it."""


@dataclass(frozen=True, slots=True)
class MovablePod:
    """One pod that may be moved."""

    uid: PodUid
    key: str
    """Its key, namespace/name."""
    workload: str
    """Its key, Kind/namespace/name."""
    node: NodeName
    requests: Usage
    used_millis: float
    """What it really uses."""
    used_bytes: float
    zones: Mapping[Zone, int]
    """The replicas of its workload by zone."""
    extended: Mapping[str, int] | None = None
    """What it requests beside CPU and memory, by resource; None for most pods."""
    host_ports: tuple[HostPort, ...] = ()
    """The ports of its node that it takes."""


Alike = tuple[str, Usage, Zone, frozenset[Taint]]
"""What pods have in common that the same nodes take: workload, requests, and the zone and hard taints of their node."""
_EVERYTHING: Final = Usage(sys.maxsize, sys.maxsize, sys.maxsize)
Admits = Callable[[MovablePod, NodeName], bool]
"""Whether the constraints of a pod allow it to run on a node."""


def alike_of(pod: MovablePod, source: LoadedNode) -> Alike:
    """What a pod that runs on this node has in common with others that the same nodes take."""
    return pod.workload, pod.requests, source.zone, source.taints


@dataclass(frozen=True, slots=True)
class MoveLimits:
    """What bounds a plan, and what it goes by."""

    weights: Weights
    """Of CPU and memory in the load of a node."""
    max_imbalance: float
    """Percentage points between the most and the least loaded node that are accepted."""
    max_skew: int
    """Replicas by which the zones of a workload may differ."""
    most: int
    """Moves in one plan."""
    admits: Admits

    @property
    def aim(self) -> float:
        """The imbalance at which a plan for the load ends, once more is between the nodes than is accepted."""
        return AIM * self.max_imbalance


class MoveBoard:
    """The nodes, as they would be."""

    def __init__(self, nodes: Iterable[LoadedNode], limits: MoveLimits) -> None:
        self._limits = limits
        self.nodes = {node.name: node for node in nodes}
        self.percent = {name: node.percent for name, node in self.nodes.items()}
        self._free = {name: node.free for name, node in self.nodes.items()}
        self._open = OpenZones(self.nodes.values(), lambda node: node.zone)
        self._coldest: Sequence[NodeName] = ()
        """The three least loaded nodes; at least one of them is not in the move that is looked at."""
        self._hottest: Sequence[NodeName] = ()
        self._rank()
        self.gone: Counter[NodeName] = Counter()
        self._come: defaultdict[NodeName, list[MovablePod]] = defaultdict(list)
        """The pods that go to each node."""
        self.moved: set[str] = set()
        """The workloads of which a pod has moved."""

    @property
    def imbalance(self) -> float:
        """Percentage points between the most and the least loaded node."""
        return self.percent[self._hottest[0]] - self.percent[self._coldest[0]] if self.percent else 0.0

    def busy(self, name: NodeName) -> bool:
        """Whether the load of the node is above that of the least loaded one by more than what is accepted."""
        return self.percent[name] > self.percent[self._coldest[0]] + self._limits.max_imbalance

    def by_load(self, *, hottest_first: bool) -> Sequence[NodeName]:
        sign = -1 if hottest_first else 1
        return sorted(self.percent, key=lambda name: (sign * self.percent[name], name))

    def targets(self) -> Sequence[NodeName]:
        """The nodes that may take a pod, the least loaded first."""
        open_ = (name for name, node in self.nodes.items() if node.accepts and not self.gone[name])
        found = [name for name in open_ if self._may_come(name)]
        return sorted(found, key=lambda name: (self.percent[name], name))

    def with_room(self, names: Iterable[NodeName], pods: Iterable[MovablePod]) -> Sequence[NodeName]:
        """Those of the nodes, in their order, that have room for what the smallest of these pods requests."""
        least = reduce(Usage.at_most, (pod.requests for pod in pods), _EVERYTHING)
        return [name for name in names if self._free[name].covers(least)]

    def requested(self, name: NodeName, more: Usage = NOTHING) -> float:
        """The percentage of a node that is requested, with so much more: of CPU or memory, the larger one."""
        return 100 * self.nodes[name].requested(self._free[name] - more)

    def gives(self, source: NodeName) -> bool:
        """Whether another pod may leave the node: not too many have, and none has come."""
        gone = self.gone[source] + self.nodes[source].others_gone
        return gone < MOST_PER_NODE and source not in self._come

    def takes(self, pod: MovablePod, name: NodeName) -> bool:
        """Whether the pod may go there; no pod goes to a node that another one leaves."""
        source, target = self.nodes[pod.node], self.nodes[name]
        return (
            name != pod.node
            and not self.gone[name]
            and target.accepts
            and self._may_come(name)
            and self._free[name].covers(pod.requests)
            and target.offers(pod, self._come.get(name, ()))
            and target.tolerated_from(source)
            and self._keeps_zones(pod, source, target)
            and self._limits.admits(pod, name)
        )

    def _keeps_zones(self, pod: MovablePod, source: LoadedNode, target: LoadedNode) -> bool:
        if source.zone == target.zone:
            return True
        empty = self._open.empty(pod.workload, pod.zones, source, lambda node: self._limits.admits(pod, node.name))
        return keeps_zones(pod.zones, source.zone, target.zone, self._limits.max_skew, empty)

    def gain(self, pod: MovablePod, target: NodeName) -> float:
        """By how much the busier of the two nodes would be less loaded, in percentage points."""
        return max(self.percent[pod.node], self.percent[target]) - max(self.loads_after(pod, target))

    def best(
        self,
        pods: Iterable[MovablePod],
        order: Sequence[NodeName],
        suits: Admits,
        gain: Callable[[MovablePod, NodeName], float],
        nowhere: set[Alike] | None = None,
    ) -> tuple[MovablePod, NodeName] | None:
        """The pod with the greatest gain, and the first node in this order that suits it; None if none gains enough.

        Given `nowhere`, pods for which no node suits are noted there, and those that are like one of them are left out.
        """
        best: tuple[float, str, MovablePod, NodeName] | None = None
        for pod in pods:
            if pod.workload in self.moved:
                continue
            alike = alike_of(pod, self.nodes[pod.node])
            if nowhere is not None and alike in nowhere:
                continue
            target = next((name for name in order if suits(pod, name)), None)
            if target is None:
                if nowhere is not None:
                    nowhere.add(alike)
                continue
            gained = gain(pod, target)
            if gained >= LEAST_GAIN and (best is None or (-gained, pod.key) < (-best[0], best[1])):
                best = gained, pod.key, pod, target
        return None if best is None else (best[2], best[3])

    def leaves_room(self, pod: MovablePod, target: NodeName) -> bool:
        """Whether at most `MOST_REQUESTED` percent of the target is requested after the move."""
        return self.requested(target, pod.requests) <= MOST_REQUESTED

    def spares_load(self, pod: MovablePod, target: NodeName) -> bool:
        """Whether moves for the load leave the pod there: they gain too little, or aim at no less than its load."""
        lowest, there = self._range_after(pod, target)[0], self.loads_after(pod, target)[1]
        return self.gain(pod, target) > -LEAST_GAIN or there <= lowest + self._limits.aim

    def keeps_load_even(self, pod: MovablePod, target: NodeName) -> bool:
        """Whether the imbalance stays clearly within what is accepted.

        While it is not: whether neither it nor the load of the busier node rises, and moves for the load would not take
        another pod from the target.
        """
        lowest, highest = self._range_after(pod, target)
        accepted = self._limits.max_imbalance
        if highest - lowest <= accepted - LEAST_GAIN:
            return True
        busy = self.loads_after(pod, target)[1] > lowest + self._limits.aim
        return highest - lowest <= self.imbalance and self.gain(pod, target) >= 0 and not busy

    def loads_after(self, pod: MovablePod, target: NodeName) -> tuple[float, float]:
        """The loads of the pod's node and of the target after the move."""
        source = max(self.percent[pod.node] - self.points(pod, pod.node), 0.0)
        return source, self.percent[target] + self.points(pod, target)

    def move(self, pod: MovablePod, target: NodeName) -> None:
        """Move a pod."""
        self.percent[pod.node], self.percent[target] = self.loads_after(pod, target)
        self._rank()
        self._free[pod.node] += pod.requests
        self._free[target] -= pod.requests
        self.gone[pod.node] += 1
        self._come[target].append(pod)
        self.moved.add(pod.workload)

    def _may_come(self, name: NodeName) -> bool:
        return len(self._come.get(name, ())) + self.nodes[name].others_come < MOST_PER_NODE

    def _rank(self) -> None:
        self._coldest = nsmallest(3, self.percent, key=self.percent.__getitem__)
        self._hottest = nlargest(3, self.percent, key=self.percent.__getitem__)

    def _range_after(self, pod: MovablePod, target: NodeName) -> tuple[float, float]:
        """The lowest and the highest load after the move."""
        ends, pair = self.loads_after(pod, target), (pod.node, target)
        low = next((self.percent[name] for name in self._coldest if name not in pair), math.inf)
        high = next((self.percent[name] for name in self._hottest if name not in pair), -math.inf)
        return min(low, *ends), max(high, *ends)

    def points(self, pod: MovablePod, name: NodeName) -> float:
        """What the pod adds to the load of a node, in percentage points."""
        return load_points(pod.used_millis, pod.used_bytes, self.nodes[name].allocatable, self._limits.weights)
