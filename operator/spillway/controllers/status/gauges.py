"""What each resource stands for, as gauges: how many replicas run on which tier, and which conditions hold.

Contract: set by the leader with each pass over the statuses, from the same counts; a resource that is gone is gone from
here too. The other replicas show none.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import prometheus_client

from spillway.api.conditions import Condition, ConditionStatus
from spillway.controllers.status.counts import PolicyCount
from spillway.domain.model.names import Tier
from spillway.telemetry.registry import REGISTRY

PODS: Final = prometheus_client.Gauge(
    "spillway_policy_pods", "Governed pods, by the tier of their node.", ("policy", "tier"), registry=REGISTRY
)
NODES: Final = prometheus_client.Gauge(
    "spillway_policy_nodes", "Nodes as the policy sees them, by tier.", ("policy", "tier"), registry=REGISTRY
)
WORKLOADS: Final = prometheus_client.Gauge(
    "spillway_policy_workloads", "Governed workloads.", ("policy",), registry=REGISTRY
)
CONDITIONS: Final = prometheus_client.Gauge(
    "spillway_condition",
    "1 where the condition of a resource holds, else 0.",
    ("kind", "name", "type"),
    registry=REGISTRY,
)


def show_policies(counts: Mapping[str, PolicyCount], nodes: Mapping[str, Mapping[Tier, int]]) -> None:
    """Replace what is shown of all policies."""
    for gauge in (PODS, NODES, WORKLOADS):
        gauge.clear()
    for policy, count in counts.items():
        WORKLOADS.labels(policy).set(len(count.workloads))
        for tier in Tier:
            PODS.labels(policy, tier.value).set(count.tiers[tier])
            NODES.labels(policy, tier.value).set(nodes.get(policy, {}).get(tier, 0))


def show_conditions(found: Iterable[tuple[str, str, Condition]]) -> None:
    """Replace what is shown of all conditions; each comes with the kind and the name of its resource."""
    CONDITIONS.clear()
    for kind, name, condition in found:
        CONDITIONS.labels(kind, name, condition.type).set(condition.status is ConditionStatus.TRUE)
