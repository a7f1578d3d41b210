"""Moves that free requests on nodes that are little used, so that pods of busy nodes, and new pods, may come to them.

Contract: pure, deterministic and greedy. A node is reserved if more than `MOST_REQUESTED` percent of its CPU or memory
is requested, although its load is more than the accepted imbalance below that of the most loaded node: it could take
load, but no pods. It is relieved only if it is not reserved any more without the pods that may be moved: otherwise pods
would leave it again and again for those that stay. One such node is relieved at a time, the least loaded that can be,
until it is not reserved any more or the plan is at the bounds of moves for the load. The pod that goes first is the one
whose requests exceed its use by the most; it goes to the least loaded node of which at most `MOST_REQUESTED` percent is
requested afterwards, and only if moves for the load would not take it back.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from spillway.domain.balance.move_board import LEAST_GAIN, MOST_REQUESTED, LoadedNode, MovablePod, MoveBoard, MoveLimits
from spillway.domain.balance.moves import Move, MovePlan, Reason
from spillway.domain.model.names import NodeName
from spillway.domain.model.usage import NOTHING

MEASURE: Final = "requests"
"""What the texts of these moves give in percent."""


def reserved_nodes(nodes: Iterable[LoadedNode], limits: MoveLimits) -> Sequence[NodeName]:
    """The reserved nodes that accept pods, the least loaded first."""
    return _reserved(MoveBoard(nodes, limits), limits)


def plan_request_moves(nodes: Iterable[LoadedNode], pods: Iterable[MovablePod], limits: MoveLimits) -> MovePlan:
    """The moves that relieve one reserved node."""
    board = MoveBoard(nodes, limits)
    reserved = _reserved(board, limits)
    before = _excess(board, reserved)
    moves: list[Move] = []
    here: dict[NodeName, list[MovablePod]] = {}
    for pod in sorted(pods, key=lambda one: one.key):
        here.setdefault(pod.node, []).append(pod)
    # No other node has room, so these need not be tried for each pod.
    coldest_first = board.by_load(hottest_first=False)
    targets = [name for name in coldest_first if board.nodes[name].accepts and board.requested(name) <= MOST_REQUESTED]
    for name in reserved:
        there = here.get(name, ())
        if _requested_without(board, name, there) > MOST_REQUESTED:
            continue
        while len(moves) < limits.most and (move := _next(board, name, there, targets)) is not None:
            moves.append(move)
        if moves:
            break
    return MovePlan(tuple(moves), before, _excess(board, reserved), Reason.REQUESTS)


def _reserved(board: MoveBoard, limits: MoveLimits) -> Sequence[NodeName]:
    highest = max(board.percent.values(), default=0.0)
    return [
        name
        for name in board.by_load(hottest_first=False)
        if board.percent[name] < highest - limits.max_imbalance
        and board.nodes[name].accepts
        and board.requested(name) > MOST_REQUESTED
    ]


def _excess(board: MoveBoard, reserved: Collection[NodeName]) -> float:
    """By how many points these nodes together are beyond `MOST_REQUESTED`."""
    return sum(max(board.requested(name) - MOST_REQUESTED, 0.0) for name in reserved)


def _requested_without(board: MoveBoard, name: NodeName, pods: Iterable[MovablePod]) -> float:
    """The percentage of the node that is requested by its other pods."""
    return board.requested(name, sum((pod.requests for pod in pods), NOTHING) * -1)


def _next(board: MoveBoard, name: NodeName, pods: Sequence[MovablePod], targets: Sequence[NodeName]) -> Move | None:
    """Move the best of these pods, which are on the node; None if none of them helps, or the node is relieved."""
    before = board.requested(name)
    if before <= MOST_REQUESTED or not board.gives(name):
        return None

    def relief(pod: MovablePod) -> float:
        """How much more it frees of the requests than of the load, in percentage points."""
        return before - board.requested(name, pod.requests * -1) - board.points(pod, name)

    for pod in sorted(pods, key=relief, reverse=True):
        if relief(pod) < LEAST_GAIN:
            return None
        if pod.workload in board.moved:
            continue
        fitting = (one for one in targets if _suits(board, pod, one))
        if (target := next(fitting, None)) is not None:
            there = board.requested(target)
            board.move(pod, target)
            ends = (before, board.requested(name)), (there, board.requested(target))
            return Move(pod.uid, pod.key, pod.workload, name, target, *ends, Reason.REQUESTS, MEASURE)
    return None


def _suits(board: MoveBoard, pod: MovablePod, target: NodeName) -> bool:
    return board.takes(pod, target) and board.leaves_room(pod, target) and board.spares_load(pod, target)
