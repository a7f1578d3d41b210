"""Whether other pods leave a node of a pool to one more pod: affinity between pods, and topology spread.

Contract: pure. Nodes are those that may take the pod as far as it and they alone decide (`node_fit`). A pod without
such terms, in a cluster where no other pod has an anti-affinity, costs next to nothing.
"""

from collections.abc import Sequence
from typing import Any

from spillway.domain.fit.inter_pod_affinity import inter_pod_affinity
from spillway.domain.fit.neighbours import Incoming, Neighbours
from spillway.domain.fit.topology_skew import topology_skew
from spillway.domain.model.documents import Json
from spillway.domain.model.records import NodeRecord


def concerns_other_pods(spec: Json) -> bool:
    """Whether the pod itself says anything about other pods."""
    affinity: Any = spec.get("affinity") or {}
    return bool(affinity.get("podAffinity") or affinity.get("podAntiAffinity") or spec.get("topologySpreadConstraints"))


def refusal_by_other_pods(
    pod: Incoming, nodes: Sequence[NodeRecord], pool: Sequence[NodeRecord], neighbours: Neighbours
) -> str:
    """Why other pods leave none of these nodes to it, a clause that completes "has no node …"; empty where one is left.

    `pool` are all nodes of the pool, `nodes` those of them that may take the pod.
    """
    left, clause = inter_pod_affinity(pod, nodes, neighbours)
    return clause or topology_skew(pod, left, pool, neighbours)[1]
