"""The page with the report, which the operator renders when it is asked for."""

from typing import Final

from spillway.telemetry.registry import counter, histogram

RENDERS: Final = counter(
    "spillway_report_renders",
    "Attempts to render the page /report, by result: made, unreadable (the API server or Prometheus did not answer), "
    "late, too-large, no-memory (in the container) or failed.",
    ("result",),
)
RENDER_SECONDS: Final = histogram(
    "spillway_report_render_seconds",
    "How long a render of the page /report took, in a process of its own.",
    buckets=(0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0),
)
