"""The statuses that the features' parts add up to, in the order in which the leader asks the contributors."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus
from spillway.api.virtualnodebudget import DrainProgress, VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.api.zonalbalance import ZonalBalance, ZonalBalanceStatus
from spillway.controllers.balance.status import balance_part
from spillway.controllers.budget.pool_costs import PoolCosts
from spillway.controllers.budget.status import budget_part
from spillway.controllers.nodes.status import cordon_part
from spillway.controllers.policies.status import ResourceState, policy_part, resource_part
from spillway.controllers.pools.memory import PoolMemory
from spillway.controllers.pools.status import pool_part
from spillway.controllers.scale_down.status import scale_down_part
from spillway.controllers.status.merge import merged_status
from spillway.controllers.status.node_summary import PoolCount
from spillway.controllers.status.workload_counts import PolicyCount
from spillway.controllers.threshold.controller import ThresholdReport
from spillway.controllers.threshold.status import threshold_part
from spillway.domain.budget.limits import LimitUse
from spillway.domain.model.names import Tier
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.usage import NOTHING, Usage
from spillway.domain.scale_down.outcome import ScaleDowns

FINE = ResourceState()


def policy_status(
    policy: ElasticPolicy,
    *,
    current: ElasticPolicyStatus,
    count: PolicyCount,
    nodes: Mapping[Tier, int],
    now: datetime,
    state: ResourceState = FINE,
    scale_downs: ScaleDowns = ScaleDowns(),  # noqa: B008  # immutable
) -> ElasticPolicyStatus:
    """The status of a policy."""
    parts = (
        resource_part(state),
        policy_part(policy, count, nodes),
        scale_down_part(count, current.scale_down, scale_downs, now),
        threshold_part(policy.metadata.name, ThresholdReport()),
    )
    return merged_status(current, parts, generation=policy.metadata.generation, now=now)


def budget_status(
    budget: VirtualNodeBudget,
    *,
    current: VirtualNodeBudgetStatus,
    count: PoolCount,
    now: datetime,
    used: Usage = NOTHING,
    workloads: Mapping[str, Usage] | None = None,
    drain: DrainProgress | None = None,
    memory: PoolMemory | None = None,
    costs: PoolCosts | None = None,
    limits: tuple[LimitUse, ...] | None = None,
    resizing: bool = False,
) -> VirtualNodeBudgetStatus:
    """The status of a budget without problems."""
    parts = (
        resource_part(FINE),
        cordon_part(budget, count, drain, now),
        pool_part(budget, count, memory or PoolMemory.of(current.wire()), current),
        budget_part(
            budget, current, used=used, workloads=workloads or {}, costs=costs, limits=limits, resizing=resizing
        ),
    )
    return merged_status(current, parts, generation=budget.metadata.generation, now=now)


def balance_status(
    balance: ZonalBalance,
    *,
    current: ZonalBalanceStatus,
    nodes: Iterable[NodeRecord],
    workloads: Mapping[str, Counter[str]],
    now: datetime,
) -> ZonalBalanceStatus:
    """The status of a balance without problems."""
    parts = (resource_part(FINE), balance_part(balance, nodes, workloads))
    return merged_status(current, parts, generation=balance.metadata.generation, now=now)
