"""The lateness of the event loop."""

from typing import Final

from spillway.telemetry.registry import histogram

LATE_SECONDS: Final = histogram(
    "spillway_event_loop_late_seconds",
    "How late the event loop ran a task that was due; admission answers are delayed by as much. A stall of 0.3 s "
    "or more is logged with the stack.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0),
)
