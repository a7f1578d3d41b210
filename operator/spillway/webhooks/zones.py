"""What is added to a new pod: a spread over zones, a preference for zones or for a node, and the load class.

Contract: the spread follows from the resources and the nodes alone, so every replica answers the same; the preference
for the zones that need the pod most, and the class of its workload, need what only the leader reads. A pod that a
policy in Recommend governs is left as it is, and so is one without replicas. Where no physical node has the zone key
there is no spread, which would keep every pod waiting. The additional replica of a move prefers the planned node, with
or without a ZonalBalance.
"""

from collections.abc import Mapping
from typing import Final, cast, get_args

from spillway.api.zonalbalance import ZonalBalance
from spillway.domain.balance.classes import anti_affinity_term, class_of_pod, label_additions
from spillway.domain.balance.zones import NO_WEIGHTS, WhenUnsatisfiable, affinity_additions, spread_additions
from spillway.domain.fit.suitability import claims_of
from spillway.domain.model.additions import Addition
from spillway.domain.model.documents import Json
from spillway.domain.model.names import ZONE_LABEL, ZONE_SPREAD, NodeName
from spillway.domain.model.places import Claim
from spillway.state.board import Board
from spillway.state.claims import has_zones
from spillway.state.node_places import NodePlaces
from spillway.webhooks.workloads import Workload

_OWN_LABELS: Final = (
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "apps.kruise.io/cloneset-instance-id",
)
"""Labels that each pod of a StatefulSet, or of OpenKruise's CloneSet, has with a value of its own."""


class Zones:
    """The zones of new pods, by the ZonalBalances."""

    def __init__(self, places: NodePlaces, board: Board) -> None:
        self._places = places
        self._board = board

    def balance(self, namespace: str, workload: Workload, claim: Claim | None) -> ZonalBalance | None:
        """The ZonalBalance that adds something to new pods of the workload; None if none does."""
        governance = self._places.governance
        if not governance.balances_new_pods or not workload.numbered or (claim is not None and not claim.enforced):
            return None
        record = self._places.state.namespaces.get(namespace)
        name = governance.balance_of(record, workload.kind, workload.labels)
        found = None if name is None else governance.balances[name]
        return found if found is not None and found.spec.changes_pods else None

    def additions(
        self, balance: ZonalBalance | None, pod: Json, workload: Workload, *, planned: NodeName | None
    ) -> tuple[Addition, ...]:
        """What is added to a pod that stays on physical nodes; `planned` is the node of the move that it is for."""
        if balance is None:
            return affinity_additions(pod, ZONE_LABEL, NO_WEIGHTS, node=planned)
        spec = balance.spec
        owner = workload.owner
        weights = self._board.zone_weights(balance.metadata.name, owner.namespace, owner.name)
        labels = {key: value for key, value in _labels(pod).items() if key not in _OWN_LABELS}
        when = _when(balance, pod, labels)
        spread: tuple[Addition, ...] = ()
        if when is not None and has_zones(self._places.state, self._places.governance, spec.zone_key):
            spread = spread_additions(pod, spec.zone_key, labels, max_skew=spec.max_skew, when=when)
        load_class = None
        if spec.spreads_classes:
            load_class = class_of_pod(pod, self._board.load_classes.get(balance.metadata.name, {}).get(owner.key))
        term = None if load_class is None else anti_affinity_term(load_class)
        return (
            *(() if load_class is None else label_additions(pod, load_class)),
            *affinity_additions(pod, spec.zone_key, weights, apart=term, node=planned),
            *spread,
        )


def _when(balance: ZonalBalance, pod: Json, labels: Mapping[str, str]) -> WhenUnsatisfiable | None:
    """How pods are spread over zones: as the pod's label says, else as the ZonalBalance does; None for not at all.

    A pod with a claim may have a volume that is bound to one zone, where a spread that is required could keep it
    waiting for ever, so it only prefers to be spread.
    """
    spread = balance.spec.zone_spread
    asked = labels.get(ZONE_SPREAD, "")
    if spread is None or asked == "None":
        return None
    if asked in get_args(WhenUnsatisfiable):
        return cast(WhenUnsatisfiable, asked)
    return "ScheduleAnyway" if claims_of(pod) else spread.when_unsatisfiable


def _labels(pod: Json) -> Mapping[str, str]:
    return (pod.get("metadata") or {}).get("labels") or {}
