"""Metrics of scale-downs: planned and actual victims, and the deletion costs that were written."""

from typing import Final

from spillway.telemetry.registry import counter, histogram

PLANNED_VICTIMS: Final = counter(
    "spillway_scale_down_planned_victims",
    "Pods planned as victims of a scale-down, by tier and by the rule that chose them.",
    ("tier", "reason"),
)
VICTIMS: Final = counter(
    "spillway_scale_down_victims",
    "Pods that were deleted in planned scale-downs, by whether the plan had named them. In Recommend this shows "
    "how often Kubernetes alone chooses the pods of the plan. Leader only.",
    ("policy", "as_planned"),
)
SCALE_DOWN_WRITES: Final = counter(
    "spillway_scale_down_cost_writes",
    "Deletion costs written while a scale-down was held, by result.",
    ("result",),
)
SETTLE_SECONDS: Final = histogram(
    "spillway_scale_down_settle_seconds",
    "Time waited for the ReplicaSet controller's cache after the operator's watch had shown the costs.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0),
)
WATCH_LAG_SECONDS: Final = histogram(
    "spillway_scale_down_watch_lag_seconds",
    "Time from the answer to a cost write until the operator's watch showed it.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
UPKEEP_WRITES: Final = counter(
    "spillway_upkeep_writes",
    "Pods written by the upkeep of deletion costs: repair (marks or the cost were missing) or order (the next "
    "victims).",
    ("reason",),
)
UPKEEP_PLANNED: Final = counter(
    "spillway_upkeep_recommended",
    "Pods that the upkeep would have written, had the policy been in Enforce.",
    ("policy",),
)
