"""The zone of a new replica: a preference for the zone where its own service is most loaded, and an even spread.

Contract: pure. With traffic that stays in its zone, a new replica relieves its service only in the zone in which that
is busiest; elsewhere it lowers the mean, and the HPA adds no other. So zones are preferred by the load of this workload
alone. What its user wrote stays: a spread over the same zones is never added to one of the user's, and the preference
is heavier than all of the user's preferred node affinities together. The additional replica of a move prefers the
planned node, and that outweighs both. Other scores of the scheduler may count for more, as soft taints do. A zone is
preferred only while it stays within `maxSkew` of the emptiest one that is open to the pod: a required spread sees to
that, or `within_skew`.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, cast, get_args

from spillway.api.common import is_label_value
from spillway.api.zonalbalance import ZoneSpread
from spillway.domain.fit.suitability import claims_of
from spillway.domain.model.additions import Addition
from spillway.domain.model.documents import HEAVIEST, PREFERRED, Json
from spillway.domain.model.names import ZONE_SPREAD, NodeName, Zone

_OWN_LABELS: Final = (
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "apps.kruise.io/cloneset-instance-id",
)
"""Labels that each pod of a StatefulSet, or of OpenKruise's CloneSet, has with a value of its own."""

HOSTNAME: Final = "kubernetes.io/hostname"
_HOST_SKEW: Final = 3
"""As in Kubernetes' default constraints, which apply only to pods without any constraint of their own."""
_MOST_TERMS: Final = 100
"""The most preferences of the user's that are outweighed: each hundred of their weight costs one term a zone."""

WhenUnsatisfiable = Literal["DoNotSchedule", "ScheduleAnyway"]
ZoneWeights = Mapping[str, int]
"""The preference for each zone of a workload, 0 (the least loaded ones) to 100; empty where all count as equal."""
NO_WEIGHTS: Final[ZoneWeights] = MappingProxyType({})
"""All zones count as equal."""


@dataclass(frozen=True, slots=True)
class ZoneReading:
    """One reading of the loads of workloads by zone."""

    at: float
    """Unix seconds."""
    weights: Mapping[str, ZoneWeights]
    """By workload, `namespace/name`; absent for one whose zones count as equal."""
    stale_after: float
    """Seconds after which all zones count as equal."""
    nodes: Mapping[Zone, Sequence[NodeName]] = field(default_factory=dict)
    """The physical nodes of each zone at that time."""

    def of(self, namespace: str, name: str, *, now: float) -> ZoneWeights:
        """The preference for a new replica of this workload; empty if the reading is too old."""
        return self.weights.get(f"{namespace}/{name}", NO_WEIGHTS) if now - self.at <= self.stale_after else NO_WEIGHTS


def zone_weights(loads: Mapping[str, float], differs_by_percent: float) -> dict[str, int]:
    """The weights for the zones of a workload with these loads, in any unit; empty where they count as equal.

    The most loaded zone has the greatest weight, the least loaded one none, and zones that differ by less than so many
    percent have the same, so that noise does not prefer one of them. One value that is no load makes all zones equal,
    because what the others are compared with is not known.
    """
    if not all(map(usable_load, loads.values())):
        return {}
    level_of = _levels(loads, differs_by_percent)
    least, most = min(level_of.values(), default=0.0), max(level_of.values(), default=0.0)
    if least == most:
        return {}
    return {zone: round(HEAVIEST * ((level - least) / (most - least))) for zone, level in level_of.items()}


def _levels(loads: Mapping[str, float], differs_by_percent: float) -> dict[str, float]:
    """The load of each zone, with that of the most loaded zone from which it differs by less than so many percent."""
    levels: dict[str, float] = {}
    level = math.inf
    for zone, load in sorted(loads.items(), key=lambda one: -one[1]):
        if level == math.inf or (level > 0 and 100 * ((level - load) / level) >= differs_by_percent):
            level = load
        levels[zone] = level
    return levels


def usable_load(load: float) -> bool:
    """Whether a value can be a load."""
    return math.isfinite(load) and load >= 0


