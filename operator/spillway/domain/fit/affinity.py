"""Node affinity: what a user's own asks of a node, and how the pools' is joined to it.

Contract: a required affinity is an OR of terms, each an AND of requirements. A pod that may go to several pools gets
each of the user's terms once for each pool, with the pool's requirements added, so a node has to satisfy both; a term
keeps its `matchFields`. A term without any requirement matches no node (Kubernetes has it so) and is left out. Pools
are preferred in their order by weights, beside the user's own preferences, which stay.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from spillway.api.common import LabelSelector
from spillway.domain.model.records import NodeRecord
from spillway.domain.overlay.draft import Operation

Json = Mapping[str, Any]

HEAVIEST: Final = 100
"""Kubernetes allows weights from 1 to 100."""

_NODE_AFFINITY: Final = ("spec", "affinity", "nodeAffinity")
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"


def pool_requirements(selector: LabelSelector) -> list[dict[str, Any]]:
    """A pool's node selector as requirements of a node selector term."""
    exact = [{"key": key, "operator": "In", "values": [value]} for key, value in sorted(selector.match_labels.items())]
    general: list[dict[str, Any]] = [
        {"key": one.key, "operator": one.operator.value, **({"values": list(one.values)} if one.values else {})}
        for one in selector.match_expressions
    ]
    return [*exact, *general]


def affinity_operations(pod: Json, pools: Sequence[LabelSelector]) -> tuple[Operation, ...]:
    """Make these pools, in order of preference, the only nodes on which the pod may run.

    Raises:
        ValueError: no pool is given; that would let the pod run anywhere.
    """
    if not pools:
        raise ValueError("a pod that goes to virtual nodes needs a pool")
    required = [pool_requirements(selector) for selector in pools]
    spec = pod.get("spec") or {}
    affinity = spec.get("affinity") or {}
    present = affinity.get("nodeAffinity") or {}
    users = [term for term in _terms(present) if term.get("matchExpressions") or term.get("matchFields")]
    terms = [_joined(term, requirements) for term in users or [{}] for requirements in required]
    wanted: dict[str, Any] = {**present, _REQUIRED: {"nodeSelectorTerms": terms}}
    if len(pools) > 1:
        own = [
            {"weight": weight, "preference": {"matchExpressions": requirements}}
            for weight, requirements in zip(weights(len(pools)), required, strict=True)
            if weight
        ]
        wanted[_PREFERRED] = [*(present.get(_PREFERRED) or ()), *own]
    if not affinity:
        return (Operation(_NODE_AFFINITY[:2], {"nodeAffinity": wanted}),)
    return (Operation(_NODE_AFFINITY, wanted),)


def weights(count: int) -> tuple[int, ...]:
    """One weight for each of so many pools: from the heaviest in equal steps down to 0, which is no preference.

    As far apart as can be: the default topology spread scores against a full node with the same weight.
    """
    return tuple(HEAVIEST * (count - 1 - index) // max(count - 1, 1) for index in range(count))


def allows(spec: Json, node: NodeRecord) -> bool:
    """Whether the pod's own node selector and required affinity let it run on the node."""
    if any(node.labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    present = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    if present.get(_REQUIRED) is None:
        return True
    return any(_matches(term, node) for term in _terms(present))


def _terms(node_affinity: Json) -> Sequence[Json]:
    return (node_affinity.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()


def _joined(term: Json, requirements: Iterable[Json]) -> dict[str, Any]:
    present = list(term.get("matchExpressions") or ())
    # Asked again with our marks on it, a pod keeps its terms as they are.
    missing = [one for one in requirements if one not in present]
    return {**term, "matchExpressions": [*present, *missing]}


def _matches(term: Json, node: NodeRecord) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    name = {"metadata.name": node.name}
    return all(_holds(one, node.labels) for one in expressions) and all(_holds(one, name) for one in fields)


def _holds(requirement: Json, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.get("key", ""))
    values = requirement.get("values") or ()
    match requirement.get("operator"):
        case "In":
            holds = value in values
        case "NotIn":
            holds = value not in values
        case "Exists":
            holds = value is not None
        case "DoesNotExist":
            holds = value is None
        case "Gt":
            holds = _compared(value, values, 1)
        case "Lt":
            holds = _compared(value, values, -1)
        case _:
            holds = False
    return holds


def _compared(value: str | None, values: Sequence[str], sign: int) -> bool:
    try:
        return value is not None and len(values) == 1 and sign * int(value) > sign * int(values[0])
    except ValueError:
        return False
