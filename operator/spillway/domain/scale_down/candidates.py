"""The candidates of a scale-down: one flat record for each pod of a ReplicaSet, with everything that its place decides.

Contract: `candidates_of` keeps the pods that the ReplicaSet controller counts (active ones) and nothing else, so the
number of candidates is the number of pods from which Kubernetes chooses.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType

import msgspec

from spillway.domain.model.names import NodeName, OwnerUid, PodUid, Tier, Zone
from spillway.domain.model.places import NodePlace, remembered_place
from spillway.domain.model.records import NodeRecord, Phase, PodRecord, ReplicaSetRecord, ReplicationControllerRecord


class Candidate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One active pod of a ReplicaSet that might be scaled down. Times are Unix seconds; 0.0 means "never"."""

    uid: PodUid
    name: str = ""
    node: NodeName = NodeName("")
    """Empty while unassigned."""
    zone: Zone = Zone("")
    """Empty while unassigned or where the node has no zone: such a pod counts in no zone's total."""
    tier: Tier = Tier.FIXED
    pool: str = ""
    """On a virtual node: the VirtualNodeBudget's name."""
    price_rank: int = 0
    """Among virtual pools: the highest goes first."""
    node_order: int = 0
    """On an elastic node: its place in the shared emptying order; the highest empties first."""
    phase: Phase = Phase.RUNNING
    ready: bool = True
    ready_since: float = 0.0
    created: float = 0.0
    restarts: int = 0
    sidecar_restarts: int = 0
    deletion_cost: int = 0
    """What Kubernetes counts: 0 where the annotation is absent."""
    stamped: bool = True
    """Whether the pod carries a deletion cost at all."""
    same_node_owner_pods: int = 0
    """Active pods on its node of every ReplicaSet of its Deployment, itself included; 0 without a Deployment."""
    zone_weight: int = 0
    """How much its zone is preferred for a new replica of the workload, 0 to 100: most where its own load is highest;
    0 in all zones where they count as equal."""
    node_hot: bool = False
    """Whether its node is hot: it carries the taint of a ZonalBalance, which every replica sees."""
    replaced: bool = False
    """Whether a surge replaces it: the mark on the ReplicaSet, which every replica sees, names it."""

    @property
    def assigned(self) -> bool:
        return bool(self.node)

    @property
    def place(self) -> NodePlace:
        return NodePlace(tier=self.tier, zone=self.zone, pool=self.pool, price_rank=self.price_rank)


def candidates_of(
    pods: Iterable[PodRecord],
    nodes: Mapping[NodeName, NodeRecord],
    place: Callable[[NodeRecord], NodePlace],
    order: Mapping[NodeName, int],
    *,
    related: Mapping[NodeName, int],
    replaced: PodUid | None = None,
    zone_weights: Mapping[str, int] = MappingProxyType({}),
) -> tuple[Candidate, ...]:
    """One candidate for each active pod of one ReplicaSet.

    `place` gives the place of a node for the policy that governs the workload; `order` is the emptying order. `related`
    is what `related_pods` counts; `replaced` is the pod that a surge replaces; `zone_weights` are the preferences for
    zones. A pod on a node that is not known (any more) has the place that `remembered_place` gives, no zone, and
    empties last.
    """
    active = [pod for pod in pods if pod.active]
    places: dict[NodeName, NodePlace] = {}
    for name in {pod.node for pod in active}:
        node = nodes.get(name)
        if node is not None:
            places[name] = place(node)
    hot = {name for name in places if nodes[name].hot}
    return tuple(
        Candidate(
            uid=pod.uid,
            name=pod.name,
            node=pod.node,
            zone=where.zone,
            tier=where.tier,
            pool=where.pool,
            price_rank=where.price_rank,
            node_order=order.get(pod.node, 0),
            phase=pod.phase,
            ready=pod.ready,
            ready_since=pod.ready_since,
            created=pod.created,
            restarts=pod.restarts,
            sidecar_restarts=pod.sidecar_restarts,
            deletion_cost=pod.deletion_cost or 0,
            stamped=pod.deletion_cost is not None,
            same_node_owner_pods=related.get(pod.node, 0) if pod.node else 0,
            zone_weight=zone_weights.get(where.zone, 0),
            node_hot=pod.node in hot,
            replaced=pod.uid == replaced,
        )
        for pod in active
        for where in (places.get(pod.node) or remembered_place(pod),)
    )


def related_pods(
    replicaset: ReplicaSetRecord,
    siblings: Iterable[ReplicaSetRecord],
    pods_of: Callable[[OwnerUid], Collection[PodRecord]],
) -> Mapping[NodeName, int]:
    """Count by node the active pods of every ReplicaSet of the same Deployment: what Kubernetes calls doubled up.

    `siblings` are the ReplicaSets of the same owner, this one included. A ReplicaSet without an owner has no related
    pods, not even its own; nor has a ReplicationController, because Kubernetes finds related pods by an index of
    ReplicaSets alone.
    """
    if not replicaset.owner_uid or isinstance(replicaset, ReplicationControllerRecord):
        return {}
    return Counter(pod.node for sibling in siblings for pod in pods_of(sibling.uid) if pod.node and pod.active)
