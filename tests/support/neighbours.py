"""Other pods, as plain values, for the rules that read them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spillway.domain.fit.neighbours import Incoming, Neighbour, Selects
from spillway.domain.model.names import NodeName
from spillway.domain.model.pod_terms import PodTerm
from spillway.domain.model.records import NodeRecord
from tests.builders import make_node

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


@dataclass(frozen=True)
class Other:
    """A pod with its labels, on a node or promised to the pool."""

    labels: Mapping[str, str]
    node: str = ""
    namespace: str = "shop"
    leaving: bool = False


@dataclass
class Others:
    """All other pods of a cluster with these nodes; a pod without a node is promised to the pool."""

    known: list[NodeRecord]
    pods: list[Other] = field(default_factory=list)
    terms: list[tuple[PodTerm, list[str]]] = field(default_factory=list)
    """The terms that select the new pod, with the nodes of the pods that carry them."""
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"shop": {}})

    def selected(self, selects: Selects, namespaces: Iterable[str] | None) -> Iterator[Neighbour]:
        for pod in self.pods:
            reached = namespaces is None or pod.namespace in namespaces
            if reached and selects(pod.labels, pod.namespace, self.namespaces.get(pod.namespace)):
                yield Neighbour(NodeName(pod.node), pod.leaving, promised=not pod.node)

    def repelling(self) -> Iterable[tuple[PodTerm, Iterable[NodeName]]]:
        return [(term, [NodeName(name) for name in names]) for term, names in self.terms]

    def nodes(self) -> Iterable[NodeRecord]:
        return self.known

    def labels_of(self, node: NodeName) -> Mapping[str, str]:
        return next((one.labels for one in self.known if one.name == node), {})

    def namespace_labels(self, namespace: str) -> Mapping[str, str] | None:
        return self.namespaces.get(namespace)


def hosts(*names: str, **zones: str) -> list[NodeRecord]:
    """Nodes with their name as the label of the host, and with the zone that is given by name."""
    given = dict.fromkeys(names, "") | zones
    return [make_node(name, labels={HOST: name} | ({ZONE: zone} if zone else {})) for name, zone in given.items()]


def pod_of(app: str, **spec: Any) -> Incoming:
    """A new pod of the namespace `shop` with the label app."""
    return Incoming(spec, "shop", {"app": app})


def required(key: str, app: str, **more: Any) -> dict[str, Any]:
    """A `podAffinity` or `podAntiAffinity` with one required term about the pods of an app."""
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}, **more}
    return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
