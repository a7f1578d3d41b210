"""Metrics of the pools of virtual nodes, and of the pods that were replaced because their pool failed."""

from typing import Final

from spillway.telemetry.registry import counter, gauge

TAKES: Final = gauge(
    "spillway_pool_takes",
    "1 where a pool takes pods; the reason is Open, Held, Unhealthy, OutOfStock, NoNodes (none, or none that is ready) "
    "or Retrying. Leader only.",
    ("pool", "reason"),
)
FAILURES: Final = counter(
    "spillway_pool_failures",
    "How often a pool counted as failed, and why: NodesNotReady or PodsNotStarting.",
    ("pool", "reason"),
)
LADDER_STEP: Final = gauge(
    "spillway_pool_ladder_step",
    "The highest step of the ladder that pods of a namespace request; 0 is the pod's own request. Leader only.",
    ("pool",),
)
KEPT_OUT: Final = gauge(
    "spillway_pool_namespaces_kept_out",
    "Namespaces whose pods the pool does not take, because some of their pods did not start there. Leader only.",
    ("pool",),
)
STOCK_OUTS: Final = counter("spillway_pool_stock_outs", "Pods whose provider reported a stock-out.", ("pool",))
REPLACED: Final = counter(
    "spillway_failover_pods",
    "Pods that were replaced, by reason: lost with their node (NodeDown), or never started (StockOut, PoolsClosed, "
    "NotStarted, OverLimit, Unschedulable if no node took them, PoolsWithdrawn, without a pool, if no policy sends "
    "them to their pools any more).",
    ("pool", "reason"),
)
RECOMMENDED: Final = counter(
    "spillway_failover_recommended",
    "Pods that would have been replaced, had the policy been in Enforce.",
    ("policy", "reason"),
)
SUSPENDED: Final = gauge(
    "spillway_failover_suspended",
    "1 while no pod is deleted because 55 % or more of the nodes outside the pools are not ready either.",
)
