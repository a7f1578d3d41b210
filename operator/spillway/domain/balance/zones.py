"""The zone of a new replica: a preference for the zone where its own service is most loaded, and an even spread.

Contract: pure. With traffic that stays in its zone, a new replica relieves its service only in the zone in which that
is busiest; elsewhere it lowers the mean, and the HPA adds no other. So zones are preferred by the load of this workload
alone. What its user wrote stays: a spread over the same zones is never added to one of the user's, and the preference
is heavier than all of the user's preferred node affinities together. The additional replica of a move prefers the
planned node, and that outweighs both. Other scores of the scheduler may count for more, as soft taints do.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

from spillway.domain.model.additions import Addition
from spillway.domain.model.documents import HEAVIEST, PREFERRED, Json
from spillway.domain.model.names import NodeName

HOSTNAME: Final = "kubernetes.io/hostname"
_HOST_SKEW: Final = 3
"""As in Kubernetes' default constraints, which apply only to pods without any constraint of their own."""
_MOST_TERMS: Final = 100
"""The most preferences of the user's that are outweighed: each hundred of their weight costs one term a zone."""

WhenUnsatisfiable = Literal["DoNotSchedule", "ScheduleAnyway"]
ZoneWeights = Mapping[str, int]
"""The preference for each zone, 1 to 100; zones that are not preferred are absent."""
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
    weights = {zone: round(HEAVIEST * ((level - least) / (most - least))) for zone, level in level_of.items()}
    return {zone: weight for zone, weight in weights.items() if weight}


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
    """The node affinity with these preferences; None if they are there already, or nodes are equal.

    None also for preferences that no addition of reasonable size outweighs: more than a hundred, or invalid ones.
    """
    present = list(node_affinity.get(PREFERRED) or ())
    zones = [
        {
            "weight": weight,
            "preference": {"matchExpressions": [{"key": zone_key, "operator": "In", "values": [zone]}]},
        }
        for zone, weight in sorted(weights.items())
    ]
    nodes = [] if node is None else [{"weight": HEAVIEST, "preference": _named(node)}]
    if not (zones or nodes) or any(term in present for term in (*zones, *nodes)):
        # The webhook is called again, because another one has changed the pod.
        return None
    theirs = [term.get("weight") or 0 for term in present]
    if len(present) > _MOST_TERMS or not all(0 <= weight <= HEAVIEST for weight in theirs):
        # The API server refuses such weights, but only after its webhooks have answered.
        return None
    times = 1 + sum(theirs) // HEAVIEST
    # What a node of the heaviest zone has, if all of the user's preferences hold there.
    others = sum(theirs) + (times * max(weights.values()) if weights else 0)
    return {**node_affinity, PREFERRED: [*present, *(zones * times), *(nodes * (1 + others // HEAVIEST))]}


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


def spread_additions(
    pod: Json, zone_key: str, labels: Mapping[str, str], *, max_skew: int, when: WhenUnsatisfiable
) -> tuple[Addition, ...]:
    """Spread the pods with these labels over the zones, unless the user's own constraints do.

    Nodes with a taint that the pod does not tolerate do not count, so a zone whose nodes are down keeps no pod waiting.
    """
    present = (pod.get("spec") or {}).get("topologySpreadConstraints") or ()
    if not labels or any(one.get("topologyKey") == zone_key for one in present):
        return ()
    selector = {"matchLabels": dict(labels)}
    zones: dict[str, Any] = {
        "maxSkew": max_skew,
        "topologyKey": zone_key,
        "whenUnsatisfiable": when,
        "labelSelector": selector,
        "nodeTaintsPolicy": "Honor",
    }
    if present:
        return (Addition(("spec", "topologySpreadConstraints", "-"), zones),)
    # Kubernetes' default constraints go with the first of the pod's own; the one over nodes is worth keeping.
    nodes = {
        "maxSkew": _HOST_SKEW,
        "topologyKey": HOSTNAME,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selector,
    }
    return (Addition(("spec", "topologySpreadConstraints"), [zones, nodes]),)
