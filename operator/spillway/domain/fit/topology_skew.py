"""The rule of required topology spread, as the other pods decide it (the scheduler's PodTopologySpread).

Contract: pure. For each constraint `DoNotSchedule`, a domain may hold at most `maxSkew` pods more than the domain with
the fewest; with fewer domains than `minDomains` that fewest counts as none. Domains are those of all nodes of the pool
that the pod's node affinity (and, if it says so, its tolerations) admits, also of nodes that take no pods now. Pods
that are promised to the pool fill the emptiest domains first.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spillway.domain.fit.neighbours import Incoming, Neighbours, Nodes, within
from spillway.domain.fit.node_affinity import node_affinity
from spillway.domain.fit.taint_toleration import taint_toleration
from spillway.domain.fit.topology_spread import hard_constraints
from spillway.domain.model.documents import Json
from spillway.domain.model.pod_terms import merged_selector
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.selectors import Labels, Selector

SKEWED: Final = "that its topology spread constraints (DoNotSchedule) leave open"


@dataclass(frozen=True, slots=True)
class SpreadConstraint:
    """A constraint that must hold."""

    key: str
    max_skew: int
    min_domains: int
    selector: Selector | None
    honours_affinity: bool
    honours_taints: bool

    @classmethod
    def of(cls, raw: Json, labels: Labels) -> "SpreadConstraint":
        """A constraint of a pod with these labels."""
        return cls(
            key=raw.get("topologyKey") or "",
            max_skew=max(1, int(raw.get("maxSkew") or 1)),
            min_domains=int(raw.get("minDomains") or 1),
            selector=merged_selector(raw, labels),
            honours_affinity=(raw.get("nodeAffinityPolicy") or "Honor") == "Honor",
            honours_taints=raw.get("nodeTaintsPolicy") == "Honor",
        )

    def open_domains(self, counts: Counter[str], usable: set[str], *, itself: int) -> set[str]:
        """The usable domains that may get one more pod; `itself` is 1 if that pod counts among them."""
        if not counts:
            return set()
        fewest = 0 if len(counts) < self.min_domains else min(counts.values())
        return {domain for domain in usable if counts[domain] + itself - fewest <= self.max_skew}


def topology_skew(pod: Incoming, nodes: Nodes, pool: Nodes, neighbours: Neighbours) -> tuple[Nodes, str]:
    """The nodes of these that the pod may still go to, and a clause that says why there is none.

    `pool` are all nodes of the pool; `nodes` those that take pods.
    """
    constraints = [SpreadConstraint.of(one, pod.labels) for one in hard_constraints(pod.spec)]
    keys = {one.key for one in constraints}
    for constraint in constraints:
        eligible = tuple(_eligible(pod, constraint, keys, pool, neighbours))
        nodes = _within_skew(pod, constraint, nodes, eligible, neighbours)
        if not nodes:
            return (), SKEWED
    return nodes, ""


def _eligible(
    pod: Incoming, constraint: SpreadConstraint, keys: set[str], pool: Nodes, neighbours: Neighbours
) -> Iterator[NodeRecord]:
    """The nodes whose domains count. The pod gets an affinity for the pool, which most constraints honour."""
    affinity = node_affinity(pod.spec) if constraint.honours_affinity else None
    taints = taint_toleration(pod.spec) if constraint.honours_taints else None
    for node in pool if constraint.honours_affinity else neighbours.nodes():
        if keys <= node.labels.keys() and not (affinity and affinity(node)) and not (taints and taints(node)):
            yield node


def _within_skew(
    pod: Incoming, constraint: SpreadConstraint, nodes: Nodes, eligible: Nodes, neighbours: Neighbours
) -> Nodes:
    domain_of = {node.name: node.labels[constraint.key] for node in eligible}
    counts = Counter(dict.fromkeys(domain_of.values(), 0))
    promised = 0
    for other in neighbours.selected(within(constraint.selector), (pod.namespace,)):
        if other.node in domain_of and not other.leaving:
            counts[domain_of[other.node]] += 1
        promised += other.promised
    usable = {node.labels[constraint.key] for node in nodes if constraint.key in node.labels}
    for _ in range(promised):
        found = constraint.open_domains(counts, usable, itself=1)
        if not found:
            break
        counts[min(found, key=lambda domain: (counts[domain], domain))] += 1
    itself = constraint.selector is not None and constraint.selector.matches(pod.labels)
    found = constraint.open_domains(counts, usable, itself=int(itself))
    return [node for node in nodes if node.labels.get(constraint.key) in found]
