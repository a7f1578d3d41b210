"""The index of required anti-affinity: which terms keep a new pod away, and from which nodes.

Contract: kept by delta. A pod counts from the moment it has a node until it is finished or gone, as the scheduler
counts it. Pods of one template carry the same term. A term is looked at only for pods that it may reach: by the
namespace in which it counts, and there by a label that it requires. Of the terms that may select other namespaces at
most `REACHING_MAX` of each namespace's pods are looked at for one new pod, and of those that count in their own
namespace alone at most `WITHIN_MAX`. So no tenant can slow down the placement of others' pods.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from spillway.api.selector_operator import SelectorOperator
from spillway.domain.model.names import NodeName
from spillway.domain.model.pod_terms import PodTerm
from spillway.domain.model.records import PodRecord
from spillway.domain.model.selectors import Labels

REACHING_MAX: Final = 64
"""The number of terms of one namespace's pods that are looked at for a new pod of any namespace."""
WITHIN_MAX: Final = 512
"""The number of terms that are looked at for a new pod of their own namespace."""

_Terms = dict[PodTerm, Counter[NodeName]]
_ByLabel = dict[tuple[str, str], _Terms]
"""By a label and value that they require; `_ANY` where they require none."""
_ANY: Final = ("", "")


class RepellingPods:
    """The anti-affinity terms of pods on nodes."""

    def __init__(self) -> None:
        self._within: dict[str, _ByLabel] = {}
        """Those that count in the namespace of their pods alone, by it."""
        self._reaching: dict[str, _ByLabel] = {}
        """Those that may count in other namespaces, by the namespace of their pods."""

    def selecting(
        self, labels: Labels, namespace: str, namespace_labels: Labels | None
    ) -> Iterator[tuple[PodTerm, Iterable[NodeName]]]:
        """The terms that select a pod with these labels, each with the nodes of the pods that carry it."""
        for term, nodes in self._candidates(labels, namespace):
            if term.selects(labels, namespace, namespace_labels):
                yield term, nodes

    def replace(self, old: PodRecord | None, new: PodRecord | None) -> None:
        """Replace a pod; `old` is None if it was created, `new` is None if it was deleted."""
        if not ((old is not None and old.repels) or (new is not None and new.repels)):
            return
        if old is not None:
            self._count(old, -1)
        if new is not None:
            self._count(new, 1)

    def _candidates(self, labels: Labels, namespace: str) -> Iterator[tuple[PodTerm, Counter[NodeName]]]:
        within = self._within.get(namespace)
        if within is not None:
            yield from islice(_selected_by(within, labels), WITHIN_MAX)
        for terms in self._reaching.values():
            yield from islice(_selected_by(terms, labels), REACHING_MAX)

    def _count(self, pod: PodRecord, sign: int) -> None:
        if not pod.node or pod.finished:
            return
        for term in pod.repels:
            at_home = term.namespace_selector is None and term.namespaces == {pod.namespace}
            _count(self._within if at_home else self._reaching, pod.namespace, term, pod.node, sign)


def _count(index: dict[str, _ByLabel], namespace: str, term: PodTerm, node: NodeName, sign: int) -> None:
    label = _required_label(term)
    by_label = index.setdefault(namespace, {})
    terms = by_label.setdefault(label, {})
    nodes = terms.setdefault(term, Counter())
    nodes[node] += sign
    if not nodes[node]:
        del nodes[node]
    if not nodes:
        del terms[term]
    if not terms:
        del by_label[label]
    if not by_label:
        del index[namespace]


def _selected_by(terms: _ByLabel, labels: Labels) -> Iterator[tuple[PodTerm, Counter[NodeName]]]:
    """The terms that require one of these labels, or none."""
    for label in (*labels.items(), _ANY):
        yield from terms.get(label, {}).items()


def _required_label(term: PodTerm) -> tuple[str, str]:
    """A label and value that every pod has which the term selects; `_ANY` where it requires none."""
    exact = (
        (key, next(iter(values)))
        for key, operator, values in (term.selector.requirements if term.selector is not None else ())
        if operator is SelectorOperator.IN and len(values) == 1
    )
    return min(exact, default=_ANY)
