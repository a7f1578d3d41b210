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

USED: Final = gauge(
    "spillway_budget_used",
    "What the pods on a pool request: pods, cpu (cores), memory (bytes). Leader only.",
    ("budget", "resource"),
)
LIMIT: Final = gauge(
    "spillway_budget_limit",
    "Each limit that is set: pods, cpu (cores), memory (bytes), costPerHour and costPerMonth (money). Leader only.",
    ("budget", "limit"),
)
SHARE: Final = gauge(
    "spillway_budget_limit_share",
    "The used share of each limit; 1 is all of it. Leader only.",
    ("budget", "limit"),
)
COST_PER_HOUR: Final = gauge(
    "spillway_budget_cost_per_hour",
    "The cost per hour of the running pods on a pool, at the current rate. Leader only.",
    ("budget", "currency"),
)
COST_THIS_MONTH: Final = gauge(
    "spillway_budget_cost_this_month",
    "The cost of a pool since the start of the month in its time zone. Leader only.",
    ("budget", "currency"),
)
CONSUMED_CPU_SECONDS: Final = counter(
    "spillway_consumed_cpu_seconds",
    "Requested cores times the seconds for which pods ran with them. The 200 workloads that use most have series "
    "of their own, the others share workload=other. Leader only.",
    ("namespace", "workload", "tier", "pool"),
)
CONSUMED_MEMORY_BYTE_SECONDS: Final = counter(
    "spillway_consumed_memory_byte_seconds",
    "Requested bytes times the seconds for which pods ran with them. Leader only.",
    ("namespace", "workload", "tier", "pool"),
)
CONSUMED_COST: Final = counter(
    "spillway_consumed_cost",
    "What the pods of a workload were charged on a pool, with the minimum billing time. Leader only.",
    ("namespace", "workload", "pool", "currency"),
)


@dataclass(frozen=True, slots=True)
class BudgetSample:
    """The values of one pool at this moment; the costs are None where it has no price."""

    budget: str
    used: Usage
    limits: tuple[LimitUse, ...]
    currency: str = ""
    cost_per_hour: Decimal | None = None
    cost_this_month: Decimal | None = None


def set_budgets(pools: Iterable[BudgetSample]) -> None:
    """Replace the values of all pools."""
    for metric in (USED, LIMIT, SHARE, COST_PER_HOUR, COST_THIS_MONTH):
        metric.clear()
    for pool in pools:
        USED.labels(pool.budget, "pods").set(pool.used.pods)
        USED.labels(pool.budget, "cpu").set(pool.used.cpu_millis / 1000)
        USED.labels(pool.budget, "memory").set(pool.used.memory_bytes)
        for use in pool.limits:
            LIMIT.labels(pool.budget, use.name).set(float(use.allowed) / use.limit.unit)
            SHARE.labels(pool.budget, use.name).set(float(use.share))
        if pool.cost_per_hour is not None and pool.cost_this_month is not None:
            COST_PER_HOUR.labels(pool.budget, pool.currency).set(float(pool.cost_per_hour))
            COST_THIS_MONTH.labels(pool.budget, pool.currency).set(float(pool.cost_this_month))
