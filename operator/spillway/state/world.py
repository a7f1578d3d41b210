"""The world: the state of the cluster, Spillway's resources, and what is derived from both.

Contract: a collection of references, made once; what they refer to changes as the informers and the catalog do.
"""

from collections.abc import Callable
from dataclasses import dataclass

from spillway.domain.model.owners import Owner, owner_of
from spillway.domain.model.places import Claim
from spillway.domain.model.records import OwnerRecord, PodRecord, ReplicaSetRecord
from spillway.domain.policies.governance import Governance
from spillway.domain.scale_down.rollout import is_outgoing
from spillway.state.board import Board
from spillway.state.catalog import Catalog
from spillway.state.claims import claim_of
from spillway.state.cluster import ClusterState
from spillway.state.node_places import NodePlaces
from spillway.state.pool_membership import PoolMembership


@dataclass(frozen=True, slots=True)
class World:
    """Everything a controller reads. `now` is Unix seconds."""

    state: ClusterState
    catalog: Catalog
    places: NodePlaces
    """Shared with admission, so that their answers cannot differ."""
    now: Callable[[], float]
    board: Board
    membership: PoolMembership

    @property
    def governance(self) -> Governance:
        return self.catalog.governance

    @property
    def fresh(self) -> bool:
        """Whether the data is complete and fresh enough to act on."""
        return self.catalog.loaded and not self.state.stale()

    def claim_of(self, owner: OwnerRecord) -> Claim | None:
        """The claim on this owner's pods."""
        return claim_of(self.state, self.governance, owner)

    def is_outgoing(self, replicaset: ReplicaSetRecord) -> bool:
        """Whether a newer ReplicaSet of the same owner is wanted beside this one."""
        return is_outgoing(replicaset, self.state.siblings_of(replicaset))

    def only_recommends(self, owner: OwnerRecord) -> bool:
        """Whether a policy that is not in force governs this owner's pods."""
        claim = self.claim_of(owner)
        return claim is not None and not claim.enforced

    def is_exact(self, owner: OwnerRecord) -> bool:
        """Whether nothing but schedules may change this owner's number of replicas, not even a move for a while."""
        return self.governance.is_exact(self.claim_of(owner))

    def owner_of(self, pod: PodRecord) -> Owner:
        """The workload of this pod: its Deployment if it has one."""
        return owner_of(pod, self.state.owner(pod.owner_uid))
