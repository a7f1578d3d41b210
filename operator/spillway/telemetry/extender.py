"""Metrics of the scheduler extender."""

from typing import Final

from spillway.telemetry.registry import counter, gauge, histogram

REQUESTS: Final = counter(
    "spillway_extender_requests",
    "Requests for scores of nodes, by result: scored, equal (no current load is known), refused (the caller is not "
    "kube-scheduler), or invalid.",
    ("result",),
)
SECONDS: Final = histogram(
    "spillway_extender_request_duration_seconds",
    "Seconds from a request's arrival in whole until its answer is ready.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
)
LOAD_TIMESTAMP: Final = gauge(
    "spillway_extender_load_timestamp_seconds",
    "Time of the newest load by which this replica scores nodes, in Unix seconds; 0 while it knows none.",
)
