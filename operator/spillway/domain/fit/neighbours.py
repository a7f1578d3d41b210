"""What the rules about other pods read of the cluster: pods that a term selects, and terms that keep a pod away.

Contract: an interface; the state implements it. Pods that are finished are not among the neighbours, as the scheduler
does not see them. Nodes are given by their labels, since pods anywhere in the cluster count in a zone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from spillway.domain.model.documents import Json
from spillway.domain.model.names import NodeName
from spillway.domain.model.pod_terms import PodTerm
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.selectors import Labels, Selector

Nodes = Sequence[NodeRecord]

Selects = Callable[[Labels, str, Labels | None], bool]
"""Whether a pod with these labels, in this namespace with these labels, is selected."""


class Incoming(NamedTuple):
    """The new pod, as far as rules about other pods read it."""

    spec: Json
    namespace: str
    labels: Labels


class Neighbour(NamedTuple):
    """Another pod."""

    node: NodeName
    """Its node; empty while it has none."""
    leaving: bool
    """Whether it is being deleted."""
    promised: bool = False
    """Whether it has no node yet and may go to the pool that is asked about."""


class Neighbours(Protocol):
    """The other pods, as far as one new pod and one pool are concerned."""

    def selected(self, selects: Selects, namespaces: Iterable[str] | None) -> Iterable[Neighbour]:
        """The pods of these namespaces (None for all) that are selected, reservations for the pool included."""

    def repelling(self) -> Iterable[tuple[PodTerm, Iterable[NodeName]]]:
        """The anti-affinity terms of pods on nodes which select the new pod, each with the nodes of these pods."""

    def nodes(self) -> Iterable[NodeRecord]:
        """All nodes of the cluster."""

    def labels_of(self, node: NodeName) -> Mapping[str, str]:
        """The labels of a node; none if it is not known."""

    def namespace_labels(self, namespace: str) -> Mapping[str, str] | None:
        """The labels of a namespace; None if it is not known."""


def within(selector: Selector | None) -> Selects:
    """Select by labels alone; None selects nothing."""
    return lambda labels, _namespace, _of_namespace: selector is not None and selector.matches(labels)
