"""The rule of required topology spread, as far as a node's labels decide it (the scheduler's PodTopologySpread).

Contract: a node without the label by which a pod must spread (`whenUnsatisfiable: DoNotSchedule`) is refused. Whether
the spread would become too uneven is left to the scheduler.
"""

from spillway.domain.fit.rule import NodeTest
from spillway.domain.model.documents import Json
from spillway.domain.model.records import NodeRecord


def topology_spread(spec: Json) -> NodeTest | None:
    """Refuses nodes that lack a label by which the pod must spread."""
    keys = hard_spread_keys(spec)
    if not keys:
        return None

    def test(node: NodeRecord) -> str:
        missing = next((key for key in keys if key not in node.labels), "")
        return missing and f"with the label {missing}, by which the pod must spread (DoNotSchedule)"

    return test


def hard_spread_keys(spec: Json) -> tuple[str, ...]:
    """The node labels by which the pod must spread."""
    constraints = spec.get("topologySpreadConstraints") or ()
    hard = (one for one in constraints if (one.get("whenUnsatisfiable") or "DoNotSchedule") == "DoNotSchedule")
    return tuple(dict.fromkeys(one["topologyKey"] for one in hard if one.get("topologyKey")))
