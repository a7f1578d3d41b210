"""Moves that would make the load of nodes even: which pods of busy nodes would be better elsewhere.

Contract: pure, deterministic and greedy. Each move takes a pod from a busy node to the least loaded node that can take
it, and is planned only if the busier of the two is then less loaded by at least `LEAST_GAIN` points. There are moves
only if the difference between the most and the least loaded node is more than what is accepted. The plan ends when it
is within `MoveLimits.aim`, when nothing improves it, or at the bounds: one move for each workload, `MOST_PER_NODE` from
and to each node. Where a pod really goes is the scheduler's decision; the plan predicts it from requests, zones, hard
taints and what the pod's own constraints admit.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from spillway.domain.balance.move_board import Alike, LoadedNode, MovablePod, MoveBoard, MoveLimits
from spillway.domain.model.names import NodeName, PodUid


class Reason(StrEnum):
    """Why pods are moved, in the order in which the reasons count."""

    ZONES = "Zones"
    LOAD = "Load"
    REQUESTS = "Requests"
    CLASSES = "Classes"


@dataclass(frozen=True, slots=True)
class Move:
    """One pod that would be better elsewhere."""

    pod: PodUid
    key: str
    workload: str
    source: NodeName
    target: NodeName
    source_percent: tuple[float, float]
    """What the plan makes even, on its node, before and after: the load, or what `measure` says."""
    target_percent: tuple[float, float]
    reason: Reason = Reason.LOAD
    measure: str = ""

    @property
    def text(self) -> str:
        """A line for people."""
        (before, after), what = self.source_percent, self.measure and f"{self.measure} "
        return f"{self.key}: {self.source} ({what}{before:.0f} % to {after:.0f} %) to {self.target}"


@dataclass(frozen=True, slots=True)
class MovePlan:
    """The moves in their order, and what they are expected to change."""

    moves: tuple[Move, ...]
    before: float
    """For the load: percentage points between the most and the least loaded node. For other reasons: by how many
    points all nodes together are beyond what is accepted."""
    after: float
    reason: Reason = Reason.LOAD


def busy_nodes(percent: Mapping[NodeName, float], limits: MoveLimits) -> Collection[NodeName]:
    """The nodes with these loads that pods may leave for the load; none while nodes are even enough."""
    lowest, highest = min(percent.values(), default=0.0), max(percent.values(), default=0.0)
    if highest - lowest <= limits.max_imbalance:
        return ()
    return {name for name, load in percent.items() if load > lowest + limits.aim}


def plan_moves(nodes: Iterable[LoadedNode], pods: Iterable[MovablePod], limits: MoveLimits) -> MovePlan:
    """The moves of these pods towards an imbalance of `limits.aim` points or less; none below `max_imbalance`."""
    board = MoveBoard(nodes, limits)
    on_node: dict[NodeName, list[MovablePod]] = {}
    for pod in pods:
        on_node.setdefault(pod.node, []).append(pod)
    before = board.imbalance
    moves: list[Move] = []
    spent: set[NodeName] = set()
    nowhere: set[Alike] = set()
    while before > limits.max_imbalance and len(moves) < limits.most and board.imbalance > limits.aim:
        found = _best(board, on_node, spent, nowhere)
        if found is None:
            break
        pod, target = found
        source, there = board.loads_after(pod, target)
        loads = (board.percent[pod.node], source), (board.percent[target], there)
        moves.append(Move(pod.uid, pod.key, pod.workload, pod.node, target, *loads))
        board.move(pod, target)
    return MovePlan(tuple(moves), before, board.imbalance)


def _best(
    board: MoveBoard, on_node: Mapping[NodeName, Sequence[MovablePod]], spent: set[NodeName], nowhere: set[Alike]
) -> tuple[MovablePod, NodeName] | None:
    """The next move: from the most loaded node that has one, the pod with the greatest gain.

    `spent` are the nodes on which no pod was found that helps, and `nowhere` the pods that no node takes. There is only
    less room later in a plan, so both are looked at once, however many pods there are that fit nowhere.
    """
    coldest_first = board.targets()
    for source in board.by_load(hottest_first=True):
        if source in spent or not board.gives(source):
            continue
        pods = on_node.get(source, ())
        best = board.best(pods, board.with_room(coldest_first, pods), board.takes, board.gain, nowhere)
        if best is not None:
            return best
        spent.add(source)
    return None
