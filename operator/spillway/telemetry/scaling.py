"""Metrics of scaling: the recommended replicas of each workload, and those of its forecast.

Contract: set by the leader and replaced as a whole, with at most one series for each named workload. prometheus-adapter
can serve the first to a HorizontalPodAutoscaler.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from spillway.domain.scaling.recommend import Recommendation
from spillway.telemetry.prerendered import WORKLOAD_LABELS, PrerenderedGauge, workload_labels
from spillway.telemetry.registry import counter, gauge

RECOMMENDED: Final = PrerenderedGauge(
    "spillway_scaling_recommended_replicas",
    "Recommended replicas of a workload: the highest of its schedules and its forecast, within the bounds of its "
    "autoscaler. Leader only. Only the workloads with the most replicas have a series (--workload-series).",
    WORKLOAD_LABELS,
)
FORECAST: Final = PrerenderedGauge(
    "spillway_scaling_forecast_replicas",
    "Replicas that the forecast alone would give, also in mode Preview; absent without a forecast. Only the workloads "
    "with the most replicas have a series (--workload-series).",
    WORKLOAD_LABELS,
)
WORKLOADS: Final = gauge(
    "spillway_scaling_workloads",
    "Workloads with a recommended number of replicas, by its reason (Schedule, Forecast, Minimum, CurrentReplicas, "
    "ScalingsPerHour).",
    ("reason",),
)

REQUESTS: Final = counter(
    "spillway_external_metrics_requests",
    "Requests to the API external.metrics.k8s.io, by verdict (allowed, unauthenticated, forbidden, unknown).",
    ("verdict",),
)
ANSWERS: Final = counter(
    "spillway_external_metrics_answers",
    "Answers with recommended replicas, by their source: leader (this replica is the leader), asked (an answer of the "
    "leader that is at most a few seconds old), kept (an older answer of the leader), or alone (this replica, from the "
    "schedules and the current replicas).",
    ("source",),
)

KEDA_REQUESTS: Final = counter(
    "spillway_keda_scaler_requests",
    "Requests of KEDA to the external scaler, by result: answered, or unknown (the workload has no scaling).",
    ("result",),
)


def set_recommendations(all_of_them: Mapping[str, Recommendation], shown: Mapping[str, Recommendation]) -> None:
    """Replace the values; only workloads in `shown` have series of their own."""
    RECOMMENDED.replace({workload_labels(key): one.replicas for key, one in shown.items()})
    FORECAST.replace({workload_labels(key): one.forecast for key, one in shown.items() if one.forecast is not None})
    WORKLOADS.clear()
    for reason, count in Counter(one.reason.value for one in all_of_them.values()).items():
        WORKLOADS.labels(reason).set(count)