def within_skew(
    weights: ZoneWeights, replicas: Mapping[Zone, int], zones: Collection[Zone], coming: int, max_skew: int
) -> ZoneWeights:
    """Those of the weights whose zone stays within `max_skew` of the emptiest one if it gets one more replica.

    `replicas` are the replicas of one revision of the workload by zone. `zones` are open to the pod; they count also
    without a replica, and no other zone counts, as for a required spread. Without any of them, the zones with replicas
    or a weight count. `coming` are replicas whose zone is not known yet, each of which may be in any zone.
    """
    known = {zone: replicas.get(zone, 0) for zone in zones or {*replicas, *map(Zone, weights)}}
    fullest = min(known.values(), default=0) + max_skew - 1 - coming
    return {zone: weight for zone, weight in weights.items() if weight and known.get(Zone(zone), math.inf) <= fullest}


def requires_spread(pod: Json, zone_key: str, labels: Mapping[str, str], when: WhenUnsatisfiable | None) -> bool:
    """Whether the scheduler keeps the zones of a pod even: by its own constraint, or by one of `spread_additions`."""
    own = [one.get("whenUnsatisfiable") for one in _own_constraints(pod) if one.get("topologyKey") == zone_key]
    return "DoNotSchedule" in own if own else when == "DoNotSchedule" and bool(labels)


def affinity_additions(
    pod: Json, zone_key: str, weights: ZoneWeights, *, apart: Json | None = None, node: NodeName | None = None
) -> tuple[Addition, ...]:
    """Prefer nodes by these weights of their zones, more than by all preferences of the user's together.

    `apart` is a preferred term of pod anti-affinity to be added, or None. `node` is preferred more than all others,
    whatever their zones; None for no node.
    """
    affinity = (pod.get("spec") or {}).get("affinity") or {}
    parts: dict[str, Json] = {}
    preferred = _preferred(affinity.get("nodeAffinity") or {}, zone_key, weights, node)
    if preferred is not None:
        parts["nodeAffinity"] = preferred
    anti = affinity.get("podAntiAffinity") or {}
    if apart is not None and apart not in (anti.get(PREFERRED) or ()):
        parts["podAntiAffinity"] = {**anti, PREFERRED: [*(anti.get(PREFERRED) or ()), apart]}
    if not affinity:
        return (Addition(("spec", "affinity"), parts),) if parts else ()
    return tuple(Addition(("spec", "affinity", name), part) for name, part in parts.items())


