"""The webhook on CREATE `pods/binding`: a pod gets its deletion cost and its marks in the write that binds it.

Contract: only pods of workloads that an enforcing policy claims are marked. The API server merges a Binding's
annotations into the pod, so no separate write is needed, and there is no race. A deletion cost that the user set stays,
and the pod then gets the other marks alone; so do pods whose controller ignores the cost (Job, StatefulSet). For a
class that places pods, the annotations that the pod's landing variables refer to are added. Nothing is ever denied. A
request that cannot be answered in time is allowed unchanged: the reconciler adds the marks later, except for those
variables, which a container reads when it starts.
"""

from typing import Final

import msgspec

from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer
from spillway.admission.server import LetGoError
from spillway.domain.model.additions import annotation_additions
from spillway.domain.model.names import NodeName
from spillway.domain.model.owners import HONOUR_DELETION_COST, LIKE_REPLICASETS, PER_NODE, OwnerReference
from spillway.domain.model.places import Claim, NodePlace, place_marks
from spillway.domain.model.records import NodeRecord, PodRecord
from spillway.domain.overlay.landing import is_landing, landing_annotation, landing_marks
from spillway.domain.policies.governance import Governance
from spillway.domain.scale_down.foreign_writer import cost_annotations
from spillway.state.claims import claim_of, claim_of_pods
from spillway.state.node_places import NodePlaces
from spillway.webhooks.initial_costs import InitialCosts
from spillway.webhooks.lookup import Lookup
from spillway.webhooks.workloads import Workloads


class _Metadata(msgspec.Struct, frozen=True):
    name: str = ""
    uid: str = ""
    annotations: dict[str, str] | None = None


class _Target(msgspec.Struct, frozen=True):
    name: str = ""
    kind: str = ""


class Binding(msgspec.Struct, frozen=True):
    """`v1` Binding as the scheduler creates it: `metadata` names the pod, `target` the node."""

    metadata: _Metadata
    target: _Target


_decoder: Final = msgspec.json.Decoder(Binding)


class BindingWebhook:
    """The webhook that sets the marks of pods when they are bound."""

    def __init__(self, places: NodePlaces, lookup: Lookup, workloads: Workloads, initial_costs: InitialCosts) -> None:
        self._places = places
        self._lookup = lookup
        self._workloads = workloads
        self._initial_costs = initial_costs
        self._asked: tuple[Governance | None, dict[Claim, frozenset[str]]] = (None, {})
        """Annotations that variables of a claim's pods refer to, for the present policies."""

    async def __call__(self, request: AdmissionRequest, deadline: Deadline) -> Answer:
        if not self._places.has_enforcing_policy:
            return Answer("no-policy")
        if not self._places.state.synced:
            raise LetGoError("not-synced")
        binding = _decoder.decode(request.object)
        if binding.target.kind not in ("", "Node"):
            return Answer("not-a-node")
        name = request.name or binding.metadata.name
        pod = await self._lookup.pod(request.namespace, name, binding.metadata.uid, deadline)
        if pod is None:
            raise LetGoError("unknown-pod")
        if not pod.owner_kind or pod.owner_kind in PER_NODE:
            # No policy applies to bare, per-node and static pods.
            return Answer("ungoverned")
        claim = await self._claim(pod, deadline)
        if claim is None:
            return Answer("ungoverned")
        if not claim.enforced:
            return Answer("recommend")
        node = await self._lookup.node(NodeName(binding.target.name), deadline)
        if node is None:
            raise LetGoError("unknown-node")
        marks, outcome = self._marks(pod, node, claim)
        return Answer(outcome, annotation_additions(binding.metadata.annotations, marks))

    async def _claim(self, pod: PodRecord, deadline: Deadline) -> Claim | None:
        state, governance = self._places.state, self._places.governance
        # OpenKruise has StatefulSets of its own, which the informer does not follow.
        known = state.owner(pod.owner_uid)
        if known is not None:
            return claim_of(state, governance, known)
        if pod.owner_kind not in LIKE_REPLICASETS:
            labels = await self._lookup.pod_labels(pod, deadline)
            if labels is None:
                raise LetGoError("unknown-labels")
            owner = OwnerReference(kind=pod.owner_kind, name=pod.owner_name, uid=pod.owner_uid)
            kind = await self._workloads.kind_of(pod.namespace, owner, deadline)
            if kind is None:
                raise LetGoError("unknown-owner")
            return claim_of_pods(state, governance, pod.namespace, kind, labels)
        replicaset = await self._lookup.replicaset(
            pod.namespace, pod.owner_name, pod.owner_uid, deadline, kind=pod.owner_kind
        )
        if replicaset is None:
            raise LetGoError("unknown-owner")
        return claim_of(state, governance, replicaset)

    def _marks(self, pod: PodRecord, node: NodeRecord, claim: Claim) -> tuple[dict[str, str], str]:
        place = self._places.place(claim.policy, node, zone_key=claim.zone_key)
        # A binding can only set annotations; a mark that is wrong since is removed by the controller of deletion costs.
        found = place_marks(claim.policy, place.tier, place.pool)
        marks = {key: value for key, value in found.items() if value is not None}
        marks |= self._landing(place, node, claim)
        if pod.owner_kind not in HONOUR_DELETION_COST:
            return marks, "marked"
        if pod.deletion_cost is not None and pod.cost_written is None:
            return marks, "own-cost"
        return marks | cost_annotations(self._cost(pod, node, place, claim)), "stamped"

    def _landing(self, place: NodePlace, node: NodeRecord, claim: Claim) -> dict[str, str]:
        """The landing marks of a pod of a class that places pods: its containers' variables refer to them."""
        governance = self._places.governance
        if self._asked[0] is not governance:
            self._asked = (governance, {})
        asked = self._asked[1].get(claim)
        if asked is None:
            asked = self._asked[1][claim] = _asked(governance, claim)
        if not asked:
            return {}
        budget = governance.budgets.get(place.pool)
        marks = landing_marks(place, node.name, None if budget is None else budget.spec.pod_overlay)
        return {key: value for key, value in marks.items() if key in asked}

    def _cost(self, pod: PodRecord, node: NodeRecord, place: NodePlace, claim: Claim) -> int:
        return self._initial_costs.cost(
            pod,
            place,
            self._places.order(claim.policy).get(node.name, 0),
            self._places.state.pods_of(pod.owner_uid),
            lambda name: self._places.place_of(claim.policy, name, zone_key=claim.zone_key).zone,
        )


def _asked(governance: Governance, claim: Claim) -> frozenset[str]:
    """The annotations to which pods of the claim's class can refer, by the overlays of its policy's pools."""
    if governance.placing_class(claim) is None:
        return frozenset()
    overlays = (governance.budgets[pool].spec.pod_overlay for pool in governance.pools_of(claim.policy))
    return frozenset(
        landing_annotation(env) for overlay in overlays if overlay is not None for env in overlay.env if is_landing(env)
    )
