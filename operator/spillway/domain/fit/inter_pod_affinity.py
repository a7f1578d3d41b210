"""The rule of required affinity and anti-affinity between pods (the scheduler's InterPodAffinity).

Contract: pure. Nodes are refused where another pod's anti-affinity, the pod's own anti-affinity or its own affinity
keeps it off. Pods that are promised to the pool and have no node yet will each take a domain that the pod's
anti-affinity then excludes, so the pod fits only if more domains are free than pods are promised.
"""

from collections.abc import Sequence
from typing import Final

from spillway.domain.fit.neighbours import Incoming, Neighbours, Nodes
from spillway.domain.model.documents import Json
from spillway.domain.model.pod_terms import PodTerm, required_pod_terms
from spillway.domain.model.selectors import Labels

REPELLED: Final = "that the anti-affinity of other pods leaves free"
ANTI_AFFINITY: Final = "that its anti-affinity to other pods leaves free"
AFFINITY: Final = "near the pods for which it has an affinity"


def inter_pod_affinity(pod: Incoming, nodes: Nodes, neighbours: Neighbours) -> tuple[Nodes, str]:
    """The nodes of these that the pod may still go to, and a clause that says why there is none."""
    nodes = _unrepelled(nodes, neighbours)
    if not nodes:
        return (), REPELLED
    given: Json = pod.spec.get("affinity") or {}
    for term in required_pod_terms(given.get("podAntiAffinity"), pod.namespace, pod.labels):
        nodes = _apart(term, nodes, neighbours)
        if not nodes:
            return (), ANTI_AFFINITY
    near = required_pod_terms(given.get("podAffinity"), pod.namespace, pod.labels)
    if near:
        nodes = _together(pod, near, nodes, neighbours)
    return nodes, "" if nodes else AFFINITY


def _unrepelled(nodes: Nodes, neighbours: Neighbours) -> Nodes:
    taken: dict[str, set[str]] = {}
    for term, held in neighbours.repelling():
        key = term.topology_key
        values = (neighbours.labels_of(name).get(key) for name in held)
        taken.setdefault(key, set()).update(value for value in values if value is not None)
    return [node for node in nodes if all(node.labels.get(key) not in values for key, values in taken.items())]


def _apart(term: PodTerm, nodes: Nodes, neighbours: Neighbours) -> Nodes:
    key = term.topology_key
    taken: set[str] = set()
    promised = 0
    for other in neighbours.selected(term.selects, _namespaces(term)):
        if other.node and (value := neighbours.labels_of(other.node).get(key)) is not None:
            taken.add(value)
        promised += other.promised
    left = [node for node in nodes if node.labels.get(key) not in taken]
    if any(key not in node.labels for node in left):
        # There the term can never be broken.
        return left
    return left if len({node.labels[key] for node in left}) > promised else ()


def _together(pod: Incoming, terms: Sequence[PodTerm], nodes: Nodes, neighbours: Neighbours) -> Nodes:
    def by_all(labels: Labels, namespace: str, of_namespace: Labels | None) -> bool:
        return all(term.selects(labels, namespace, of_namespace) for term in terms)

    named = [_namespaces(term) for term in terms]
    narrowest = next((one for one in named if one is not None), None)
    found = [other for other in neighbours.selected(by_all, narrowest) if other.node]
    nodes = [node for node in nodes if all(term.topology_key in node.labels for term in terms)]
    if not found and by_all(pod.labels, pod.namespace, neighbours.namespace_labels(pod.namespace)):
        # The first of pods that are to be together may go anywhere.
        return nodes
    for term in terms:
        key = term.topology_key
        there = {neighbours.labels_of(other.node).get(key) for other in found}
        nodes = [node for node in nodes if node.labels[key] in there]
    return nodes


def _namespaces(term: PodTerm) -> frozenset[str] | None:
    return None if term.namespace_selector is not None else term.namespaces
