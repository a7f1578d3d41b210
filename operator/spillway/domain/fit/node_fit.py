"""Whether a pod may run on a node, and why it may not, by the scheduler's filters on a pod and a node alone.

Contract: pure, on the pod's spec as JSON (a pod's, or a template's). What the node has free is another question
(`room`), and so are other pods (`other_pods`), volumes and host ports (`state/open_pools`), and whether it takes pods
at all (`takes_pods`). A filter of the scheduler that is not among `RULES` is not looked at: a pod that fits here may
still find no node.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from spillway.domain.fit.extended_resources import extended_resources
from spillway.domain.fit.node_affinity import node_affinity
from spillway.domain.fit.requests import extended_requests
from spillway.domain.fit.rule import NodeTest, Rule
from spillway.domain.fit.taint_toleration import Toleration, taint_toleration
from spillway.domain.fit.term_count import too_many_terms
from spillway.domain.fit.topology_spread import topology_spread
from spillway.domain.model.documents import Json
from spillway.domain.model.host_ports import host_ports
from spillway.domain.model.records import NodeRecord

RULES: Final[tuple[Rule, ...]] = (node_affinity, topology_spread, extended_resources, taint_toleration)
"""Every rule that decides which nodes can take a pod; `constraints` holds all that they read of it."""

OPEN: Final = "that is ready and open"
"""The clause where none of the nodes takes pods."""


def _not_compared(_: NodeRecord) -> str:
    return "that can be compared with so many terms and tolerations"


class NodeFit:
    """One pod's answer for each node, had it the `extra` tolerations beside its own."""

    def __init__(self, spec: Json, extra: Sequence[Toleration] = ()) -> None:
        if too_many_terms(spec):
            self._tests: tuple[NodeTest, ...] = (_not_compared,)
            return
        pod = {**spec, "tolerations": [*(spec.get("tolerations") or ()), *extra]} if extra else spec
        self._tests = tuple(test for rule in RULES if (test := rule(pod)) is not None)

    def refusal(self, node: NodeRecord) -> str:
        """Why the pod may not run on this node: a clause that completes "has no node …"; empty where it may."""
        return next((clause for test in self._tests if (clause := test(node))), "")

    def admits(self, node: NodeRecord) -> bool:
        """Whether the pod may run on this node."""
        return not self.refusal(node)

    def admitted(self, nodes: Iterable[NodeRecord]) -> tuple[NodeRecord, ...]:
        """Those of these nodes on which the pod may run."""
        return tuple(filter(self.admits, nodes))

    def refusal_by_all(self, nodes: Iterable[NodeRecord]) -> str:
        """Why the pod may run on none of these nodes: what the last of them lacks. Empty where it may run on one."""
        left = tuple(nodes)
        if not left:
            return OPEN
        for test in self._tests:
            clauses = [test(node) for node in left]
            left = tuple(node for node, clause in zip(left, clauses, strict=True) if not clause)
            if not left:
                return clauses[0]
        return ""


def takes_pods(node: NodeRecord) -> bool:
    """Whether the scheduler may put a pod on the node at all, given that the pod may run there."""
    return node.ready and not node.unschedulable and not node.deleting


def constraints(spec: Json) -> bytes:
    """All that the rules read of a pod, and the ports that it takes: pods with equal keys may run on the same nodes."""
    affinity: Any = (spec.get("affinity") or {}).get("nodeAffinity")
    spread, tolerations = spec.get("topologySpreadConstraints"), spec.get("tolerations")
    taken = extended_requests(spec), host_ports(spec)
    return msgspec.json.encode((spec.get("nodeSelector"), affinity, spread, tolerations, *taken))
