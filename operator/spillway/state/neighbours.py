"""The other pods of the cluster, as one new pod meets them.

Contract: implements `domain.fit.neighbours` on the live state. On a pool, a pod counts as promised to it while it has
no node and its marks name the pool; so do the owner's reservations there, of pods that the informer does not show yet.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from spillway.domain.fit.neighbours import Incoming, Neighbour, Selects
from spillway.domain.model.names import NodeName, OwnerUid, PodUid
from spillway.domain.model.pod_terms import PodTerm
from spillway.domain.model.records import NodeRecord, PodRecord
from spillway.domain.model.selectors import Labels
from spillway.state.cluster import ClusterState
from spillway.state.pool_membership import PoolMembership
from spillway.state.reservations import Reservations

_NO_LABELS: Mapping[str, str] = {}
NO_POD: Final = PodUid("")


class ClusterNeighbours:
    """The neighbours of one incoming pod; `itself` is the pod, if it exists already."""

    def __init__(self, state: ClusterState, *, pod: Incoming, itself: PodUid = NO_POD) -> None:
        self._state = state
        self._pod = pod
        self._itself = itself

    def selected(self, selects: Selects, namespaces: Iterable[str] | None) -> Iterator[Neighbour]:
        """The pods of these namespaces (None for all) that are selected, reservations included."""
        for namespace in tuple(self._state.namespaces) if namespaces is None else namespaces:
            of_namespace = self.namespace_labels(namespace)
            known: dict[OwnerUid, bool] = {}
            for pod in self._state.pods_in(namespace):
                if pod.finished or pod.uid == self._itself:
                    continue
                if pod.labels is None and pod.owner_uid in known:
                    found = known[pod.owner_uid]
                else:
                    found = selects(self._labels(pod), namespace, of_namespace)
                    if pod.labels is None:
                        known[pod.owner_uid] = found
                if found:
                    yield Neighbour(pod.node, pod.terminating, promised=self._is_promised(pod))
        if (namespaces is None or self._pod.namespace in namespaces) and selects(
            self._pod.labels, self._pod.namespace, self.namespace_labels(self._pod.namespace)
        ):
            for _ in range(self._reserved()):
                yield Neighbour(NodeName(""), leaving=False, promised=True)

    def repelling(self) -> Iterable[tuple[PodTerm, Iterable[NodeName]]]:
        """Each anti-affinity term of pods on nodes that selects the new pod, with the nodes of these pods."""
        pod = self._pod
        return self._state.repelling_pods.selecting(pod.labels, pod.namespace, self.namespace_labels(pod.namespace))

    def nodes(self) -> Iterable[NodeRecord]:
        """All nodes of the cluster."""
        return self._state.nodes.values()

    def labels_of(self, node: NodeName) -> Mapping[str, str]:
        """The labels of a node; none if it is not known."""
        found = self._state.nodes.get(node)
        return _NO_LABELS if found is None else found.labels

    def namespace_labels(self, namespace: str) -> Labels | None:
        """The labels of a namespace; None if it is not known."""
        found = self._state.namespaces.get(namespace)
        return None if found is None else found.labels

    def _labels(self, pod: PodRecord) -> Labels:
        if pod.labels is not None:
            return pod.labels
        owner = self._state.replicasets.get(pod.owner_uid)
        return _NO_LABELS if owner is None else owner.labels

    def _is_promised(self, pod: PodRecord) -> bool:
        """Whether a pod that has no node yet may go where the new one may."""
        del pod
        return False

    def _reserved(self) -> int:
        """Pods like the new one that do not exist yet."""
        return 0


class PoolNeighbours(ClusterNeighbours):
    """The neighbours of one incoming pod of an owner on one pool."""

    def __init__(
        self,
        state: ClusterState,
        membership: PoolMembership,
        reservations: Reservations,
        *,
        pod: Incoming,
        owner: OwnerUid,
        pool: str,
        itself: PodUid,
    ) -> None:
        super().__init__(state, pod=pod, itself=itself)
        self._membership = membership
        self._reservations = reservations
        self._owner = owner
        self._pool = pool

    def _is_promised(self, pod: PodRecord) -> bool:
        return not pod.node and not pod.terminating and self._pool in self._membership.named_pools(pod)

    def _reserved(self) -> int:
        return self._reservations.count_on(self._owner, self._pool)
