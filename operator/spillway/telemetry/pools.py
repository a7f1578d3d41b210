"""What the leader knows of each pool, and what it did for the pods of those that failed, as metrics."""

from typing import Final

import prometheus_client

from spillway.telemetry.registry import REGISTRY

TAKES: Final = prometheus_client.Gauge(
    "spillway_pool_takes", "1 where a pool of virtual nodes takes pods; the reason says why not.", ("pool", "reason"),
    registry=REGISTRY,
)  # fmt: skip
FAILURES: Final = prometheus_client.Counter(
    "spillway_pool_failures", "How often a pool counted as failed, and for what.", ("pool", "reason"), registry=REGISTRY
)
LADDER_STEP: Final = prometheus_client.Gauge(
    "spillway_pool_ladder_step",
    "The size of the pool's ladder that is asked for; 0 is what a pod requests.",
    ("pool",),
    registry=REGISTRY,
)
STOCK_OUTS: Final = prometheus_client.Counter(
    "spillway_pool_stock_outs", "Pods whose provider said that it has no stock.", ("pool",), registry=REGISTRY
)
REPLACED: Final = prometheus_client.Counter(
    "spillway_failover_pods",
    "Pods made anew: lost with their node (NodeDown), or never started (StockOut, PoolsClosed, NotStarted, or no node "
    "took them: Unschedulable).",
    ("pool", "reason"),
    registry=REGISTRY,
)
RECOMMENDED: Final = prometheus_client.Counter(
    "spillway_failover_recommended",
    "Pods that would have been made anew in Enforce.",
    ("policy", "reason"),
    registry=REGISTRY,
)
SUSPENDED: Final = prometheus_client.Gauge(
    "spillway_failover_suspended",
    "1 while nothing is deleted because most of the other nodes look dead as well.",
    registry=REGISTRY,
)
