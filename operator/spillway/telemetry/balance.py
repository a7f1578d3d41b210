"""Metrics of the load of nodes and zones, and of hot nodes. Only the leader sets them."""

from typing import Final

from spillway.telemetry.prerendered import PrerenderedGauge
from spillway.telemetry.registry import counter

ZONE_LOAD: Final = PrerenderedGauge(
    "spillway_balance_zone_load_ratio",
    "Mean load of a zone's nodes, as a share of what is allocatable; absent while the load is not known. Leader only.",
    ("balance", "zone"),
)
IMBALANCE: Final = PrerenderedGauge(
    "spillway_balance_node_imbalance_ratio",
    "Load of the most loaded node minus that of the least loaded one; absent while the load is not known. Leader only.",
    ("balance",),
)
READ_AT: Final = PrerenderedGauge(
    "spillway_balance_load_timestamp_seconds",
    "Time of the last good reading of the load, in Unix seconds; absent before the first. Leader only.",
    ("balance",),
)
HOT_NODES: Final = PrerenderedGauge("spillway_balance_hot_nodes", "Nodes that are hot. Leader only.", ("balance",))
READINGS: Final = counter(
    "spillway_balance_load_readings",
    "Readings of the load by outcome: Good, or why the reading does not count, as in the condition LoadDataStale.",
    ("balance", "outcome"),
)
MOVES_PLANNED: Final = PrerenderedGauge(
    "spillway_balance_moves_planned", "Moves of pods in the present plan. Leader only.", ("balance",)
)
MOVES: Final = counter(
    "spillway_balance_moves",
    "Moves of pods that were tried, by the answer: evicted, blocked by a disruption budget, or gone; by surge: moved, "
    "or why not.",
    ("balance", "result"),
)
CLASSES: Final = PrerenderedGauge(
    "spillway_balance_class_workloads",
    "Workloads in each load class (cpu-bound, memory-bound), or learning. Leader only.",
    ("balance", "class"),
)
MOVES_LAST_DAY: Final = PrerenderedGauge(
    "spillway_balance_moves_last_day",
    "Moves to even out load that succeeded in the last 24 hours, or since this replica became the leader. Leader only.",
    ("balance",),
)
MOVES_LEFT: Final = PrerenderedGauge(
    "spillway_balance_moves_left",
    "Workloads with pods on busy nodes that are not moved, by reason. Leader only.",
    ("balance", "reason"),
)
MOVES_WITHOUT_EFFECT: Final = counter(
    "spillway_balance_moves_without_effect", "How often moves did not lower the imbalance.", ("balance",)
)
