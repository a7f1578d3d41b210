"""The rule of node selectors and required node affinity (the scheduler's NodeAffinity).

Contract: a required affinity is an OR of terms, each an AND of requirements on labels (`matchExpressions`) and on the
node's name (`matchFields`). A term without any requirement matches no node.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from spillway.api.common import LabelSelector
from spillway.domain.fit.rule import NodeTest
from spillway.domain.model.documents import REQUIRED, Json
from spillway.domain.model.records import NodeRecord


def node_affinity(spec: Json) -> NodeTest | None:
    """The test that refuses nodes that the pod's own node selector or required affinity excludes."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    if not spec.get("nodeSelector") and affinity.get(REQUIRED) is None:
        return None
    return lambda node: "" if allows(spec, node) else "that the pod's node selector or affinity allows"


def allows(spec: Json, node: NodeRecord) -> bool:
    """Whether the pod's own node selector and required affinity let it run on the node."""
    if any(node.labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    present = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    if present.get(REQUIRED) is None:
        return True
    return matches_any(required_terms(present), node)


def matches_any(terms: Sequence[Mapping[str, Any]], node: NodeRecord) -> bool:
    """Whether the node matches one of these node selector terms."""
    return any(_matches(term, node) for term in terms)


def required_terms(affinity: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The terms of a node affinity that a node must satisfy, one of them at least."""
    return (affinity.get(REQUIRED) or {}).get("nodeSelectorTerms") or ()


def selector_requirements(selector: LabelSelector) -> list[dict[str, Any]]:
    """A label selector as requirements of a node selector term."""
    exact = [{"key": key, "operator": "In", "values": [value]} for key, value in sorted(selector.match_labels.items())]
    general: list[dict[str, Any]] = [
        {"key": one.key, "operator": one.operator.value, **({"values": list(one.values)} if one.values else {})}
        for one in selector.match_expressions
    ]
    return [*exact, *general]


def _matches(term: Mapping[str, Any], node: NodeRecord) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    name = {"metadata.name": node.name}
    return all(_holds(one, node.labels) for one in expressions) and all(_holds(one, name) for one in fields)


def _holds(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
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
