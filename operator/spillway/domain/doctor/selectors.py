"""The check of selectors: classes, tiers, pools and balances that select nothing.

Contract: pure. What is counted is passed in: workloads by policy and class, and nodes.
"""

from collections.abc import Collection, Iterator, Mapping

from spillway.api import ElasticPolicy, VirtualNodeBudget, ZonalBalance
from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.selectors import Selector
from spillway.domain.overview.attention import Severity


def check_classes(
    policy: ElasticPolicy, workloads: Mapping[tuple[str, str], int], lost: Mapping[str, str]
) -> Iterator[Finding]:
    """Findings about the classes of a policy.

    `workloads` counts by policy and class; `lost` names, by policy, an older one that governs workloads which it
    selects too.
    """
    name = policy.metadata.name
    for one in policy.spec.workloads:
        if not workloads.get((name, one.name)):
            taken = f"; some that it selects are governed by the older policy {lost[name]}" if name in lost else ""
            yield _warning(
                f"ElasticPolicy/{name}",
                f"the class {one.name} governs no workload with pods{taken}",
                "Compare its match with the labels of the namespaces and of the pod templates; an earlier class of the "
                "same policy takes what both select.",
            )


def check_elastic(policy: ElasticPolicy, nodes: Collection[NodeRecord]) -> Iterator[Finding]:
    """A finding if the elastic tier has no node, which is normal while load is low."""
    elastic = policy.spec.tiers.elastic
    if elastic is None:
        return
    selector = Selector.of(elastic.node_selector)
    if not any(selector.matches(node.labels) for node in nodes):
        yield Finding(
            Severity.INFO,
            Check.SELECTORS,
            f"ElasticPolicy/{policy.metadata.name}",
            "its elastic tier selects no node now",
            "Nothing, if a node autoscaler adds such nodes when they are needed; else compare "
            "tiers.elastic.nodeSelector with the labels of the nodes.",
        )


def check_budget(
    budget: VirtualNodeBudget, nodes: Collection[NodeRecord], listed: Collection[str]
) -> Iterator[Finding]:
    """Findings about a pool without nodes, or that no policy lists; `listed` are the pools of all policies."""
    name = budget.metadata.name
    selector = Selector.of(budget.spec.node_selector)
    if not any(selector.matches(node.labels) for node in nodes):
        yield _warning(
            f"VirtualNodeBudget/{name}",
            "its nodeSelector selects no node",
            "Compare it with the labels of the virtual nodes: kubectl get nodes --show-labels.",
        )
    if name not in listed:
        yield _warning(
            f"VirtualNodeBudget/{name}",
            "no ElasticPolicy lists it, so no pod is sent there",
            "Add it to tiers.virtual.budgets of a policy.",
        )


def check_balance(balance: ZonalBalance, workloads: Mapping[str, int]) -> Iterator[Finding]:
    """A finding about a ZonalBalance without workloads; `workloads` counts by balance."""
    name = balance.metadata.name
    if not workloads.get(name):
        yield _warning(
            f"ZonalBalance/{name}",
            "its match selects no workload",
            "Compare its match with the labels of the namespaces and of the pod templates.",
        )


def _warning(about: str, message: str, remedy: str) -> Finding:
    return Finding(Severity.WARNING, Check.SELECTORS, about, message, remedy)
