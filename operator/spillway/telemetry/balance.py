"""Metrics of the load of nodes and zones, and of hot nodes. Only the leader sets them."""

from typing import Final

from spillway.telemetry.prerendered import PrerenderedGauge
from spillway.telemetry.registry import counter

ZONE_LOAD: Final = PrerenderedGauge(
    "spillway_balance_zone_load_ratio",
    "Mean load of the nodes of a zone, as a share of their allocatable resources; absent while the load is not known. "
    "Leader only.",
    ("balance", "zone"),
)
IMBALANCE: Final = PrerenderedGauge(
    "spillway_balance_node_imbalance_ratio",
    "Load of the most loaded node minus that of the least loaded one; absent while the load is not known. Leader only.",
    ("balance",),
)
READ_AT: Final = PrerenderedGauge(
    "spillway_balance_load_timestamp_seconds",
    "Time of the last usable reading of the load, in Unix seconds; absent before the first. Leader only.",
    ("balance",),
)
HOT_NODES: Final = PrerenderedGauge(
    "spillway_balance_hot_nodes", "Nodes that are hot, by the rule in hotNodes. Leader only.", ("balance",)
)
READINGS: Final = counter(
    "spillway_balance_load_readings",
    "Readings of the load, by outcome: Good, or the reason why the reading is not used, as in the condition "
    "LoadDataStale.",
    ("balance", "outcome"),
)
MOVES_PLANNED: Final = PrerenderedGauge(
    "spillway_balance_moves_planned",
    "Moves of pods in the current plan, by the reason for which pods are moved: Zones, Load, Requests or Classes. "
    "Leader only.",
    ("balance", "reason"),
)
MOVES: Final = counter(
    "spillway_balance_moves",
    "Attempts to move a pod, by reason (Zones, Load, Requests or Classes; a move that another leader began counts as "
    "Load) and result. With by: Evict: evicted, blocked (by a disruption budget), gone, or withdrawn (not wanted "
    "any more when its turn came). With by: Surge: moved, or why not.",
    ("balance", "reason", "result"),
)
CLASSES: Final = PrerenderedGauge(
    "spillway_balance_class_workloads",
    "Workloads by load class: cpu-bound, memory-bound, or learning (not measured for long enough). Leader only.",
    ("balance", "class"),
)
MOVES_LAST_DAY: Final = PrerenderedGauge(
    "spillway_balance_moves_last_day",
    "Moves to even out load that succeeded in the last 24 hours, or since this replica became the leader. Leader only.",
    ("balance",),
)
MOVES_LEFT: Final = PrerenderedGauge(
    "spillway_balance_moves_left",
    "Workloads of which pods would be moved and are not, by the reason why not. Leader only.",
    ("balance", "reason"),
)
MOVES_WITHOUT_EFFECT: Final = counter(
    "spillway_balance_moves_without_effect",
    "How often moves did not lower what they were made for: the imbalance of nodes, the skew of the zones of a "
    "workload, the requests on nodes with little load, or the crowding of a load class. Further moves then wait.",
    ("balance",),
)
