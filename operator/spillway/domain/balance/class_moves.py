"""Moves that spread the pods of each load class over the nodes of a zone, by what the class really uses there.

Contract: pure, deterministic and greedy. The share of a class on a node is what its pods use of the node's CPU
(`cpu-bound`) or memory (`memory-bound`). A class is crowded in a zone where its largest share is more than the accepted
imbalance above its smallest on a node that accepts pods. Each move takes a pod of the class from the node with the
largest share to the one with the smallest that takes it, within the zone, and is planned only if the larger of the two
shares falls by at least `LEAST_GAIN` points, the smaller one does not fall, the load of nodes stays even, and at most
`MOST_REQUESTED` percent of the target is requested afterwards. The bounds are those of moves for the load, over all
classes and zones.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from spillway.domain.balance.classes import LoadClass
from spillway.domain.balance.move_board import LoadedNode, MovablePod, MoveBoard, MoveLimits
from spillway.domain.balance.moves import Move, MovePlan, Reason
from spillway.domain.model.names import NodeName, Zone

Shares = Mapping[LoadClass, Mapping[NodeName, float]]
"""What the pods of each class use of each node's CPU or memory, in percent.

A node that is left out has none: so are nodes whose pods are not moved, which accept no pods either."""


def class_points(load_class: LoadClass, node: LoadedNode, used_millis: float, used_bytes: float) -> float:
    """What so much use adds to the share of its class on a node, in percentage points."""
    cpu = load_class is LoadClass.CPU
    used, there = (used_millis, node.allocatable.cpu_millis) if cpu else (used_bytes, node.allocatable.memory_bytes)
    return 100 * used / there if there else 0.0


def crowded_nodes(
    nodes: Iterable[LoadedNode], shares: Shares, max_imbalance: float
) -> Collection[tuple[LoadClass, NodeName]]:
    """Each class with the nodes on which it is crowded."""
    groups = _groups(nodes, shares, max_imbalance)
    return {(group.load_class, name) for group in groups for name in group.crowded}


def plan_class_moves(
    nodes: Iterable[LoadedNode], pods: Iterable[tuple[LoadClass, MovablePod]], shares: Shares, limits: MoveLimits
) -> MovePlan:
    """The moves of these pods, each given with its class."""
    board = MoveBoard(nodes, limits)
    on_node: dict[tuple[LoadClass, NodeName], list[MovablePod]] = {}
    for load_class, pod in pods:
        on_node.setdefault((load_class, pod.node), []).append(pod)
    groups = _groups(board.nodes.values(), shares, limits.max_imbalance)
    before = sum(group.excess for group in groups)
    moves: list[Move] = []
    for group in groups:
        while len(moves) < limits.most and (move := _next(board, group, on_node)) is not None:
            moves.append(move)
    return MovePlan(tuple(moves), before, sum(group.excess for group in groups), Reason.CLASSES)


@dataclass(slots=True)
class _Group:
    """A class in a zone."""

    load_class: LoadClass
    zone: Zone
    accepted: float
    shares: dict[NodeName, float] = field(default_factory=dict)
    open: set[NodeName] = field(default_factory=set)
    """The nodes that accept pods."""
    spent: set[NodeName] = field(default_factory=set)
    """The nodes on which no pod was found that helps; each is looked at once in a plan."""

    @property
    def excess(self) -> float:
        """By how many points the class is beyond what is accepted."""
        lowest = min((self.shares[name] for name in self.open), default=math.inf)
        return max(max(self.shares.values()) - lowest - self.accepted, 0.0)

    @property
    def crowded(self) -> Sequence[NodeName]:
        """The nodes on which the class is crowded, the most crowded first."""
        limit = min((self.shares[name] for name in self.open), default=math.inf) + self.accepted
        return sorted((name for name, share in self.shares.items() if share > limit), key=self._most_first)

    def _most_first(self, name: NodeName) -> tuple[float, NodeName]:
        return -self.shares[name], name


def _groups(nodes: Iterable[LoadedNode], shares: Shares, accepted: float) -> Sequence[_Group]:
    """The classes by zone, the most crowded first."""
    found: dict[tuple[LoadClass, Zone], _Group] = {}
    for node in nodes:
        for load_class, of in shares.items():
            group = found.setdefault((load_class, node.zone), _Group(load_class, node.zone, accepted))
            group.shares[node.name] = of.get(node.name, 0.0)
            if node.accepts:
                group.open.add(node.name)
    return sorted(found.values(), key=lambda one: (-one.excess, one.zone, one.load_class))


def _next(
    board: MoveBoard, group: _Group, on_node: Mapping[tuple[LoadClass, NodeName], Sequence[MovablePod]]
) -> Move | None:
    """Make the next move: from the most crowded node that has one, the pod with the greatest gain."""
    # No other node would suit, so these need not be tried for each pod.
    targets = (name for name in group.open if not board.gone[name] and not board.busy(name))
    fewest_first = sorted(targets, key=lambda name: (group.shares[name], name))
    for source in group.crowded:
        if source in group.spent:
            continue
        pods = on_node.get((group.load_class, source), ()) if board.gives(source) else ()
        best = board.best(pods, fewest_first, partial(_suits, board), partial(_gain, board, group))
        if best is not None:
            return _moved(board, group, *best)
        group.spent.add(source)
    return None


def _suits(board: MoveBoard, pod: MovablePod, target: NodeName) -> bool:
    return board.takes(pod, target) and board.leaves_room(pod, target) and board.keeps_load_even(pod, target)


def _shares_after(board: MoveBoard, group: _Group, pod: MovablePod, target: NodeName) -> tuple[float, float]:
    left, added = (
        class_points(group.load_class, board.nodes[name], pod.used_millis, pod.used_bytes)
        for name in (pod.node, target)
    )
    return max(group.shares[pod.node] - left, 0.0), group.shares[target] + added


def _gain(board: MoveBoard, group: _Group, pod: MovablePod, target: NodeName) -> float:
    """By how much the larger of the two shares would fall; nothing if the smaller one would fall too."""
    before, after = (group.shares[pod.node], group.shares[target]), _shares_after(board, group, pod, target)
    return max(before) - max(after) if min(after) >= min(before) else 0.0


def _moved(board: MoveBoard, group: _Group, pod: MovablePod, target: NodeName) -> Move:
    source, there = _shares_after(board, group, pod, target)
    ends = (group.shares[pod.node], source), (group.shares[target], there)
    group.shares[pod.node], group.shares[target] = source, there
    board.move(pod, target)
    return Move(pod.uid, pod.key, pod.workload, pod.node, target, *ends, Reason.CLASSES, group.load_class)
