"""The spread over zones that admission adds to new pods; the webhook and the planners of moves share it.

Contract: it follows from the resources, the namespaces and the nodes alone, so every replica of the operator answers
the same. Of what admission adds, only a constraint that the scheduler has to keep matters for where a pod may run.
"""

from spillway.api.zonalbalance import ZonalBalance, ZonalBalanceSpec
from spillway.domain.balance.zones import WhenUnsatisfiable, required_constraint, shared_labels, when_unsatisfiable
from spillway.domain.model.documents import Json
from spillway.domain.model.places import Claim
from spillway.domain.model.records import ReplicaSetRecord
from spillway.domain.model.selectors import Labels
from spillway.domain.policies.governance import Governance
from spillway.state.claims import claim_of, has_zones
from spillway.state.cluster import ClusterState


def balance_of_new_pods(
    state: ClusterState, governance: Governance, namespace: str, kind: str, labels: Labels, *, claim: Claim | None
) -> ZonalBalance | None:
    """The ZonalBalance that adds something to new pods of a workload of this kind; None if none does.

    `claim` is the claim on the workload: where its policy is in Recommend, nothing is added.
    """
    if not governance.balances_new_pods or (claim is not None and not claim.enforced):
        return None
    name = governance.balance_of(state.namespaces.get(namespace), kind, labels)
    found = None if name is None else governance.balances[name]
    return found if found is not None and found.spec.changes_pods else None


def spread_of_new_pod(
    state: ClusterState, governance: Governance, balance: ZonalBalanceSpec, pod: Json
) -> WhenUnsatisfiable | None:
    """How a new pod is spread over zones; None for not at all, as where no physical node has the zone key."""
    when = when_unsatisfiable(balance.zone_spread, pod)
    return when if when is not None and has_zones(state, governance, balance.zone_key) else None


def admitted_spec(state: ClusterState, governance: Governance, owner: ReplicaSetRecord, spec: Json) -> Json:
    """The spec of one more pod for physical nodes with the spread that admission will require of it.

    `spec` is that of the pod template. The labels are those of the owner's pods: a Deployment's template lacks
    `pod-template-hash`, by which the constraint selects too.
    """
    claim = claim_of(state, governance, owner)
    balance = balance_of_new_pods(state, governance, owner.namespace, owner.workload_kind, owner.labels, claim=claim)
    if balance is None:
        return spec
    pod, rule = {"metadata": {"labels": owner.labels}, "spec": spec}, balance.spec
    when = spread_of_new_pod(state, governance, rule, pod)
    added = required_constraint(pod, rule.zone_key, shared_labels(pod), max_skew=rule.max_skew, when=when)
    if added is None:
        return spec
    return {**spec, "topologySpreadConstraints": [*(spec.get("topologySpreadConstraints") or ()), added]}
