"""Metrics of the forecasts: the demand of each workload, and how the refreshes go.

Contract: set by the leader and replaced as a whole. Only the workloads with most demand have series of their own.
"""

from collections.abc import Mapping
from typing import Final

from spillway.domain.scaling.demand import DemandForecast
from spillway.telemetry.prerendered import WORKLOAD_LABELS, PrerenderedGauge, workload_labels
from spillway.telemetry.registry import counter, gauge, histogram

REFRESHES: Final = counter(
    "spillway_forecast_refreshes", "Refreshes of the forecasts, by result (made, failed).", ("result",)
)
REFRESH_SECONDS: Final = histogram(
    "spillway_forecast_refresh_seconds",
    "Duration of a refresh in the forecasting process, including the reading of the history.",
    buckets=(0.5, 1, 2, 5, 10, 20, 60, 120, 300),
)
MADE: Final = gauge(
    "spillway_forecast_timestamp_seconds",
    "When the forecasts were last refreshed, in Unix seconds; 0 without any. They are used for 15 minutes.",
)
WORKLOADS: Final = gauge(
    "spillway_forecast_workloads",
    "Workloads whose class has a forecast, by state: forecast (they have one), backfilling (their history is being "
    "read), unusable (their demand cannot be forecast; the Event DemandUnusable on each says why).",
    ("state",),
)
DEMAND: Final = PrerenderedGauge(
    "spillway_forecast_demand_replicas",
    "The highest demand to provide for, between startup and window from now, in replicas at the target load. Only the "
    "workloads with the highest demand have a series (--workload-series).",
    WORKLOAD_LABELS,
)
PRESENT: Final = PrerenderedGauge(
    "spillway_forecast_present_replicas",
    "The demand of the last five minutes, in replicas at the target load. Only the workloads with the highest demand "
    "have a series (--workload-series).",
    WORKLOAD_LABELS,
)
PREDICTABLE: Final = PrerenderedGauge(
    "spillway_forecast_predictable",
    "1 if the demand to provide for comes from a forecast, 0 if it is the present demand times a fixed factor. "
    "Only the workloads with the highest demand have a series (--workload-series).",
    WORKLOAD_LABELS,
)


def set_forecasts(shown: Mapping[str, DemandForecast]) -> None:
    """Replace the series of the workloads."""
    DEMAND.replace({workload_labels(key): one.highest for key, one in shown.items()})
    PRESENT.replace({workload_labels(key): one.present for key, one in shown.items()})
    PREDICTABLE.replace({workload_labels(key): float(one.predictable) for key, one in shown.items()})


def set_workloads(*, forecast: int, backfilling: int, unusable: int) -> None:
    """Replace the numbers of workloads."""
    for state, count in (("forecast", forecast), ("backfilling", backfilling), ("unusable", unusable)):
        WORKLOADS.labels(state).set(count)
