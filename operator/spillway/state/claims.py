"""The claims on pods, by the policies and the namespaces in the state; controllers and webhooks share them."""

from spillway.domain.model.places import Claim
from spillway.domain.model.records import OwnerRecord, ReplicaSetRecord
from spillway.domain.model.selectors import Labels
from spillway.domain.policies.governance import Governance
from spillway.state.cluster import ClusterState


def claim_of(state: ClusterState, governance: Governance, owner: OwnerRecord) -> Claim | None:
    """The claim on an owner's pods; None where no policy governs them."""
    return claim_of_pods(state, governance, owner.namespace, owner.workload_kind, owner.labels)


def claim_of_pods(
    state: ClusterState, governance: Governance, namespace: str, kind: str, labels: Labels
) -> Claim | None:
    """The claim on pods with these labels, whose workload is of this kind; None where no policy governs them."""
    return governance.claim(state.namespaces.get(namespace), kind, labels)


def losers_of(state: ClusterState, governance: Governance, owner: OwnerRecord) -> tuple[str, ...]:
    """The policies that select an owner's pods too, and are younger than the one that governs them."""
    if len(governance.policies) < 2:
        return ()
    namespace = state.namespaces.get(owner.namespace)
    return governance.claimants(namespace, owner.workload_kind, owner.labels)[1:]


def balance_of(state: ClusterState, governance: Governance, replicaset: ReplicaSetRecord) -> str | None:
    """The ZonalBalance that spreads a ReplicaSet's pods; None where none does."""
    namespace = state.namespaces.get(replicaset.namespace)
    return governance.balance_of(namespace, replicaset.workload_kind, replicaset.labels)
