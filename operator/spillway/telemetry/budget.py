"""Metrics of the budgets: what each pool uses, its limits and its costs, and what each workload consumes.

Contract: set by the leader at each tick of the ledger, so they are accurate to a few seconds even while the status,
which is written rarely, is not. The series of a deleted pool disappear. The other replicas export none of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from spillway.domain.budget.limits import LimitUse
from spillway.domain.model.usage import Usage
from spillway.telemetry.registry import counter, gauge

PODS: Final = gauge("spillway_pool_pods", "Pods on a pool, counted as for its limits. Leader only.", ("pool",))
REQUESTED_CORES: Final = gauge(
    "spillway_pool_requested_cores", "Cores that the pods on a pool request. Leader only.", ("pool",)
)
REQUESTED_MEMORY: Final = gauge(
    "spillway_pool_requested_memory_bytes",
    "Memory that the pods on a pool request, in bytes. Leader only.",
    ("pool",),
)
LIMIT_PODS: Final = gauge("spillway_pool_limit_pods", "limits.pods, where it is set. Leader only.", ("pool",))
LIMIT_CORES: Final = gauge("spillway_pool_limit_cores", "limits.cpu, where it is set. Leader only.", ("pool",))
LIMIT_MEMORY: Final = gauge(
    "spillway_pool_limit_memory_bytes", "limits.memory in bytes, where it is set. Leader only.", ("pool",)
)
LIMIT_COST_PER_HOUR: Final = gauge(
    "spillway_pool_limit_cost_per_hour", "limits.costPerHour, where it is set. Leader only.", ("pool", "currency")
)
LIMIT_COST_PER_MONTH: Final = gauge(
    "spillway_pool_limit_cost_per_month", "limits.costPerMonth, where it is set. Leader only.", ("pool", "currency")
)
LIMIT_USED: Final = gauge(
    "spillway_pool_limit_used_ratio",
    "The used share of each limit that is set, by the name of the limit: pods, cpu, memory, costPerHour or "
    "costPerMonth; 1 means that the limit is reached. Leader only.",
    ("pool", "limit"),
)
COST_PER_HOUR: Final = gauge(
    "spillway_pool_cost_per_hour",
    "The cost per hour of the running pods on a pool, at the current rate. Leader only.",
    ("pool", "currency"),
)
COST_THIS_MONTH: Final = gauge(
    "spillway_pool_cost_this_month",
    "The cost of a pool since the start of the month in its time zone. Leader only.",
    ("pool", "currency"),
)
CONSUMED_CPU_SECONDS: Final = counter(
    "spillway_consumed_cpu_seconds",
    "CPU consumption of workloads: requested cores times the seconds for which their pods ran. The 200 workloads that "
    "use most have series of their own; all others are added up in workload=other. Leader only.",
    ("namespace", "workload", "tier", "pool"),
)
CONSUMED_MEMORY_BYTE_SECONDS: Final = counter(
    "spillway_consumed_memory_byte_seconds",
    "Memory consumption of workloads: requested bytes times the seconds for which their pods ran. The label workload "
    "is as for CPU. Leader only.",
    ("namespace", "workload", "tier", "pool"),
)
CONSUMED_COST: Final = counter(
    "spillway_consumed_cost",
    "What the pods of a workload were charged on a pool, with the minimum billing time. Leader only.",
    ("namespace", "workload", "pool", "currency"),
)


_REPLACED: Final = (
    *(PODS, REQUESTED_CORES, REQUESTED_MEMORY),
    *(LIMIT_PODS, LIMIT_CORES, LIMIT_MEMORY, LIMIT_COST_PER_HOUR, LIMIT_COST_PER_MONTH, LIMIT_USED),
    *(COST_PER_HOUR, COST_THIS_MONTH),
)
_LIMITS: Final = {"pods": LIMIT_PODS, "cpu": LIMIT_CORES, "memory": LIMIT_MEMORY}
_COST_LIMITS: Final = {"costPerHour": LIMIT_COST_PER_HOUR, "costPerMonth": LIMIT_COST_PER_MONTH}


@dataclass(frozen=True, slots=True)
class BudgetSample:
    """The values of one pool at this moment; the costs are None where it has no price."""

    pool: str
    used: Usage
    limits: tuple[LimitUse, ...]
    currency: str = ""
    cost_per_hour: Decimal | None = None
    cost_this_month: Decimal | None = None


def set_budgets(samples: Iterable[BudgetSample]) -> None:
    """Replace the values of all pools."""
    for metric in _REPLACED:
        metric.clear()
    for one in samples:
        PODS.labels(one.pool).set(one.used.pods)
        REQUESTED_CORES.labels(one.pool).set(one.used.cpu_millis / 1000)
        REQUESTED_MEMORY.labels(one.pool).set(one.used.memory_bytes)
        for use in one.limits:
            allowed = float(use.allowed) / use.limit.unit
            if use.name in _COST_LIMITS:
                _COST_LIMITS[use.name].labels(one.pool, one.currency).set(allowed)
            else:
                _LIMITS[use.name].labels(one.pool).set(allowed)
            LIMIT_USED.labels(one.pool, use.name).set(float(use.share))
        if one.cost_per_hour is not None and one.cost_this_month is not None:
            COST_PER_HOUR.labels(one.pool, one.currency).set(float(one.cost_per_hour))
            COST_THIS_MONTH.labels(one.pool, one.currency).set(float(one.cost_this_month))
