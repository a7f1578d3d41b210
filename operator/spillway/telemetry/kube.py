"""Metrics of the traffic with the API server: writes, watches, the work queues, the Lease and Events."""

from typing import Final

from spillway.telemetry.registry import counter, gauge, histogram

WRITES: Final = counter(
    "spillway_writes",
    "Requests that change the cluster, by result: ok, unchanged (nothing to change, so not sent), gone (the object "
    "does not exist any more), conflict, blocked (an eviction, by a disruption budget), fenced (not sent, because this "
    "replica may not be the leader any more) or error.",
    ("verb", "resource", "result"),
)
WRITE_RETRIES: Final = counter(
    "spillway_write_retries",
    "Requests that change the cluster and were sent again after the status 429 or 5xx, or a broken connection.",
    ("verb", "resource"),
)
WRITE_WAIT_SECONDS: Final = histogram(
    "spillway_write_wait_seconds",
    "Time that a write waited because of the limit of writes per second.",
    ("writer",),
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 5, 30),
)
INFORMER_OBJECTS: Final = gauge(
    "spillway_informer_objects",
    "Objects in the cache of the informer.",
    ("resource",),
)
INFORMER_EVENTS: Final = counter(
    "spillway_informer_events",
    "Watch events received, by type.",
    ("resource", "type"),
)
INFORMER_LISTS: Final = counter(
    "spillway_informer_lists",
    "Complete lists that the informer requested, by result.",
    ("resource", "result"),
)
INFORMER_RECONNECTS: Final = counter(
    "spillway_informer_reconnects",
    "Watches that ended, by reason: ended (by the API server), stalled (no data for too long), gone (the "
    "resourceVersion is too old) or error.",
    ("resource", "reason"),
)
INFORMER_SYNCED: Final = gauge(
    "spillway_informer_synced",
    "1 once the informer has received the first complete list.",
    ("resource",),
)
INFORMER_SILENCE: Final = gauge(
    "spillway_informer_silence_seconds",
    "Seconds since the API server last sent something on this watch.",
    ("resource",),
)
LISTENER_ERRORS: Final = counter(
    "spillway_listener_errors",
    "Exceptions in code that handles changes, by the type of the changed record. Each is logged. The informer and "
    "other code go on.",
    ("record",),
)
QUEUE_DEPTH: Final = gauge(
    "spillway_queue_depth",
    "Keys that wait in the work queue of a controller.",
    ("queue",),
)
QUEUE_HANDLED: Final = counter(
    "spillway_queue_handled",
    "Keys that a controller has reconciled, by result: ok, or retry (it failed and is tried again).",
    ("queue", "result"),
)
QUEUE_SECONDS: Final = histogram(
    "spillway_queue_handle_seconds",
    "Duration of the reconciliation of one key.",
    ("queue",),
)
LEADER: Final = gauge(
    "spillway_leader",
    "1 while this replica holds the Lease and may write.",
)
EVENTS: Final = counter(
    "spillway_events",
    "Kubernetes Events that Spillway emits, by result: created, repeated (the count of an earlier one was raised), "
    "dropped (too many at once) or error.",
    ("result",),
)
