"""The metrics of `/metrics`: one registry for the process, and the metrics of the runtime itself.

Contract: every name begins with `spillway_`; labels are of bounded number (never a pod or a node). A concern's own
metrics stand beside its code and register in `REGISTRY`.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from spillway.telemetry import bulk

REGISTRY: Final = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

WRITES: Final = Counter(
    "spillway_writes",
    "Requests that change the cluster, by their last answer (ok, unchanged, gone, conflict, blocked, fenced, error).",
    ("verb", "resource", "result"),
    registry=REGISTRY,
)
WRITE_RETRIES: Final = Counter(
    "spillway_write_retries",
    "Writes sent again after 429, 5xx or a broken connection.",
    ("verb", "resource"),
    registry=REGISTRY,
)
WRITE_WAIT_SECONDS: Final = Histogram(
    "spillway_write_wait_seconds",
    "Time that a write waited for its turn in the token bucket.",
    ("writer",),
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 5, 30),
    registry=REGISTRY,
)

INFORMER_OBJECTS: Final = Gauge(
    "spillway_informer_objects",
    "Objects that the informer holds.",
    ("resource",),
    registry=REGISTRY,
)
INFORMER_EVENTS: Final = Counter(
    "spillway_informer_events",
    "Watch events received, by type.",
    ("resource", "type"),
    registry=REGISTRY,
)
INFORMER_LISTS: Final = Counter(
    "spillway_informer_lists",
    "Whole lists taken, by their outcome.",
    ("resource", "result"),
    registry=REGISTRY,
)
INFORMER_RECONNECTS: Final = Counter(
    "spillway_informer_reconnects",
    "Watches that ended, by reason (ended, stalled, gone, error).",
    ("resource", "reason"),
    registry=REGISTRY,
)
INFORMER_SYNCED: Final = Gauge(
    "spillway_informer_synced",
    "1 once the first whole list is in.",
    ("resource",),
    registry=REGISTRY,
)
INFORMER_SILENCE: Final = Gauge(
    "spillway_informer_silence_seconds",
    "Seconds since the API server was last heard on this watch.",
    ("resource",),
    registry=REGISTRY,
)
LISTENER_ERRORS: Final = Counter(
    "spillway_listener_errors",
    "Exceptions raised by listeners of the cluster's state; each is logged, none stops the informer.",
    ("record",),
    registry=REGISTRY,
)

QUEUE_DEPTH: Final = Gauge(
    "spillway_queue_depth",
    "Keys that wait to be handled.",
    ("queue",),
    registry=REGISTRY,
)
QUEUE_HANDLED: Final = Counter(
    "spillway_queue_handled",
    "Keys handled, by result (ok, retry).",
    ("queue", "result"),
    registry=REGISTRY,
)
QUEUE_SECONDS: Final = Histogram(
    "spillway_queue_handle_seconds",
    "Time to handle one key.",
    ("queue",),
    registry=REGISTRY,
)

LEADER: Final = Gauge(
    "spillway_leader",
    "1 while this replica holds the Lease and may write.",
    registry=REGISTRY,
)
EVENTS: Final = Counter(
    "spillway_events",
    "Kubernetes Events, by result (created, repeated, dropped, error).",
    ("result",),
    registry=REGISTRY,
)


def exposition() -> bytes:
    """Everything in the registry and the gauges of one series a workload, in Prometheus' text format."""
    return generate_latest(REGISTRY) + bulk.exposition()
