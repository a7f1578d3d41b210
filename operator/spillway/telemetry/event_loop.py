"""The lateness of the event loop."""

from typing import Final

from spillway.telemetry.registry import histogram

LATE_SECONDS: Final = histogram(
    "spillway_event_loop_late_seconds",
    "How late the event loop ran a task that was due, measured ten times a second",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0),
)
