"""The lateness of the event loop."""

from typing import Final

from spillway.telemetry.registry import histogram

LATE_SECONDS: Final = histogram(
    "spillway_event_loop_late_seconds",
    "How late the event loop of the operator ran a task that was due. Admission answers are delayed by the same time. "
    "A delay of 0.3 s or more is logged with the stack trace.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0),
)