def _preferred(node_affinity: Json, zone_key: str, weights: ZoneWeights, node: NodeName | None) -> Json | None:
    """The node affinity with those of these preferences that are not there yet; None if that is none.

    None also for preferences that no addition of reasonable size outweighs: more than a hundred, or invalid ones.
    """
    present = list(node_affinity.get(PREFERRED) or ())
    zones = _zone_terms(zone_key, weights)
    nodes = [] if node is None else [{"weight": HEAVIEST, "preference": _named(node)}]
    # What is there already was added before: the webhook is called again, because another one has changed the pod.
    zones = [] if any(term in present for term in zones) else zones
    nodes = [] if any(term in present for term in nodes) else nodes
    if not (zones or nodes):
        return None
    theirs = [term.get("weight") or 0 for term in present]
    if len(present) > _MOST_TERMS or not all(0 <= weight <= HEAVIEST for weight in theirs):
        # The API server refuses such weights, but only after its webhooks have answered.
        return None
    times = 1 + sum(theirs) // HEAVIEST
    # What a node of the heaviest zone has, if all of the user's preferences hold there.
    others = sum(theirs) + (times * max(weights.values()) if zones else 0)
    return {**node_affinity, PREFERRED: [*present, *(zones * times), *(nodes * (1 + others // HEAVIEST))]}


def _zone_terms(zone_key: str, weights: ZoneWeights) -> list[Json]:
    """The preferences for these zones, each once.

    kube-scheduler would not place a pod that prefers an invalid value; the API server accepts such a pod. The second
    requirement of a term follows from the first, and distinguishes the term from one that a user would write.
    """
    exists = {"key": zone_key, "operator": "Exists"}
    return [
        {
            "weight": weight,
            "preference": {"matchExpressions": [{"key": zone_key, "operator": "In", "values": [zone]}, exists]},
        }
        for zone, weight in sorted(weights.items())
        if weight and is_label_value(zone)
    ]


def prefers_zones(pod: Json, zone_key: str, weights: ZoneWeights) -> bool:
    """Whether a pod has one of these preferences already, as if `affinity_additions` had been applied to it."""
    present = _preferred_terms(pod)
    return any(term in present for term in _zone_terms(zone_key, weights))


def prefers_node(pod: Json) -> bool:
    """Whether a pod prefers a node by its name, as `affinity_additions` adds it to the additional replica of a move."""
    return any((term.get("preference") or {}).get("matchFields") for term in _preferred_terms(pod))


def _preferred_terms(pod: Json) -> Sequence[Json]:
    affinity = ((pod.get("spec") or {}).get("affinity") or {}).get("nodeAffinity") or {}
    return affinity.get(PREFERRED) or ()


def planned_node(affinity: Json) -> NodeName | None:
    """The node that a pod with this affinity prefers by its name, as `affinity_additions` wrote it; None for none."""
    for term in (affinity.get("nodeAffinity") or {}).get(PREFERRED) or ():
        fields = term["preference"].get("matchFields") or ()
        node = NodeName((fields[0].get("values") or [""])[0]) if fields else NodeName("")
        if term == {"weight": HEAVIEST, "preference": _named(node)}:
            return node
    return None


def _named(node: NodeName) -> Json:
    """The preference for one node."""
    return {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}


def shared_labels(pod: Json) -> dict[str, str]:
    """The labels of a pod that the other pods of its owner have as well."""
    return {key: value for key, value in _labels(pod).items() if key not in _OWN_LABELS}


def _labels(pod: Json) -> Mapping[str, str]:
    return (pod.get("metadata") or {}).get("labels") or {}


def when_unsatisfiable(spread: ZoneSpread | None, pod: Json) -> WhenUnsatisfiable | None:
    """How a pod is spread over zones: as its label says, else as `zoneSpread` does; None for not at all.

    A pod with a claim may have a volume that is bound to one zone, where a spread that is required could keep it
    waiting for ever, so it only prefers to be spread.
    """
    asked = _labels(pod).get(ZONE_SPREAD, "")
    if spread is None or asked == "None":
        return None
    if asked in get_args(WhenUnsatisfiable):
        return cast(WhenUnsatisfiable, asked)
    return "ScheduleAnyway" if claims_of(pod) else spread.when_unsatisfiable


def required_constraint(
    pod: Json, zone_key: str, labels: Mapping[str, str], *, max_skew: int, when: WhenUnsatisfiable | None
) -> Json | None:
    """The constraint that the scheduler has to keep, of those of `spread_additions`; None if there is none."""
    if when != "DoNotSchedule" or not labels or _spreads_itself(pod, zone_key):
        return None
    return _constraint(zone_key, labels, max_skew, when)


def spread_additions(
    pod: Json, zone_key: str, labels: Mapping[str, str], *, max_skew: int, when: WhenUnsatisfiable, prefers: bool
) -> tuple[Addition, ...]:
    """Spread the pods with these labels over the zones, unless the user's own constraints do.

    Nodes with a taint that the pod does not tolerate do not count, so a zone whose nodes are down keeps no pod waiting.
    A pod that `prefers` a zone or a node gets only what is required: the scheduler would weigh an even distribution
    against the preference.
    """
    if not labels or _spreads_itself(pod, zone_key):
        return ()
    added: list[Json] = []
    if when == "DoNotSchedule" or not prefers:
        added.append(_constraint(zone_key, labels, max_skew, when))
    if when == "DoNotSchedule" and max_skew > 1 and not prefers:
        # What is required leaves room to be uneven, and Kubernetes' default constraint over zones does not apply.
        added.append(_constraint(zone_key, labels, 1, "ScheduleAnyway"))
    if _own_constraints(pod):
        return tuple(Addition(("spec", "topologySpreadConstraints", "-"), one) for one in added)
    # Kubernetes' default constraints go with the first of the pod's own; the one over nodes is worth keeping.
    nodes = {
        "maxSkew": _HOST_SKEW,
        "topologyKey": HOSTNAME,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(labels)},
    }
    return (Addition(("spec", "topologySpreadConstraints"), [*added, nodes]),)


def _own_constraints(pod: Json) -> Sequence[Json]:
    return (pod.get("spec") or {}).get("topologySpreadConstraints") or ()


def _spreads_itself(pod: Json, zone_key: str) -> bool:
    """Whether one of the pod's own constraints is over these zones."""
    return any(one.get("topologyKey") == zone_key for one in _own_constraints(pod))


def _constraint(zone_key: str, labels: Mapping[str, str], max_skew: int, when: WhenUnsatisfiable) -> dict[str, Any]:
    return {
        "topologyKey": zone_key,
        "labelSelector": {"matchLabels": dict(labels)},
        "nodeTaintsPolicy": "Honor",
        "maxSkew": max_skew,
        "whenUnsatisfiable": when,
    }
