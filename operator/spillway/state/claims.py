"""The claims on pods, by the policies and the namespaces in the state; controllers and webhooks share them."""

from collections.abc import Collection

from spillway.domain.model.owners import LIKE_REPLICASETS
from spillway.domain.model.places import Claim
from spillway.domain.model.records import OwnerRecord, PodRecord
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


def claims_of_pod(state: ClusterState, governance: Governance, pod: PodRecord) -> tuple[Claim, ...]:
    """The claims that may be on a pod; none for one without an owner.

    There is one at most where its owner is followed. Whether a Job is of a CronJob is not known, so each counts as
    both.
    """
    if not pod.owner_uid:
        return ()
    owner = state.owner(pod.owner_uid)
    if owner is not None:
        claims = [claim_of(state, governance, owner)]
    else:
        kinds = ("Job", "CronJob") if pod.owner_kind == "Job" else (pod.owner_kind,)
        claims = [claim_of_pods(state, governance, pod.namespace, kind, pod.labels or {}) for kind in kinds]
    return tuple(claim for claim in claims if claim is not None)


def placing_policies(state: ClusterState, governance: Governance, pod: PodRecord) -> Collection[str]:
    """The policies that may place this pod, whatever its marks say; none for a pod without an owner.

    There is one at most where its owner is followed. Whether a Job is of a CronJob is not known, so each counts as
    both. Of an owner that is not seen yet the kind and the namespace alone are known.
    """
    namespace = state.namespaces.get(pod.namespace)
    if not pod.owner_uid or namespace is None:
        return ()
    followed = pod.owner_kind in LIKE_REPLICASETS or pod.owner_kind == "StatefulSet"
    if followed and state.owner(pod.owner_uid) is None:
        return governance.policies_for(namespace, pod.owner_kind)
    claims = claims_of_pod(state, governance, pod)
    return {claim.policy for claim in claims if governance.placing_class(claim) is not None}


def losers_of(state: ClusterState, governance: Governance, owner: OwnerRecord) -> tuple[str, ...]:
    """The policies that select an owner's pods too, and are younger than the one that governs them."""
    if len(governance.policies) < 2:
        return ()
    namespace = state.namespaces.get(owner.namespace)
    return governance.claimants(namespace, owner.workload_kind, owner.labels)[1:]


def balance_of(state: ClusterState, governance: Governance, owner: OwnerRecord) -> str | None:
    """The ZonalBalance that spreads an owner's pods; None where none does."""
    namespace = state.namespaces.get(owner.namespace)
    return governance.balance_of(namespace, owner.workload_kind, owner.labels)


def has_zones(state: ClusterState, governance: Governance, zone_key: str) -> bool:
    """Whether any physical node has this label; the first one answers, unless there is none."""
    return any(zone_key in node.labels and governance.budget_of(node) is None for node in state.nodes.values())


def lacks_zones(state: ClusterState, governance: Governance, zone_key: str) -> bool:
    """Whether there are physical nodes and none has this label. Without any node nothing is known about labels."""
    physical = [node for node in state.nodes.values() if governance.budget_of(node) is None]
    return bool(physical) and not any(zone_key in node.labels for node in physical)
