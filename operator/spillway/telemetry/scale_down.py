"""Metrics of scale-downs: planned and actual victims, and the deletion costs that were written."""

from typing import Final

from spillway.domain.model.names import Tier
from spillway.domain.scale_down.reasons import VictimReason
from spillway.telemetry.registry import counter, histogram

PLANNED_VICTIMS: Final = counter(
    "spillway_scale_down_planned_victims",
    "Pods planned as victims of a scale-down, by tier and by the rule that chose them.",
    ("tier", "reason"),
)
for _tier, _reason in (
    (Tier.VIRTUAL, VictimReason.VIRTUAL),
    (Tier.ELASTIC, VictimReason.ELASTIC),
    (Tier.ELASTIC, VictimReason.ZONE_SKEW),
    (Tier.FIXED, VictimReason.ZONE_SKEW),
    (Tier.FIXED, VictimReason.FIXED_DOUBLED),
    (Tier.FIXED, VictimReason.FIXED),
):
    # `increase` does not see the first value of a series, so the usual ones begin with 0.
    PLANNED_VICTIMS.labels(_tier.value, _reason.value)
VICTIMS: Final = counter(
    "spillway_scale_down_victims",
    "Pods that were deleted in planned scale-downs, by whether the plan had named them. In mode Recommend, this shows "
    "how often Kubernetes without Spillway deletes the planned pods. Leader only.",
    ("policy", "as_planned"),
)
SCALE_DOWN_WRITES: Final = counter(
    "spillway_scale_down_cost_writes",
    "Deletion costs that were written while a scale-down waited for them, by result.",
    ("result",),
)
SETTLE_SECONDS: Final = histogram(
    "spillway_scale_down_settle_seconds",
    "Time that a scale-down waited for the cache of the ReplicaSet controller, after the operator had seen the written "
    "deletion costs.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0),
)
WATCH_LAG_SECONDS: Final = histogram(
    "spillway_scale_down_watch_lag_seconds",
    "Time from the answer to the write of a deletion cost until the operator's watch showed the change.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
UPKEEP_WRITES: Final = counter(
    "spillway_upkeep_writes",
    "Pods whose deletion cost was written outside of scale-downs, by reason: repair (the cost or Spillway's "
    "annotations were missing) or order (the pods are the next victims).",
    ("reason",),
)
UPKEEP_PLANNED: Final = counter(
    "spillway_upkeep_recommended",
    "Pods whose deletion cost would have been written outside of scale-downs in mode Enforce.",
    ("policy",),
)
