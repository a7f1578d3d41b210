"""Consolidation: which elastic nodes are emptied by moves, and which of their pods are moved next.

Contract: pure, deterministic and greedy. A node is emptied only as a whole: it is little used, old enough, all of its
pods may be moved, each of them fits on a node that stays, and the zones of each workload stay within its `max_skew` or
become no less even. Nodes are looked at in the shared emptying order, those that are being emptied already before the
others; the latter begin with those that did not fail before (`FailedNodes`), and among these with those that
cluster-autoscaler is going to drain. At most as many nodes of a NodePool are emptied as its disruption budgets allow.
The nodes that stay keep `reserve` free: the rise of requests that is expected within the time for which a node has to
stay empty to be worth its moves. A plan names at most `MOST_NODES` nodes and `most` moves, and one for each workload;
the rest of a node follows in later plans.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from spillway.domain.balance.disruption_budgets import DisruptionBudget
from spillway.domain.balance.node import OpenZones, PlannedNode
from spillway.domain.balance.skew import after_move, keeps_zones
from spillway.domain.model.host_ports import HostPort
from spillway.domain.model.names import ZONE_LABEL, NodeName, PodUid, Zone
from spillway.domain.model.usage import NOTHING, Usage

MOST_NODES: Final = 20
"""Nodes that are emptied at once: with a few moves a minute, more would wait for hours with their taint."""
MOST_FAILED: Final = 50
"""Nodes of one plan whose pods find no place, after which no other is tried."""

_NO_BUDGETS: Final[Mapping[str, DisruptionBudget]] = {}
_NONE_FAILED: Final[Mapping[NodeName, int]] = {}


@dataclass(frozen=True, slots=True)
class NodePod:
    """One pod on a node that might be emptied; pods of DaemonSets are left out."""

    uid: PodUid
    workload: str
    requests: Usage
    zones: Mapping[Zone, int]
    """The replicas of its workload by zone."""
    movable: bool = True
    """Whether it may be moved at some time; a pod that may not keeps its node."""
    ready_to_move: bool = True
    """Whether it may be moved now: its workload is settled and has no move that is too recent."""
    going: bool = False
    """Whether a surge replaces it, and the additional replica is on a node: it needs no other place."""
    surging: bool = False
    """Whether its workload runs an additional replica for a move: the move of this pod follows, or is that one."""
    max_skew: int = 1
    """The difference between two zones that its workload may have."""
    zone_key: str = ZONE_LABEL
    """The label by which its zones are counted."""
    extended: Mapping[str, int] | None = None
    """What it requests beside CPU and memory, by resource; None for most pods."""
    host_ports: tuple[HostPort, ...] = ()
    """The ports of its node that it takes."""


@dataclass(frozen=True, slots=True)
class ConsolidationNode(PlannedNode):
    """One node, with its room and, where it might be emptied, its pods."""

    may_empty: bool = False
    """Whether it is elastic and old enough."""
    order: int = 0
    """Its place in the shared emptying order; the highest empties first."""
    emptying: bool = False
    """Whether it is being emptied already."""
    usable: bool = True
    """Whether pods of the policy may use it, as far as its taints show it: only then its free room counts."""
    of_other_policy: bool = False
    """Whether it is elastic for another policy: no pod is moved there, because neither policy could move it again."""
    candidate: bool = False
    """Whether cluster-autoscaler is going to drain it: moves that come before that spare its pods an eviction."""
    node_pool: str = ""
    """Its NodePool; empty where Karpenter did not make it."""
    other_zones: Mapping[str, Zone] = field(default_factory=dict)
    """Its zones by other labels by which pods are counted."""
    pods: tuple[NodePod, ...] = field(default=())

    @property
    def used(self) -> float:
        """The larger share of what is requested of it, from 0 to 1."""
        return self.requested(self.free)

    @property
    def can_empty(self) -> bool:
        """Whether it might be emptied, by this plan or the next ones: it may be, and none of its pods keeps it."""
        return self.may_empty and all(pod.movable for pod in self.pods)

    def zone_by(self, key: str) -> Zone:
        """Its zone by a label; empty if it has none."""
        return self.zone if key == ZONE_LABEL else self.other_zones.get(key, Zone(""))


@dataclass(frozen=True, slots=True)
class ConsolidationMove:
    """One pod that leaves a node, and where it is expected."""

    pod: PodUid
    workload: str
    source: NodeName
    target: NodeName


@dataclass(frozen=True, slots=True)
class ConsolidationPlan:
    """The nodes that are emptied, first to go first, and the next moves."""

    nodes: tuple[NodeName, ...]
    moves: tuple[ConsolidationMove, ...]
    waiting: frozenset[NodeName] = frozenset()
    """Those of the nodes of which no pod can be moved now, nor once a move of its workload has ended."""
    over_budget: Mapping[str, int] = field(default_factory=dict)
    """By NodePool, the nodes that are not emptied now, because its disruption budgets allow no further node."""
    failed: tuple[NodeName, ...] = ()
    """The nodes that are not emptied, because no place was found for one of their pods."""
    tried_all: bool = True
    """Whether all nodes were tried; otherwise a bound on their number was reached before."""


def _anywhere(_pod: NodePod, _node: NodeName) -> bool:
    return True


def plan_consolidation(
    nodes: Iterable[ConsolidationNode],
    *,
    below: float,
    most: int,
    reserve: Usage = NOTHING,
    admits: Callable[[NodePod, NodeName], bool] = _anywhere,
    budgets: Mapping[str, DisruptionBudget] = _NO_BUDGETS,
    failed_before: Mapping[NodeName, int] = _NONE_FAILED,
    begins: bool = True,
) -> ConsolidationPlan:
    """Empty nodes of which less than the share `below` is requested; `reserve` is what stays free on the others.

    `budgets` are those of NodePools, by name. `admits` says whether a pod may run on a node, as far as its selectors,
    affinity and tolerations decide. Nodes of `failed_before` are tried after the others, the lowest numbers first.
    Unless it `begins`, only nodes that are being emptied already are emptied.
    """
    board = _Board(nodes)
    emptied: list[NodeName] = []
    moves: list[ConsolidationMove] = []
    moved: set[str] = set()
    waiting: set[NodeName] = set()
    may_empty = (one for one in board.nodes.values() if one.may_empty and one.pods)
    wanted = [one for one in may_empty if one.emptying or (begins and one.used < below)]
    begun: Counter[str] = Counter()
    over_budget: Counter[str] = Counter()
    tried_all = True

    def turn(one: ConsolidationNode) -> tuple[bool, int, bool, int, NodeName]:
        return not one.emptying, failed_before.get(one.name, 0), not one.candidate, -one.order, one.name

    for node in sorted(wanted, key=turn):
        if len(emptied) == MOST_NODES or len(board.failed) == MOST_FAILED:
            tried_all = False
            break
        budget = budgets.get(node.node_pool)
        if budget is not None and not budget.takes(begun[node.node_pool], emptying=node.emptying):
            over_budget[node.node_pool] += 1
            continue
        found = board.empty(node, reserve=reserve, admits=admits)
        if found is None:
            continue
        emptied.append(node.name)
        begun[node.node_pool] += 1
        if not any(pod.ready_to_move or pod.surging for pod in node.pods):
            waiting.add(node.name)
        for pod, target in found:
            if len(moves) < most and pod.ready_to_move and pod.workload not in moved:
                moves.append(ConsolidationMove(pod.uid, pod.workload, node.name, target))
                moved.add(pod.workload)
    return ConsolidationPlan(
        tuple(emptied), tuple(moves), frozenset(waiting), dict(over_budget), tuple(board.failed), tried_all
    )


class _Board:
    """The nodes as they would be after the moves so far."""

    def __init__(self, nodes: Iterable[ConsolidationNode]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self._free = {node.name: node.free for node in self.nodes.values()}
        with_room = [node for node in self.nodes.values() if node.accepts and not node.emptying]
        staying = [node for node in with_room if not node.of_other_policy]
        # A node that stays anyway (fixed, or kept by a pod) is preferred; then the elastic one that empties last. A pod
        # on another one would have to be moved twice, or keep that node.
        self._rank = {node.name: (node.can_empty, node.order) for node in staying}
        staying.sort(key=lambda one: (*self._rank[one.name], one.name))
        self._staying = {node.name: node for node in staying}
        self._room = sum((node.free.at_least(NOTHING) for node in with_room if node.usable), NOTHING)
        self._zones: dict[str, Mapping[Zone, int]] = {}
        self._open: dict[str, OpenZones[ConsolidationNode]] = {}
        """By the label of the zones."""
        self._come: defaultdict[NodeName, list[NodePod]] = defaultdict(list)
        """The pods that go to each target."""
        self.failed: list[NodeName] = []
        """The nodes for whose pods no place was found."""

    def empty(
        self, node: ConsolidationNode, *, reserve: Usage, admits: Callable[[NodePod, NodeName], bool]
    ) -> Sequence[tuple[NodePod, NodeName]] | None:
        """Where all pods of a node would go; None if one has no place, or too little stays free: nothing changes."""
        if node.name in self._come or not node.can_empty:
            return None
        room = self._room_without(node)
        if not room.covers(reserve):
            return None
        leaving = [pod for pod in node.pods if not pod.going]
        free: dict[NodeName, Usage] = {}
        zones: dict[str, Mapping[Zone, int]] = {}
        least = min((pod.requests.cpu_millis for pod in leaving), default=0)
        staying = [
            one for one in self._staying.values() if one is not node and self._free[one.name].cpu_millis >= least
        ]
        found: list[tuple[NodePod, NodeName]] = []
        for pod in sorted(leaving, key=lambda one: (-one.requests.cpu_millis, -one.requests.memory_bytes, one.uid)):
            counts = zones.get(pod.workload) or self._zones.get(pod.workload, pod.zones)

            def takes(one: ConsolidationNode, *, pod: NodePod = pod, counts: Mapping[Zone, int] = counts) -> bool:
                coming = chain(self._come.get(one.name, ()), (other for other, there in found if there == one.name))
                return (
                    one.tolerated_from(node)
                    and one.offers(pod, coming)
                    and self._keeps_zones(pod, node, one, counts, admits)
                    and admits(pod, one.name)
                )

            target = self._target(pod, staying, free, takes)
            if target is None:
                self.failed.append(node.name)
                return None
            free[target.name] = free.get(target.name, self._free[target.name]) - pod.requests
            zones[pod.workload] = after_move(counts, node.zone_by(pod.zone_key), target.zone_by(pod.zone_key))
            found.append((pod, target.name))
        self._free.update(free)
        self._zones.update(zones)
        self._room = room
        self._staying.pop(node.name, None)
        for pod, to in found:
            self._come[to].append(pod)
        return found

    def _keeps_zones(
        self,
        pod: NodePod,
        source: ConsolidationNode,
        target: ConsolidationNode,
        counts: Mapping[Zone, int],
        admits: Callable[[NodePod, NodeName], bool],
    ) -> bool:
        here, there = source.zone_by(pod.zone_key), target.zone_by(pod.zone_key)
        if here == there:
            return True
        if pod.zone_key not in self._open:
            self._open[pod.zone_key] = OpenZones(self.nodes.values(), lambda one: one.zone_by(pod.zone_key))
        empty = self._open[pod.zone_key].empty(pod.workload, pod.zones, source, lambda one: admits(pod, one.name))
        return keeps_zones(counts, here, there, pod.max_skew, empty)

    def _room_without(self, node: ConsolidationNode) -> Usage:
        """What stays free once the pods of a node are on others."""
        own = self._free[node.name] if node.name in self._staying else NOTHING
        return self._room - own.at_least(NOTHING) - sum((pod.requests for pod in node.pods if not pod.going), NOTHING)

    def _target(
        self,
        pod: NodePod,
        staying: Iterable[ConsolidationNode],
        free: Mapping[NodeName, Usage],
        takes: Callable[[ConsolidationNode], bool],
    ) -> ConsolidationNode | None:
        """The preferred one of the nodes that take a pod: of equals the fullest; `free` is of those that changed."""
        best: ConsolidationNode | None = None
        least = 0
        for one in staying:
            if best is not None and self._rank[one.name] != self._rank[best.name]:
                break
            left = free.get(one.name) or self._free[one.name]
            if left.covers(pod.requests) and (best is None or left.cpu_millis < least) and takes(one):
                best, least = one, left.cpu_millis
        return best
