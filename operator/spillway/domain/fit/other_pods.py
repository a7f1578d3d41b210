"""Whether other pods leave a node of a pool to one more pod: affinity between pods, and topology spread.

Contract: pure. Nodes are those that may take the pod as far as it and they alone decide (`node_fit`). A pod without
such terms, in a cluster where no other pod has an anti-affinity, costs next to nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from spillway.domain.fit.inter_pod_affinity import inter_pod_affinity
from spillway.domain.fit.neighbours import Incoming, Neighbours
from spillway.domain.fit.topology_skew import topology_skew
from spillway.domain.model.documents import REQUIRED, Json
from spillway.domain.model.pod_terms import TERMS_MAX
from spillway.domain.model.records import NodeRecord

COMPARED_MAX: Final = 100_000
"""The number of pods that are compared with one new pod: some 20 ms on the event loop."""


def concerns_other_pods(spec: Json) -> bool:
    """Whether the pod itself says anything about other pods."""
    affinity: Any = spec.get("affinity") or {}
    return bool(affinity.get("podAffinity") or affinity.get("podAntiAffinity") or spec.get("topologySpreadConstraints"))


def takes_too_long(spec: Json, namespace: str, *, count: Callable[[str], int], count_all: Callable[[], int]) -> bool:
    """Whether a pod has so many terms, or meets so many pods, that its admission would hold up others.

    `count` counts the pods of a namespace, `count_all` those of the cluster.
    """
    affinity: Json = spec.get("affinity") or {}
    terms = [
        term for kind in ("podAffinity", "podAntiAffinity") for term in (affinity.get(kind) or {}).get(REQUIRED) or ()
    ]
    constraints = spec.get("topologySpreadConstraints") or ()
    if len(terms) + len(constraints) > TERMS_MAX:
        return True
    everywhere = sum("namespaceSelector" in term for term in terms)
    named = {one for term in terms for one in term.get("namespaces") or ()} | {namespace}
    nearby = sum(map(count, named))
    compared = everywhere * count_all() + (len(terms) - everywhere + len(constraints)) * nearby
    return compared > COMPARED_MAX


def left_by_other_pods(
    pod: Incoming, nodes: Sequence[NodeRecord], pool: Sequence[NodeRecord], neighbours: Neighbours
) -> tuple[Sequence[NodeRecord], str]:
    """The nodes of these that other pods leave to it, and a clause that says why there is none.

    `pool` are all nodes among which it is spread, `nodes` those of them that may take the pod.
    """
    left, clause = inter_pod_affinity(pod, nodes, neighbours)
    return ((), clause) if clause else topology_skew(pod, left, pool, neighbours)


def refusal_by_other_pods(
    pod: Incoming, nodes: Sequence[NodeRecord], pool: Sequence[NodeRecord], neighbours: Neighbours
) -> str:
    """Why other pods leave none of these nodes to it, a clause that completes "has no node …"; empty where one is left.

    `pool` are all nodes of the pool, `nodes` those of them that may take the pod.
    """
    return left_by_other_pods(pod, nodes, pool, neighbours)[1]
