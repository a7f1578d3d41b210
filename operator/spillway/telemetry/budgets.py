"""What each pool uses, what it may use and what it costs, as gauges.

Contract: set by the leader at each tick of the ledger, so they are right to a few seconds also where the status, which
is written rarely, is not. A pool that is gone is gone from here too. The other replicas show none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import prometheus_client

from spillway.domain.budget.alerts import LimitUse
from spillway.domain.model.usage import Usage
from spillway.telemetry.registry import REGISTRY

USED: Final = prometheus_client.Gauge(
    "spillway_budget_used",
    "What the pods on a pool request: pods, cpu (cores), memory (bytes).",
    ("budget", "resource"),
    registry=REGISTRY,
)
LIMIT: Final = prometheus_client.Gauge(
    "spillway_budget_limit",
    "Each limit that is set: pods, cpu (cores), memory (bytes), costPerHour and costPerMonth (money).",
    ("budget", "limit"),
    registry=REGISTRY,
)
SHARE: Final = prometheus_client.Gauge(
    "spillway_budget_limit_share",
    "How much of each limit is used, 1 for all of it.",
    ("budget", "limit"),
    registry=REGISTRY,
)
COST_PER_HOUR: Final = prometheus_client.Gauge(
    "spillway_budget_cost_per_hour",
    "What the pods that run on a pool cost in an hour at the present rate.",
    ("budget", "currency"),
    registry=REGISTRY,
)
COST_THIS_MONTH: Final = prometheus_client.Gauge(
    "spillway_budget_cost_this_month",
    "What a pool has cost since the month began in its time zone.",
    ("budget", "currency"),
    registry=REGISTRY,
)


@dataclass(frozen=True, slots=True)
class Shown:
    """One pool at this moment; the costs are None where it has no price."""

    budget: str
    used: Usage
    limits: tuple[LimitUse, ...]
    currency: str = ""
    cost_per_hour: Decimal | None = None
    cost_this_month: Decimal | None = None


def show_budgets(pools: Iterable[Shown]) -> None:
    """Replace what is shown of all pools."""
    for gauge in (USED, LIMIT, SHARE, COST_PER_HOUR, COST_THIS_MONTH):
        gauge.clear()
    for pool in pools:
        USED.labels(pool.budget, "pods").set(pool.used.pods)
        USED.labels(pool.budget, "cpu").set(pool.used.cpu_millis / 1000)
        USED.labels(pool.budget, "memory").set(pool.used.memory_bytes)
        for use in pool.limits:
            LIMIT.labels(pool.budget, use.name).set(float(use.limit))
            SHARE.labels(pool.budget, use.name).set(float(use.share))
        if pool.cost_per_hour is not None and pool.cost_this_month is not None:
            COST_PER_HOUR.labels(pool.budget, pool.currency).set(float(pool.cost_per_hour))
            COST_THIS_MONTH.labels(pool.budget, pool.currency).set(float(pool.cost_this_month))
