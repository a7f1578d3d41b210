"""The nodes that the other pods of the cluster leave to one more pod of a workload.

Contract: one answer to whether other pods matter for a pod at all, and whether to compare it with them takes too long.
"""

from collections.abc import Iterable

from spillway.domain.fit.neighbours import Incoming
from spillway.domain.fit.other_pods import concerns_other_pods, left_by_other_pods, takes_too_long
from spillway.domain.model.documents import Json
from spillway.domain.model.names import NodeName, PodUid
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.selectors import Labels
from spillway.state.cluster import ClusterState
from spillway.state.neighbours import NO_POD, ClusterNeighbours


def nodes_left(
    state: ClusterState, pod: Incoming, nodes: Iterable[NodeRecord], *, without: PodUid = NO_POD
) -> frozenset[NodeName] | None:
    """Those of the nodes to which other pods let one more such pod come; `nodes` are those on which it may run.

    The pod `without` which they are looked at is about to go. None where no other pod matters, or where the comparison
    takes too long: then the scheduler decides.
    """
    if not other_pods_matter(state, pod.spec, pod.namespace, pod.labels):
        return None
    if comparing_takes_too_long(state, pod.spec, pod.namespace):
        return None
    others = ClusterNeighbours(state, pod=pod, itself=without)
    left, _ = left_by_other_pods(pod, tuple(nodes), tuple(state.nodes.values()), others)
    return frozenset(node.name for node in left)


def other_pods_matter(state: ClusterState, spec: Json, namespace: str, labels: Labels) -> bool:
    """Whether the pod says anything about others, or the anti-affinity of others keeps it off some nodes."""
    if concerns_other_pods(spec):
        return True
    known = state.namespaces.get(namespace)
    terms = state.repelling_pods.selecting(labels, namespace, None if known is None else known.labels)
    return next(iter(terms), None) is not None


def comparing_takes_too_long(state: ClusterState, spec: Json, namespace: str) -> bool:
    """Whether a pod has so many terms, or meets so many pods, that a comparison would hold up others."""
    return takes_too_long(spec, namespace, count=lambda one: len(state.pods_in(one)), count_all=lambda: len(state.pods))
