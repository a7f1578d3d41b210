"""Metrics of the thresholds: the number, reason, confidence and saving of each workload, and the sums of each policy.

Contract: set by the leader and replaced as a whole, with at most one series for each governed workload and label value.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from spillway.domain.threshold.effective import EffectiveThreshold
from spillway.domain.threshold.request import Plan, PlannedWorkload
from spillway.telemetry.prerendered import WORKLOAD_LABELS, PrerenderedGauge, workload_labels
from spillway.telemetry.registry import counter, gauge, histogram

PLANS: Final = counter("spillway_threshold_plans", "Plans of the thresholds, by result (made, failed).", ("result",))
PLAN_SECONDS: Final = histogram(
    "spillway_threshold_plan_seconds",
    "Duration of a plan in the planning process, including the reading of the history.",
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
PLAN_MADE: Final = gauge(
    "spillway_threshold_plan_timestamp_seconds",
    "When the plan in force was made, in Unix seconds; 0 without one.",
)
OWNED_CORES: Final = gauge(
    "spillway_threshold_owned_cores",
    "Cores of fixed nodes, by what: capacity, allowed (capacity times the target), planned (in use at the peak of the "
    "plan), excess (what must stay on fixed nodes beyond allowed) or unplaced (what must stay on fixed nodes and fits "
    "on no single one).",
    ("what",),
)
SAVING: Final = gauge(
    "spillway_policy_saving_per_hour",
    "Saving per hour of the plan, compared with owned (owning nodes for the peak) or virtual (owning nodes for the "
    "lowest demand only).",
    ("policy", "against", "currency"),
)
ADVISED: Final = gauge(
    "spillway_policy_owned_nodes_advised",
    "The number of fixed nodes at which the observed demand costs least.",
    ("policy",),
)
LEARNING: Final = gauge(
    "spillway_policy_workloads_learning",
    "Workloads of mode Auto with less than two days of history.",
    ("policy",),
)
PLANNED: Final = gauge(
    "spillway_policy_workloads_planned",
    "Workloads of mode Auto with a planned threshold, by what the plan assumes of the coming day: Forecast (a forecast "
    "of it), PastDays (the usual day, which was better), ShortHistory or StaleHistory (the usual day, without a "
    "comparison).",
    ("policy", "basis"),
)
UNUSABLE: Final = gauge(
    "spillway_policy_workloads_unusable",
    "Workloads whose demand cannot be read or used; the Event DemandUnusable on each says why.",
    ("policy",),
)
WORKLOAD_REPLICAS: Final = PrerenderedGauge(
    "spillway_workload_replicas",
    "Replicas that a governed workload wants, without those that the API server refuses. It is the history from which "
    "thresholds are planned. Leader only. All workloads of mode Auto have a series; of the others, only the largest "
    "(--workload-series).",
    WORKLOAD_LABELS,
)
THRESHOLD: Final = PrerenderedGauge(
    "spillway_workload_threshold",
    "Threshold of a workload, with its reason: the replicas that are kept on physical nodes; absent if all replicas "
    "are kept there. Only the largest workloads have a series (--workload-series).",
    (*WORKLOAD_LABELS, "reason"),
)
CONFIDENCE: Final = PrerenderedGauge(
    "spillway_workload_threshold_confidence_ratio",
    "The confidence in the demand that the plan assumes for a workload, from 0 to 1.",
    WORKLOAD_LABELS,
)
WORKLOAD_SAVING: Final = PrerenderedGauge(
    "spillway_workload_saving_per_hour",
    "Saving per hour of the plan for this workload, compared with owned (owning nodes for its peak) or virtual (owning "
    "nodes for its lowest demand only).",
    (*WORKLOAD_LABELS, "against"),
)


def set_plan(plan: Plan | None, shown: Collection[str]) -> None:
    """Replace the values that follow from the plan in force; only workloads in `shown` have series of their own."""
    for metric in (SAVING, ADVISED, LEARNING, PLANNED, UNUSABLE, OWNED_CORES):
        metric.clear()
    workloads = plan.workloads if plan is not None else ()
    PLAN_MADE.set(plan.made if plan is not None else 0)
    set_planned_workloads(workloads, shown)
    if plan is None:
        return
    OWNED_CORES.labels("capacity").set(plan.capacity_cores)
    OWNED_CORES.labels("allowed").set(plan.allowed_cores)
    OWNED_CORES.labels("planned").set(plan.peak_cores)
    OWNED_CORES.labels("excess").set(plan.excess_cores)
    OWNED_CORES.labels("unplaced").set(plan.unplaced_cores)
    unusable = Counter(one.policy for one in workloads if one.problem)
    for (name, basis), count in Counter((one.policy, one.basis) for one in workloads).items():
        if basis is not None:
            PLANNED.labels(name, basis.value).set(count)
    for policy in plan.policies:
        LEARNING.labels(policy.name).set(policy.learning)
        UNUSABLE.labels(policy.name).set(unusable[policy.name])
        if policy.owned_nodes_advised is not None:
            ADVISED.labels(policy.name).set(policy.owned_nodes_advised)
        for against, saved in (("owned", policy.saved_vs_owned), ("virtual", policy.saved_vs_virtual)):
            if saved is not None:
                SAVING.labels(policy.name, against, policy.currency).set(saved)


def set_planned_workloads(workloads: Iterable[PlannedWorkload], shown: Collection[str]) -> None:
    """Replace what the plan in force says of each workload; only those in `shown` have series."""
    chosen = [one for one in workloads if one.workload in shown]
    CONFIDENCE.replace(
        {workload_labels(one.workload): one.confidence / 100 for one in chosen if one.confidence is not None}
    )
    WORKLOAD_SAVING.replace(
        {
            (*workload_labels(one.workload), against): saved
            for one in chosen
            for against, saved in (("owned", one.saving_per_hour), ("virtual", one.saving_per_hour_against_virtual))
            if saved is not None
        }
    )


def set_replicas(replicas: Mapping[str, int]) -> None:
    """Replace the replicas that are requested, by workload."""
    WORKLOAD_REPLICAS.replace({workload_labels(key): count for key, count in replicas.items()})


def set_thresholds(choices: Mapping[str, EffectiveThreshold]) -> None:
    """Replace the thresholds in force, by workload."""
    THRESHOLD.replace(
        {
            (*workload_labels(key), choice.reason.value): choice.replicas
            for key, choice in choices.items()
            if choice.replicas is not None
        }
    )
