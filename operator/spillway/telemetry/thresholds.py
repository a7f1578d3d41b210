"""What the thresholds export: each workload's number, reason, confidence and saving, and each policy's sums.

Contract: set by the leader, replaced whole with each plan or look; one series a governed workload at most.
"""

from collections.abc import Mapping
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from spillway.domain.threshold.effective import Choice
from spillway.domain.threshold.request import Plan
from spillway.telemetry.bulk import WORKLOAD_LABELS, WORKLOAD_REPLICAS, BulkGauge, labels_of
from spillway.telemetry.registry import REGISTRY

PLANS: Final = Counter(
    "spillway_threshold_plans", "Plans of the thresholds, by result (made, failed).", ("result",), registry=REGISTRY
)
PLAN_SECONDS: Final = Histogram(
    "spillway_threshold_plan_seconds",
    "Time that a plan took, history included, in its own process.",
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
PLAN_MADE: Final = Gauge(
    "spillway_threshold_plan_timestamp_seconds",
    "When the plan in force was made, in Unix seconds; 0 without one.",
    registry=REGISTRY,
)
OWNED_CORES: Final = Gauge(
    "spillway_threshold_owned_cores",
    "Cores of owned nodes: capacity, allowed (times target), planned (the peak), excess (of what must stay there).",
    ("what",),
    registry=REGISTRY,
)
SAVING: Final = Gauge(
    "spillway_policy_saving_per_hour",
    "Saved in an hour by the plan, against owning for the peak and against virtual nodes beyond the valley.",
    ("policy", "against", "currency"),
    registry=REGISTRY,
)
ADVISED: Final = Gauge(
    "spillway_policy_owned_nodes_advised",
    "Fixed nodes that would be worth owning for the demand seen.",
    ("policy",),
    registry=REGISTRY,
)
LEARNING: Final = Gauge(
    "spillway_policy_workloads_learning",
    "Workloads of mode Auto that have too little history for a plan.",
    ("policy",),
    registry=REGISTRY,
)
THRESHOLD: Final = BulkGauge(
    "spillway_workload_threshold",
    "Replicas that are kept on physical nodes, with the reason; absent where all are.",
    (*WORKLOAD_LABELS, "reason"),
)
CONFIDENCE: Final = BulkGauge(
    "spillway_workload_threshold_confidence", "Percent: how sure the plan is of its demand.", WORKLOAD_LABELS
)
WORKLOAD_SAVING: Final = BulkGauge(
    "spillway_workload_saving_per_hour",
    "Saved in an hour by the plan, against owning for the workload's peak and against virtual nodes beyond its valley.",
    (*WORKLOAD_LABELS, "against"),
)


def show_plan(plan: Plan | None) -> None:
    """Replace what is shown of the plan."""
    for gauge in (SAVING, ADVISED, LEARNING, OWNED_CORES):
        gauge.clear()
    workloads = plan.workloads if plan is not None else ()
    PLAN_MADE.set(plan.made if plan is not None else 0)
    CONFIDENCE.replace({labels_of(one.workload): one.confidence for one in workloads if one.confidence is not None})
    WORKLOAD_SAVING.replace(
        {
            (*labels_of(one.workload), against): saved
            for one in workloads
            for against, saved in (("owned", one.saving_per_hour), ("virtual", one.saving_per_hour_against_virtual))
            if saved is not None
        }
    )
    if plan is None:
        return
    OWNED_CORES.labels("capacity").set(plan.capacity_cores)
    OWNED_CORES.labels("allowed").set(plan.allowed_cores)
    OWNED_CORES.labels("planned").set(plan.peak_cores)
    OWNED_CORES.labels("excess").set(plan.excess_cores)
    for policy in plan.policies:
        LEARNING.labels(policy.name).set(policy.learning)
        if policy.owned_nodes_advised is not None:
            ADVISED.labels(policy.name).set(policy.owned_nodes_advised)
        for against, saved in (("owned", policy.saved_vs_owned), ("virtual", policy.saved_vs_virtual)):
            if saved is not None:
                SAVING.labels(policy.name, against, policy.currency).set(saved)


def show_workloads(replicas: Mapping[str, int], choices: Mapping[str, Choice]) -> None:
    """Replace what is shown of the workloads: the replicas asked for and the threshold in force, by workload."""
    WORKLOAD_REPLICAS.replace({labels_of(key): count for key, count in replicas.items()})
    THRESHOLD.replace(
        {
            (*labels_of(key), choice.reason.value): choice.replicas
            for key, choice in choices.items()
            if choice.replicas is not None
        }
    )
