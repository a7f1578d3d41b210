"""Metrics of the pools of virtual nodes, and of the pods that were replaced because their pool failed."""

from typing import Final

from spillway.telemetry.registry import counter, gauge

TAKES: Final = gauge(
    "spillway_pool_takes",
    "1 if a pool takes pods, else 0; limits do not count. The reason is Open, Held (every node is unschedulable), "
    "Unhealthy, OutOfStock, NoNodes (none, or none that is ready) or Retrying. Leader only.",
    ("pool", "reason"),
)
FAILURES: Final = counter(
    "spillway_pool_failures",
    "How often a pool has failed, by reason: NodesNotReady or PodsNotStarting.",
    ("pool", "reason"),
)
LADDER_STEP: Final = gauge(
    "spillway_pool_ladder_step",
    "The highest step of stockOut.ladder that pods of any namespace request; 0 is the pod's own request. Leader only.",
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
    "Pods that were replaced, by reason. NodeDown: they were lost with their node. All others never started: StockOut, "
    "PoolsClosed (no pool to which they may go takes pods any more), NotStarted, OverLimit, Unschedulable (no node "
    "took them), or PoolsWithdrawn (no policy sends them to their pools any more; the label pool is empty).",
    ("pool", "reason"),
)
RECOMMENDED: Final = counter(
    "spillway_failover_recommended",
    "Pods that would have been replaced in mode Enforce.",
    ("policy", "reason"),
)
SUSPENDED: Final = gauge(
    "spillway_failover_suspended",
    "1 while nodes of a pool are not ready and no pod is deleted for it, because 55 % or more of all other nodes are "
    "not ready either.",
)
