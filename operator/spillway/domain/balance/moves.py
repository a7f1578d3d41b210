"""Moves that would make the load of nodes even: which pods of busy nodes would be better elsewhere.

Contract: pure, deterministic and greedy. Each move takes a pod from a busy node to the least loaded node that can take
it, and is planned only if the busier of the two is then less loaded by at least `LEAST_GAIN` points. The plan ends when
the difference between the most and the least loaded node is within the target, when nothing improves it, or at the
bounds: one move for each workload, `MOST_PER_NODE` from and to each node. Where a pod really goes is the scheduler's
decision; the plan predicts it from requests, zones, hard taints and what the pod's own constraints admit.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spillway.domain.balance.load import Weights, percent_of
from spillway.domain.balance.node import PlannedNode
from spillway.domain.balance.skew import keeps_zones
from spillway.domain.model.names import NodeName, PodUid, Zone
from spillway.domain.model.usage import Usage

LEAST_GAIN: Final = 2.0
"""Percentage points: a smaller gain is within what a measurement varies by."""
MOST_PER_NODE: Final = 2
"""Moves from one node, and to one node, in one plan: the load shows what they did before there are more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedNode(PlannedNode):
    """One node, with its load and its room."""

    percent: float
    """Its real load."""


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


Admits = Callable[[MovablePod, NodeName], bool]
"""Whether the constraints of a pod allow it to run on a node."""


@dataclass(frozen=True, slots=True)
class Move:
    """One pod that would be better elsewhere."""

    pod: PodUid
    key: str
    workload: str
    source: NodeName
    target: NodeName
    source_percent: tuple[float, float]
    """The load of its node before and after."""
    target_percent: tuple[float, float]

    @property
    def text(self) -> str:
        """A line for people."""
        before, after = self.source_percent
        return f"{self.key}: {self.source} ({before:.0f} % to {after:.0f} %) to {self.target}"


@dataclass(frozen=True, slots=True)
class MovePlan:
    """The moves in their order, and the imbalance that they are expected to change."""

    moves: tuple[Move, ...]
    before: float
    """Percentage points between the most and the least loaded node."""
    after: float


def plan_moves(
    nodes: Iterable[LoadedNode],
    pods: Iterable[MovablePod],
    *,
    weights: Weights,
    max_imbalance: float,
    max_skew: int,
    most: int,
    admits: Admits,
) -> MovePlan:
    """At most `most` moves towards an imbalance of `max_imbalance` points or less."""
    board = _Board(nodes, weights, admits)
    on_node: dict[NodeName, list[MovablePod]] = {}
    for pod in pods:
        on_node.setdefault(pod.node, []).append(pod)
    before = board.imbalance
    moves: list[Move] = []
    moved: set[str] = set()
    while len(moves) < most and board.imbalance > max_imbalance:
        found = _best(board, on_node, moved, max_skew=max_skew)
        if found is None:
            break
        pod, target = found
        moves.append(board.move(pod, target))
        moved.add(pod.workload)
    return MovePlan(tuple(moves), before, board.imbalance)


class _Board:
    """The nodes as they would be after the moves so far."""

    def __init__(self, nodes: Iterable[LoadedNode], weights: Weights, admits: Admits) -> None:
        self._weights = weights
        self._admits = admits
        self.nodes = {node.name: node for node in nodes}
        self.percent = {name: node.percent for name, node in self.nodes.items()}
        self._free = {node.name: node.free for node in self.nodes.values()}
        self.gone: Counter[NodeName] = Counter()
        self.come: Counter[NodeName] = Counter()

    @property
    def imbalance(self) -> float:
        return max(self.percent.values()) - min(self.percent.values()) if self.percent else 0.0

    def by_load(self, *, hottest_first: bool) -> Sequence[NodeName]:
        sign = -1 if hottest_first else 1
        return sorted(self.percent, key=lambda name: (sign * self.percent[name], name))

    def takes(self, pod: MovablePod, target: LoadedNode, max_skew: int) -> bool:
        """Whether the pod may go there: room, hard taints, its constraints, and the zones of its workload."""
        source = self.nodes[pod.node]
        return (
            target.accepts
            and self.come[target.name] < MOST_PER_NODE
            and self._free[target.name].covers(pod.requests)
            and target.tolerated_from(source)
            and keeps_zones(pod.zones, source.zone, target.zone, max_skew)
            and self._admits(pod, target.name)
        )

    def target(self, pod: MovablePod, order: Iterable[NodeName], max_skew: int) -> NodeName | None:
        """The first node in this order that takes the pod; none from which a pod goes."""
        others = (name for name in order if name != pod.node and not self.gone[name])
        return next((name for name in others if self.takes(pod, self.nodes[name], max_skew)), None)

    def gain(self, pod: MovablePod, target: NodeName) -> float:
        """By how much the busier of the two nodes would be less loaded, in percentage points."""
        before = max(self.percent[pod.node], self.percent[target])
        source, there = self._after(pod, target)
        return before - max(source, there)

    def move(self, pod: MovablePod, target: NodeName) -> Move:
        source, there = self._after(pod, target)
        found = Move(
            pod.uid,
            pod.key,
            pod.workload,
            pod.node,
            target,
            (self.percent[pod.node], source),
            (self.percent[target], there),
        )
        self.percent[pod.node], self.percent[target] = source, there
        self._free[pod.node] += pod.requests
        self._free[target] -= pod.requests
        self.gone[pod.node] += 1
        self.come[target] += 1
        return found

    def _after(self, pod: MovablePod, target: NodeName) -> tuple[float, float]:
        source = max(self.percent[pod.node] - self._points(pod, pod.node), 0.0)
        return source, self.percent[target] + self._points(pod, target)

    def _points(self, pod: MovablePod, name: NodeName) -> float:
        """What the pod adds to the load of a node, in percentage points."""
        there = self.nodes[name].allocatable
        cpu = pod.used_millis / there.cpu_millis if there.cpu_millis else 0.0
        memory = pod.used_bytes / there.memory_bytes if there.memory_bytes else 0.0
        return percent_of(cpu, memory, self._weights)


def _best(
    board: _Board, on_node: Mapping[NodeName, Sequence[MovablePod]], moved: set[str], *, max_skew: int
) -> tuple[MovablePod, NodeName] | None:
    """The next move: from the most loaded node that has one, the pod with the greatest gain."""
    coldest_first = board.by_load(hottest_first=False)
    for source in board.by_load(hottest_first=True):
        if board.gone[source] >= MOST_PER_NODE or board.come[source]:
            continue
        best: tuple[float, str, MovablePod, NodeName] | None = None
        for pod in on_node.get(source, ()):
            if pod.workload in moved:
                continue
            target = board.target(pod, coldest_first, max_skew)
            if target is None:
                continue
            gain = board.gain(pod, target)
            if gain >= LEAST_GAIN and (best is None or (-gain, pod.key) < (-best[0], best[1])):
                best = gain, pod.key, pod, target
        if best is not None:
            return best[2], best[3]
    return None
