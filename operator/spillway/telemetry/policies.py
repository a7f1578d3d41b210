"""Metrics of the resources: replicas and nodes of each policy by tier, all nodes by tier, and which conditions hold.

Contract: set by the leader with each pass over the statuses, from the same counts. The series of a deleted resource
disappear. The other replicas export none of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from spillway.api.conditions import Condition, ConditionStatus
from spillway.domain.model.names import Tier
from spillway.telemetry.registry import gauge

PODS: Final = gauge(
    "spillway_policy_pods", "Governed pods, by the tier of their node. Leader only.", ("policy", "tier")
)
NODES: Final = gauge("spillway_policy_nodes", "Nodes by their tier in the policy. Leader only.", ("policy", "tier"))
WORKLOADS: Final = gauge("spillway_policy_workloads", "Governed workloads. Leader only.", ("policy",))
ALL_NODES: Final = gauge(
    "spillway_nodes",
    "All nodes of the cluster, each counted in one tier: virtual if a VirtualNodeBudget selects it, else elastic if it "
    "is elastic for any policy, else fixed. Leader only.",
    ("tier",),
)
ALL_CORES: Final = gauge(
    "spillway_node_cores",
    "Allocatable CPU of all nodes of the cluster in cores, by the tiers of spillway_nodes. Leader only.",
    ("tier",),
)
CONDITIONS: Final = gauge(
    "spillway_condition",
    "1 if the condition of a resource has the status True, else 0. Leader only.",
    ("kind", "name", "type"),
)


@dataclass(frozen=True, slots=True)
class PolicySample:
    """The values of one policy at this moment."""

    workloads: int
    pods: Mapping[Tier, int]
    nodes: Mapping[Tier, int]


def set_policies(policies: Mapping[str, PolicySample]) -> None:
    """Replace the values of all policies."""
    for metric in (PODS, NODES, WORKLOADS):
        metric.clear()
    for name, policy in policies.items():
        WORKLOADS.labels(name).set(policy.workloads)
        for tier in Tier:
            PODS.labels(name, tier.value).set(policy.pods.get(tier, 0))
            NODES.labels(name, tier.value).set(policy.nodes.get(tier, 0))


def set_nodes(nodes: Mapping[Tier, int], cpu_millis: Mapping[Tier, int]) -> None:
    """Replace the values of all nodes: how many each tier of the cluster has, and their allocatable CPU."""
    for tier in Tier:
        ALL_NODES.labels(tier.value).set(nodes.get(tier, 0))
        ALL_CORES.labels(tier.value).set(cpu_millis.get(tier, 0) / 1000)


def set_conditions(found: Iterable[tuple[str, str, Condition]]) -> None:
    """Replace the values of all conditions; each comes with the kind and the name of its resource."""
    CONDITIONS.clear()
    for kind, name, condition in found:
        CONDITIONS.labels(kind, name, condition.type).set(condition.status is ConditionStatus.TRUE)
