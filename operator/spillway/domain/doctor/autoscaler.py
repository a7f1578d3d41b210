"""The check of Karpenter's NodePools: settings that keep elastic nodes from becoming empty or from being removed.

Contract: pure; a NodePool is the JSON of the API server. Only NodePools whose nodes are elastic for a policy are
checked: those whose template has the labels that the elastic tier selects. The soft taint has to be declared, since
Karpenter takes a taint that no NodePool declares for a hard one.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from spillway.api import ElasticPolicy
from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.model.documents import Json
from spillway.domain.model.names import ELASTIC_TAINT, NODE_POOL_LABEL
from spillway.domain.model.selectors import Selector
from spillway.domain.overview.attention import Severity

DO_NOT_DISRUPT: Final = "karpenter.sh/do-not-disrupt"


def check_node_pool(pool: Json, policies: Iterable[ElasticPolicy]) -> Iterator[Finding]:
    """Findings about one NodePool."""
    policy = _policy_of(pool, policies)
    if policy is None:
        return
    about = f"NodePool/{pool['metadata']['name']}"
    spec: Mapping[str, Any] = pool.get("spec") or {}
    disruption = spec.get("disruption") or {}
    if disruption.get("consolidationPolicy", "WhenEmptyOrUnderutilized") != "WhenEmpty":
        yield warning(
            about,
            "it consolidates nodes that are not empty, which evicts pods (the moves of spec.consolidation go on beside "
            "it, within its disruption budgets)",
            "Set disruption.consolidationPolicy to WhenEmpty: scale-downs, and spec.consolidation of the "
            "ElasticPolicy, empty nodes without evictions.",
        )
    if disruption.get("consolidateAfter") == "Never":
        yield Finding(
            Severity.ERROR,
            Check.AUTOSCALER,
            about,
            "disruption.consolidateAfter is Never, so nodes that Spillway has emptied are never removed",
            "Set disruption.consolidateAfter to a duration, for example 30s.",
        )
    for budget in disruption.get("budgets") or ():
        if str(budget.get("nodes")) in {"0", "0%"} and not budget.get("schedule"):
            reasons = budget.get("reasons") or ["Empty"]
            if "Empty" in reasons:
                yield warning(
                    about,
                    "a disruption budget without a schedule allows no node to be removed",
                    "Allow at least one node in disruption.budgets, or give the budget a schedule.",
                )
    template = spec.get("template") or {}
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    if annotations.get(DO_NOT_DISRUPT) == "true":
        yield warning(
            about,
            f"its nodes are annotated with {DO_NOT_DISRUPT}, so empty ones are not removed",
            "Remove the annotation from the NodePool's template.",
        )
    taints = (template.get("spec") or {}).get("taints") or ()
    elastic = policy.spec.tiers.elastic
    softly = elastic is not None and elastic.soft_taint and policy.spec.enforced
    if softly and not any(one.get("key") == ELASTIC_TAINT for one in taints):
        yield warning(
            about,
            f"it does not declare the taint {ELASTIC_TAINT}, so Karpenter treats it as a hard taint and adds nodes "
            "that are not needed",
            f"Add {{key: {ELASTIC_TAINT}, value: {policy.metadata.name}, effect: PreferNoSchedule}} to "
            "template.spec.taints.",
        )


def check_node_annotations(nodes: Iterable[Json], elastic: frozenset[str], annotation: str) -> Iterator[Finding]:
    """Findings about elastic nodes that a node autoscaler leaves for this annotation; `elastic` are their names."""
    held = sorted(
        one["metadata"]["name"]
        for one in nodes
        if one["metadata"]["name"] in elastic and (one["metadata"].get("annotations") or {}).get(annotation) == "true"
    )
    for name in held:
        yield warning(
            f"Node/{name}",
            f"it is annotated with {annotation}, so it is not removed once it is empty",
            f"kubectl annotate node {name} {annotation}-",
        )


def _policy_of(pool: Json, policies: Iterable[ElasticPolicy]) -> ElasticPolicy | None:
    """The policy for which the nodes of a NodePool are elastic."""
    spec = pool.get("spec") or {}
    labels = dict(((spec.get("template") or {}).get("metadata") or {}).get("labels") or {})
    labels[NODE_POOL_LABEL] = pool["metadata"]["name"]
    for policy in policies:
        elastic = policy.spec.tiers.elastic
        if elastic is not None and Selector.of(elastic.node_selector).matches(labels):
            return policy
    return None


def warning(about: str, message: str, remedy: str) -> Finding:
    """A warning about the settings of a node autoscaler."""
    return Finding(Severity.WARNING, Check.AUTOSCALER, about, message, remedy)
