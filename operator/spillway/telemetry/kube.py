"""Metrics of the traffic with the API server: writes, watches, the work queues, the Lease and Events."""

from typing import Final

from spillway.telemetry.registry import counter, gauge, histogram

WRITES: Final = counter(
    "spillway_writes",
    "Requests that change the cluster, by their last answer (ok, unchanged, gone, conflict, blocked, fenced, error).",
    ("verb", "resource", "result"),
)
WRITE_RETRIES: Final = counter(
    "spillway_write_retries",
    "Writes sent again after 429, 5xx or a broken connection.",
    ("verb", "resource"),
)
WRITE_WAIT_SECONDS: Final = histogram(
    "spillway_write_wait_seconds",
    "Time that a write waited for its turn in the token bucket.",
    ("writer",),
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 5, 30),
)
INFORMER_OBJECTS: Final = gauge(
    "spillway_informer_objects",
    "Objects that the informer holds.",
    ("resource",),
)
INFORMER_EVENTS: Final = counter(
    "spillway_informer_events",
    "Watch events received, by type.",
    ("resource", "type"),
)
INFORMER_LISTS: Final = counter(
    "spillway_informer_lists",
    "Whole lists taken, by their outcome.",
    ("resource", "result"),
)
INFORMER_RECONNECTS: Final = counter(
    "spillway_informer_reconnects",
    "Watches that ended, by reason (ended, stalled, gone, error).",
    ("resource", "reason"),
)
INFORMER_SYNCED: Final = gauge(
    "spillway_informer_synced",
    "1 once the first whole list is in.",
    ("resource",),
)
INFORMER_SILENCE: Final = gauge(
    "spillway_informer_silence_seconds",
    "Seconds since the API server was last heard on this watch.",
    ("resource",),
)
LISTENER_ERRORS: Final = counter(
    "spillway_listener_errors",
    "Exceptions in listeners, by what they listen to. Each is logged; none stops the informer or another listener.",
    ("record",),
)
QUEUE_DEPTH: Final = gauge(
    "spillway_queue_depth",
    "Keys that wait to be handled.",
    ("queue",),
)
QUEUE_HANDLED: Final = counter(
    "spillway_queue_handled",
    "Keys handled, by result (ok, retry).",
    ("queue", "result"),
)
QUEUE_SECONDS: Final = histogram(
    "spillway_queue_handle_seconds",
    "Time to handle one key.",
    ("queue",),
)
LEADER: Final = gauge(
    "spillway_leader",
    "1 while this replica holds the Lease and may write.",
)
EVENTS: Final = counter(
    "spillway_events",
    "Kubernetes Events, by result (created, repeated, dropped, error).",
    ("result",),
)
