"""What is added to a new pod: a spread over zones, a preference for zones or for a node, and the load class.

Contract: the spread follows from the resources and the nodes alone, so every replica answers the same; the preference
for the zones that need the pod most, and the class of its workload, need what only the leader reads. A pod that a
policy in Recommend governs is left as it is, and so is one without replicas. Where no physical node has the zone key
there is no spread, which would keep every pod waiting. The additional replica of a move prefers the planned node, with
or without a ZonalBalance.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from spillway.api.zonalbalance import ZonalBalance
from spillway.domain.balance.classes import anti_affinity_term, class_of_pod, label_additions
from spillway.domain.balance.zones import (
    NO_WEIGHTS,
    ZoneWeights,
    affinity_additions,
    prefers_node,
    prefers_zones,
    requires_spread,
    shared_labels,
    spread_additions,
    within_skew,
)
from spillway.domain.fit.node_fit import NodeFit, constraints, takes_pods
from spillway.domain.fit.term_count import weight_of
from spillway.domain.model.additions import Addition
from spillway.domain.model.documents import Json
from spillway.domain.model.names import ZONE_LABEL, NodeName, OwnerUid, Zone
from spillway.domain.model.places import Claim
from spillway.domain.model.records import PodRecord
from spillway.domain.model.remember import FairMemory, KeptFor
from spillway.state.board import Board
from spillway.state.node_places import NodePlaces
from spillway.state.reservations import RESERVATION_SECONDS
from spillway.state.zone_spread import balance_of_new_pods, spread_of_new_pod
from spillway.webhooks.workloads import Workload

_REMEMBERED: Final = 4096
_SHAPES: Final = 256
"""Pods that differ in which nodes may take them, for which the zones that are open to them are remembered."""
_SHAPE_SECONDS: Final = 5.0
"""How long they are: for a zone that is closed to a pod its nodes are looked at, one after the other."""
_NODE_WEIGHT: Final = 60
"""What looking at a node costs beside the weight of what a pod says about nodes (`term_count`), measured."""
_MOST_WEIGHT: Final = 300_000
"""What may be spent on a zone, some 8 ms for 5,000 nodes; a zone with more nodes than that counts as open."""


class _Answered(NamedTuple):
    """An answer with a preference, whose pod the informer may not show yet."""

    at: float
    """Unix seconds."""
    seen: int
    """How many active pods of the owner the informer showed then."""


class Zones:
    """The zones of new pods, by the ZonalBalances."""

    def __init__(self, places: NodePlaces, board: Board) -> None:
        self._places = places
        self._board = board
        self._answered: FairMemory[tuple[str, OwnerUid], tuple[_Answered, ...]] = FairMemory(_REMEMBERED)
        """By namespace and owner: of a kind that is not followed, anybody can name the owner of another namespace."""
        self._open: KeptFor[tuple[str, bytes], frozenset[Zone]] = KeptFor(_SHAPE_SECONDS, _SHAPES, board.now)
        """By ZonalBalance and a digest of what decides which nodes may take a pod: the zones that are open to it."""

    def balance(self, namespace: str, workload: Workload, claim: Claim | None) -> ZonalBalance | None:
        """The ZonalBalance that adds something to new pods of the workload; None if none does."""
        if not workload.numbered:
            return None
        state, governance = self._places.state, self._places.governance
        return balance_of_new_pods(state, governance, namespace, workload.kind, workload.labels, claim=claim)

    def additions(
        self,
        balance: ZonalBalance | None,
        pod: Json,
        workload: Workload,
        replicas_of: OwnerUid,
        *,
        planned: NodeName | None,
        created: bool,
    ) -> tuple[Addition, ...]:
        """What is added to a pod of this owner that stays on physical nodes.

        `planned` is the node of the move that it is for. A pod that is `created`, so not in a dry run, counts as one
        whose zone is not known yet until the informer shows it.
        """
        if balance is None:
            return affinity_additions(pod, ZONE_LABEL, NO_WEIGHTS, node=planned)
        spec = balance.spec
        owner = workload.owner
        weights = NO_WEIGHTS
        if spec.zone_preference is not None:
            weights = self._board.zone_weights(balance.metadata.name, owner.namespace, owner.name)
        labels = shared_labels(pod)
        when = spread_of_new_pod(self._places.state, self._places.governance, spec, pod)
        # A pod that has the preference is asked about again, because another webhook has changed it.
        again = prefers_zones(pod, spec.zone_key, weights)
        if weights and not again and not requires_spread(pod, spec.zone_key, labels, when):
            weights = self._within_skew(weights, balance, pod, owner.namespace, replicas_of, counts=created)
        spread: tuple[Addition, ...] = ()
        if when is not None:
            prefers = bool(weights) or planned is not None or prefers_node(pod)
            spread = spread_additions(pod, spec.zone_key, labels, max_skew=spec.max_skew, when=when, prefers=prefers)
        load_class = None
        if spec.spreads_classes:
            load_class = class_of_pod(pod, self._board.load_classes.get(balance.metadata.name, {}).get(owner.key))
        term = None if load_class is None else anti_affinity_term(load_class)
        return (
            *(() if load_class is None else label_additions(pod, load_class)),
            *affinity_additions(pod, spec.zone_key, weights, apart=term, node=planned),
            *spread,
        )

    def _within_skew(
        self,
        weights: ZoneWeights,
        balance: ZonalBalance,
        pod: Json,
        namespace: str,
        owner: OwnerUid,
        *,
        counts: bool,
    ) -> ZoneWeights:
        """The weights for a pod without a required spread, which would keep its owner's replicas within `maxSkew`.

        If it `counts`, it is one whose zone is not known yet until the informer shows it.
        """
        state, spec = self._places.state, balance.spec
        replicas: Counter[Zone] = Counter()
        key = namespace, owner
        pods = [one for one in state.active_pods_of(owner) if one.namespace == namespace]
        coming = self._coming(key, len(pods))
        for one in pods:
            node = state.nodes.get(one.node)
            if node is None:
                coming += not self._stays_out(one)
            elif self._places.governance.budget_of(node) is None and (zone := node.zone_by(spec.zone_key)):
                replicas[zone] += 1
        found = within_skew(weights, replicas, self._open_zones(balance, pod), coming, spec.max_skew)
        if found and counts:
            answered = (*(self._answered.get(key) or ()), _Answered(self._board.now(), len(pods)))
            self._answered.put(key, answered, share=namespace)
        return found

    def _open_zones(self, balance: ZonalBalance, pod: Json) -> Collection[Zone]:
        """The zones with a physical node that takes pods and on which this one may run; full ones as well.

        If a pod says so much about nodes that not all those of a zone are looked at, the zone counts as open.
        """
        name, spec = balance.metadata.name, pod.get("spec") or {}
        key = name, hashlib.blake2b(constraints(spec), digest_size=16).digest()
        known = self._open.get(key)
        if known is None:
            reading, most = self._board.zone_readings.get(name), _MOST_WEIGHT // (_NODE_WEIGHT + weight_of(spec))
            zones = {} if reading is None else reading.nodes
            fit = NodeFit(spec)
            known = frozenset(zone for zone, names in zones.items() if self._is_open(fit, names, most))
            self._open.put(key, known)
        return known

    def _is_open(self, fit: NodeFit, names: Sequence[NodeName], most: int) -> bool:
        nodes = self._places.state.nodes
        compared = (nodes.get(name) for name in names[:most])
        return len(names) > most or any(node is not None and takes_pods(node) and fit.admits(node) for node in compared)

    def _stays_out(self, pod: PodRecord) -> bool:
        """Whether a pod without a node will come to no zone soon: it is for a pool, or no node has room for it."""
        pending = pod.pending
        since = 0.0 if pending is None else pending.unschedulable_since
        return (pending is not None and pending.virtual) or 0.0 < since <= self._board.now() - RESERVATION_SECONDS

    def _coming(self, key: tuple[str, OwnerUid], seen: int) -> int:
        """How many pods of this owner were answered with a preference, and are not among the `seen` ones yet."""
        since = self._board.now() - RESERVATION_SECONDS
        answered = tuple(one for one in self._answered.get(key) or () if one.at >= since)
        if not answered:
            self._answered.pop(key)
            return 0
        self._answered.update(key, answered)
        return max(0, len(answered) - max(0, seen - answered[0].seen))
