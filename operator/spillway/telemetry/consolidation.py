"""Metrics of consolidation: elastic nodes that are emptied by moves. Only the leader sets them."""

from typing import Final

from spillway.telemetry.prerendered import PrerenderedGauge
from spillway.telemetry.registry import counter

EMPTYING: Final = PrerenderedGauge(
    "spillway_consolidation_nodes_emptying",
    "Elastic nodes that are being emptied; in mode DryRun, nodes that would be emptied. Leader only.",
    ("policy",),
)
OVER_BUDGET: Final = PrerenderedGauge(
    "spillway_consolidation_nodes_over_budget",
    "Little used elastic nodes that are not emptied now, because the disruption budgets of their Karpenter NodePool "
    "allow no further node. Leader only.",
    ("policy",),
)
EMPTIED: Final = counter("spillway_consolidation_nodes_emptied", "Elastic nodes that moves have emptied.", ("policy",))
GIVEN_UP: Final = counter(
    "spillway_consolidation_nodes_given_up",
    "Elastic nodes whose emptying was given up, because one of their pods cannot be moved, because their room is "
    "needed, or because no fewer pods were left on them for long.",
    ("policy",),
)
MOVES: Final = counter(
    "spillway_consolidation_moves",
    "Attempts to move a pod off an elastic node, by result: moved, or the reason why not.",
    ("policy", "result"),
)
MOVES_LAST_DAY: Final = PrerenderedGauge(
    "spillway_consolidation_moves_last_day",
    "Moves of pods off elastic nodes that succeeded in the last 24 hours, or since this replica became the leader. "
    "Leader only.",
    ("policy",),
)
LEFT: Final = PrerenderedGauge(
    "spillway_consolidation_workloads_left",
    "Workloads with pods on little used elastic nodes that are not moved, by reason. Leader only.",
    ("policy", "reason"),
)
