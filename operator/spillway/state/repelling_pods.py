"""The index of required anti-affinity: which terms keep other pods away, and from which nodes.

Contract: kept by delta. A pod counts from the moment it has a node until it is finished or gone, as the scheduler
counts it. Pods of one template carry the same term, so the index is as long as there are templates with one.
"""

from collections import Counter
from collections.abc import Iterable

from spillway.domain.model.names import NodeName
from spillway.domain.model.pod_terms import PodTerm
from spillway.domain.model.records import PodRecord


class RepellingPods:
    """The anti-affinity terms of pods on nodes."""

    def __init__(self) -> None:
        self._nodes: dict[PodTerm, Counter[NodeName]] = {}

    def __bool__(self) -> bool:
        """Whether any pod on a node has such a term."""
        return bool(self._nodes)

    def terms(self) -> Iterable[tuple[PodTerm, Iterable[NodeName]]]:
        """Each term with the nodes of the pods that carry it."""
        return self._nodes.items()

    def replace(self, old: PodRecord | None, new: PodRecord | None) -> None:
        """Replace a pod; `old` is None if it was created, `new` is None if it was deleted."""
        if not ((old is not None and old.repels) or (new is not None and new.repels)):
            return
        if old is not None:
            self._count(old, -1)
        if new is not None:
            self._count(new, 1)

    def _count(self, pod: PodRecord, sign: int) -> None:
        if not pod.node or pod.finished:
            return
        for term in pod.repels:
            nodes = self._nodes.setdefault(term, Counter())
            nodes[pod.node] += sign
            if not nodes[pod.node]:
                del nodes[pod.node]
            if not nodes:
                del self._nodes[term]
