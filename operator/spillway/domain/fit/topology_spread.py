"""The rule of required topology spread, as far as a node's labels decide it (the scheduler's PodTopologySpread).

Contract: a node without the label by which a pod must spread (`whenUnsatisfiable: DoNotSchedule`) is refused. Whether
the spread would become too uneven is left to the scheduler.
"""

from spillway.domain.fit.rule import NodeTest
from spillway.domain.model.documents import Json
from spillway.domain.model.records import NodeRecord


def topology_spread(spec: Json) -> NodeTest | None:
    """The test that refuses nodes that lack a label by which the pod must spread."""
    keys = tuple(dict.fromkeys(one["topologyKey"] for one in hard_constraints(spec) if one.get("topologyKey")))
    if not keys:
        return None

    def test(node: NodeRecord) -> str:
        missing = next((key for key in keys if key not in node.labels), "")
        return missing and f"with the label {missing}, by which the pod must spread (DoNotSchedule)"

    return test


def hard_constraints(spec: Json) -> tuple[Json, ...]:
    """The constraints by which the pod must spread."""
    given = spec.get("topologySpreadConstraints") or ()
    return tuple(one for one in given if (one.get("whenUnsatisfiable") or "DoNotSchedule") == "DoNotSchedule")
