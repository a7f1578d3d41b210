"""A term of a pod's required affinity or anti-affinity: the pods that it selects, and the topology in which they count.

Contract: pure and hashable, so that the same term of many pods is one key. A term without a selector selects no pod. It
selects within the namespaces that it names or whose labels its namespace selector matches; with neither, within that of
the pod that carries it. `matchLabelKeys` and `mismatchLabelKeys` are merged into the selector, as the API server does
once the pod has passed admission.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from spillway.domain.model.documents import REQUIRED, Json
from spillway.domain.model.selectors import Labels, Selector

TERMS_MAX: Final = 8
"""The number of terms of one pod that are looked at: each costs time at the creation of other pods."""


@dataclass(frozen=True, slots=True)
class PodTerm:
    """One required term."""

    topology_key: str
    selector: Selector | None
    namespaces: frozenset[str]
    namespace_selector: Selector | None = None

    def selects(self, labels: Labels, namespace: str, namespace_labels: Labels | None) -> bool:
        """Whether it selects a pod with these labels in this namespace."""
        return (
            self.selector is not None
            and (namespace in self.namespaces or self._reaches(namespace_labels))
            and self.selector.matches(labels)
        )

    def _reaches(self, namespace_labels: Labels | None) -> bool:
        return self.namespace_selector is not None and self.namespace_selector.matches(namespace_labels or {})


def required_pod_terms(affinity: Json | None, namespace: str, labels: Labels) -> tuple[PodTerm, ...]:
    """The terms of a `podAffinity` or `podAntiAffinity` that have to hold, for a pod of this namespace and labels."""
    return tuple(_term(one, namespace, labels) for one in (affinity or {}).get(REQUIRED) or ())


def merged_selector(term: Json, labels: Labels) -> Selector | None:
    """The label selector of a term or a spread constraint, with its label keys; None selects nothing."""
    raw = term.get("labelSelector")
    if raw is None:
        return None
    pinned = [(key, "In", (labels[key],)) for key in term.get("matchLabelKeys") or () if key in labels]
    excluded = [(key, "NotIn", (labels[key],)) for key in term.get("mismatchLabelKeys") or () if key in labels]
    return Selector.of_json(raw, (*pinned, *excluded))


def _term(raw: Json, namespace: str, labels: Mapping[str, str]) -> PodTerm:
    named, selector = raw.get("namespaces") or (), raw.get("namespaceSelector")
    own = not named and selector is None
    return PodTerm(
        topology_key=raw.get("topologyKey") or "",
        selector=merged_selector(raw, labels),
        namespaces=frozenset({namespace} if own else named),
        namespace_selector=None if selector is None else Selector.of_json(selector),
    )
