"""The nodes that one ElasticPolicy might empty, with their pods, and the nodes to which these could go.

Contract: reads the state and never writes. A pod whose workload was not looked at (`WorkloadLooks`) counts as movable
while it may be looked at in this pass (`LookTurns`), to learn which workloads have to be. On a node that is being
emptied one that was not looked at keeps its node waiting: a new leader has looked at none.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from spillway.api.consolidation import Consolidation
from spillway.controllers.balance.look_turns import LookTurns
from spillway.controllers.balance.movable import unsettled
from spillway.controllers.balance.workload_looks import WorkloadLooks
from spillway.controllers.base import World
from spillway.controllers.surge.moves import incoming
from spillway.controllers.surge.scaler import may_surge, proven_surge
from spillway.domain.balance.arrivals import Arrivals
from spillway.domain.balance.bounds import MoveBounds
from spillway.domain.balance.consolidation import ConsolidationNode, NodePod
from spillway.domain.balance.zone_loads import pods_by_zone
from spillway.domain.fit.node_fit import takes_pods
from spillway.domain.fit.taint_toleration import lasting_taints
from spillway.domain.model.names import (
    EMPTYING_TAINT,
    NODE_POOL_LABEL,
    ZONE_LABEL,
    NodeName,
    OwnerUid,
    PodUid,
    Tier,
    Zone,
)
from spillway.domain.model.owners import CAN_SURGE, comes_with_node, workload_of
from spillway.domain.model.records import NodeRecord, PodRecord, ReplicaSetRecord
from spillway.domain.model.usage import NOTHING, Usage
from spillway.domain.surge.hindrance import PASSING, Left
from spillway.domain.surge.steps import SurgeOutcome
from spillway.kube.slices import in_slices
from spillway.state.neighbours import NO_POD
from spillway.state.nodes_left import nodes_left

COMPARED: Final = 100
"""ReplicaSets that are compared with the other pods of the cluster in one pass."""


@dataclass(slots=True)
class NodesSeen:
    """What one pass sees."""

    nodes: list[NodeRecord] = field(default_factory=list)
    """Nodes that are not virtual."""
    elastic: dict[NodeName, NodeRecord] = field(default_factory=dict)
    """Those of them that are elastic for the policy."""
    empty: set[NodeName] = field(default_factory=set)
    """Elastic nodes without pods other than those that come with a node."""
    tainted: set[NodeName] = field(default_factory=set)
    """Elastic nodes that carry the taint of nodes that are being emptied."""
    elsewhere: set[NodeName] = field(default_factory=set)
    """Nodes that are elastic for another policy."""
    tainted_elsewhere: set[NodeName] = field(default_factory=set)
    """Those of them that carry this taint."""
    unusable: set[NodeName] = field(default_factory=set)
    """Nodes with lasting taints that no elastic node of the policy has: they take none of the pods that are expected on
    its elastic nodes, so neither their room counts, nor what is requested of them."""
    requested: Usage = NOTHING
    """What is requested of all other nodes by pods that stay: not by those that are deleted, or are to be."""
    sizes: set[Usage] = field(default_factory=set)
    """What one of these other nodes can allocate."""


async def observe(world: World, policy: str) -> NodesSeen:
    """The nodes, as one policy sees them."""
    found = NodesSeen()
    async for pool, node in in_slices(list(world.membership.every_node())):
        if pool or world.places.place(policy, node).tier is Tier.VIRTUAL:
            continue
        found.nodes.append(node)
        owner = world.governance.elastic_owner(node)
        if owner is None:
            continue
        if not leaving(world, node.name):
            found.empty.add(node.name)
        own = owner.policy == policy
        if own:
            found.elastic[node.name] = node
        else:
            found.elsewhere.add(node.name)
        if any(one.key == EMPTYING_TAINT for one in node.taints):
            (found.tainted if own else found.tainted_elsewhere).add(node.name)
    await _note_requests(world, found)
    return found


async def _note_requests(world: World, found: NodesSeen) -> None:
    """Find out which of the nodes are unusable, and what is requested of the others."""
    tolerated = frozenset(taint for node in found.elastic.values() for taint in lasting_taints(node))
    counted: set[NodeName] = set()
    async for node in in_slices(found.nodes):
        if tolerated.issuperset(lasting_taints(node)):
            counted.add(node.name)
            found.requested += world.state.node_usage.on_node(node.name)
            found.sizes.add(node.allocatable)
        else:
            found.unusable.add(node.name)
    async for replicaset in in_slices(list(world.state.replicasets.values())):
        # A move ends with two pods in the place of one, for as long as the one that was replaced takes to end.
        for pod in _not_staying(world, replicaset):
            if pod.node in counted:
                found.requested -= pod.requests


def _not_staying(world: World, owner: ReplicaSetRecord) -> list[PodRecord]:
    """The pods that are being deleted, and those beyond the replicas without a surge, the newest ones."""
    pods = world.state.pods_of(owner.uid)
    surge = proven_surge(world, owner)
    staying = owner.replicas if surge is None else surge.replicas
    if len(pods) <= staying:
        return []
    return [*(pod for pod in pods if pod.terminating), *_newest(pods, staying)]


def _going(world: World, owner: ReplicaSetRecord) -> PodUid | None:
    """The pod that a surge replaces, once the additional replica is on a node."""
    surge = proven_surge(world, owner)
    return surge.pod if surge is not None and _newest(world.state.pods_of(owner.uid), surge.replicas) else None


def _newest(pods: Iterable[PodRecord], kept: int) -> list[PodRecord]:
    """The active pods on nodes beyond the first ones, of which so many are kept."""
    on_nodes = (pod for pod in pods if pod.node and pod.active)
    return sorted(on_nodes, key=lambda one: (one.created, one.uid))[kept:]


def leaving(world: World, node: NodeName) -> list[PodRecord]:
    """The pods that have to leave a node until it is empty for a node autoscaler."""
    return [pod for pod in world.state.pods_on(node) if not comes_with_node(pod) and pod.active]


@dataclass(frozen=True, slots=True)
class _Workload:
    """What the pods of one ReplicaSet have in common."""

    key: str
    zones: Mapping[Zone, int]
    reason: Left | SurgeOutcome | None
    max_skew: int = 1
    zone_key: str = ZONE_LABEL
    looked_at: bool = True
    """Whether it was looked at, or may be in this pass."""
    surging: bool = False
    going: PodUid | None = None
    """The pod that a surge replaces, once the additional replica is on a node."""


class Emptiable:
    """The nodes of one pass in the form of the planner."""

    def __init__(
        self,
        world: World,
        policy: str,
        rule: Consolidation,
        observed: NodesSeen,
        *,
        looks: WorkloadLooks,
        turns: LookTurns,
        bounds: MoveBounds,
        arrivals: Arrivals,
        rests: Callable[[NodeName], bool],
    ) -> None:
        """`arrivals` are the pods that came by a move; `rests` says whether a node is left alone for a while."""
        self._world = world
        self._policy = policy
        self._rule = rule
        self._observed = observed
        self._counted = {node.name: node for node in observed.nodes}
        """The nodes over which zones are counted."""
        self._looks = looks
        self._turns = turns
        self._bounds = bounds
        self._arrivals = arrivals
        self._refused = bounds.refused(world.now())
        self._rests = rests
        self._workloads: dict[OwnerUid, _Workload] = {}
        self._admitted: dict[tuple[OwnerUid, NodeName], bool] = {}
        self._left_by_others: dict[OwnerUid, frozenset[NodeName] | None] = {}
        """By ReplicaSet, the nodes to which other pods let one more of its pods come; None for all."""
        self._zone_keys = {one.spec.zone_key for one in world.governance.balances.values()} - {ZONE_LABEL}
        self.left: dict[str, Left | SurgeOutcome] = {}
        """The workloads with pods on little used nodes that are left as they are, and why."""

    async def nodes(self) -> list[ConsolidationNode]:
        """The nodes, as it is known now which workloads may be moved."""
        self._workloads.clear()
        self._admitted.clear()
        self.left.clear()
        order = self._world.places.order(self._policy)
        return [self._node(node, order) async for node in in_slices(self._observed.nodes)]

    def admits(self, pod: NodePod, node: NodeName) -> bool:
        """Whether a pod may run on a node; unknown counts as yes."""
        record = self._world.state.pods.get(pod.uid)
        if record is None:
            return False
        key = record.owner_uid, node
        if key not in self._admitted:
            there = self._world.state.nodes.get(node)
            self._admitted[key] = there is not None and self._looks.admits(record.owner_uid, there)
        left = self._left_by_others.get(record.owner_uid)
        return self._admitted[key] and (left is None or node in left)

    async def read_other_pods(self, nodes: Iterable[NodeName]) -> bool:
        """Learn which nodes other pods leave to the pods on these; whether there was one to learn it of.

        At most `COMPARED` ReplicaSets are looked at in one pass; of the others the scheduler decides.
        """
        found = {pod.owner_uid for name in nodes for pod in leaving(self._world, name)} - self._left_by_others.keys()
        known = [uid for uid in sorted(found) if (look := self._looks.get(uid)) is not None and look.fit is not None]
        known = known[: COMPARED - len(self._left_by_others)]
        async for uid in in_slices(known):
            self._left_by_others[uid] = self._left_to(uid)
        return bool(known)

    def _left_to(self, uid: OwnerUid) -> frozenset[NodeName] | None:
        look, owner = self._looks.get(uid), self._world.state.replicasets.get(uid)
        if look is None or look.fit is None or owner is None:
            return None
        may_run = filter(look.fit.admits, self._observed.nodes)
        # The next of its pods is moved once the present move has ended.
        without = _going(self._world, owner) or NO_POD
        return nodes_left(self._world.state, incoming(look.fit, owner), may_run, without=without)

    def readable(self, nodes: Iterable[NodeName]) -> list[tuple[ReplicaSetRecord, PodRecord]]:
        """The ReplicaSets on these nodes whose workloads may be read, with a pod of each."""
        pods = {pod.owner_uid: pod for name in nodes for pod in leaving(self._world, name)}
        owners = self._world.state.replicasets
        return [
            (owners[uid], pod)
            for uid, pod in pods.items()
            # During a surge the workload has one replica too many, so what was read before counts.
            if uid in owners and not may_surge(self._world, owners[uid])
        ]

    def _node(self, node: NodeRecord, order: Mapping[NodeName, int]) -> ConsolidationNode:
        emptying = node.name in self._observed.tainted
        may_empty = node.name in self._observed.elastic and self._old_enough(node, emptying=emptying)
        usage = self._world.state.node_usage
        found = ConsolidationNode.of(
            node,
            usage.free_on(node),
            ZONE_LABEL,
            extended=usage.all_extended_free_on(node),
            host_ports=tuple(usage.ports_on(node.name)),
            may_empty=may_empty,
            order=order.get(node.name, 0),
            emptying=emptying,
            usable=node.name not in self._observed.unusable,
            of_other_policy=node.name in self._observed.elsewhere,
            candidate=node.removal_candidate,
            node_pool=node.labels.get(NODE_POOL_LABEL, ""),
            other_zones={key: node.zone_by(key) for key in self._zone_keys},
        )
        if node.name in self._observed.empty:
            # Pods that went to an empty elastic node would only change places.
            found = replace(found, accepts=False)
        if not may_empty or (found.used >= self._rule.below / 100 and not emptying):
            return found
        self._note_left(node.name, emptying=emptying)
        here = leaving(self._world, node.name)
        return replace(found, pods=tuple(self._pod(pod, begun=emptying) for pod in here))

    def _old_enough(self, node: NodeRecord, *, emptying: bool) -> bool:
        """Whether the node may be emptied as far as its age, its state and its last pod decide.

        A node that a node autoscaler is removing is left to it.
        """
        since = self._world.now() - self._rule.node_settle.seconds
        if not takes_pods(node) or node.leaves or node.created > since or self._rests(node.name):
            return False
        return emptying or all(pod.ready_since <= since for pod in leaving(self._world, node.name))

    def _note_left(self, node: NodeName, *, emptying: bool) -> None:
        for pod in leaving(self._world, node):
            one = self._workload_of(pod)
            if one.reason is not None and one.reason is not Left.SETTLING:
                self.left[one.key] = one.reason
            elif not emptying and self._moved_recently(pod, one):
                self.left.setdefault(one.key, Left.MOVED_RECENTLY)

    def _moved_recently(self, pod: PodRecord, one: _Workload) -> bool:
        return self._arrivals.moved(one.key, pod.created, self._world.now(), within=self._rule.empty_for.seconds)

    def _pod(self, pod: PodRecord, *, begun: bool) -> NodePod:
        now, one = self._world.now(), self._workload_of(pod)
        passing = one.reason in (PASSING if begun else {Left.SETTLING})
        settled = pod.ready_since <= now - self._rule.settle.seconds
        again = self._moved_recently(pod, one)
        return NodePod(
            pod.uid,
            one.key,
            pod.requests,
            one.zones,
            movable=(one.reason is None or passing) and (begun or (one.looked_at and not again)),
            ready_to_move=one.reason is None
            and one.looked_at
            and settled
            and not again
            and self._bounds.resting.get(one.key, 0.0) <= now,
            going=pod.uid == one.going,
            surging=one.surging,
            max_skew=one.max_skew,
            zone_key=one.zone_key,
            extended=pod.extended,
            host_ports=pod.host_ports,
        )

    def _workload_of(self, pod: PodRecord) -> _Workload:
        known = self._workloads.get(pod.owner_uid)
        if known is None:
            known = self._workload(pod)
            if pod.owner_uid:
                self._workloads[pod.owner_uid] = known
        return known

    def _workload(self, pod: PodRecord) -> _Workload:
        world, owner = self._world, self._world.state.owner(pod.owner_uid)
        if not isinstance(owner, ReplicaSetRecord) or workload_of(owner).kind not in CAN_SURGE:
            return _Workload(world.owner_of(pod).key, {}, Left.CANNOT_SURGE)
        key, claim = workload_of(owner).key, world.claim_of(owner)
        if claim is None or claim.policy != self._policy:
            return _Workload(key, {}, Left.NOT_GOVERNED)
        if world.governance.is_exact(claim):
            return _Workload(key, {}, Left.EXACT_REPLICAS)
        pods = world.state.active_pods_of(owner.uid)
        zones = pods_by_zone(pods, self._counted, claim.zone_key)
        reason = (
            self._refused.get(key)
            # During a surge the workload is not read again.
            or (self._looks.reason(owner.uid) if may_surge(world, owner) else self._turns.reason(owner, pod))
            or unsettled(world, owner, pods, world.now() - self._rule.settle.seconds)
        )
        surges, going = proven_surge(world, owner) is not None, _going(world, owner)
        return _Workload(key, zones, reason, claim.max_skew, claim.zone_key, self._turns.is_known(owner), surges, going)
