"""Metrics of the HTTP servers: their connections, and those that were closed to keep within bounds."""

from typing import Final

from spillway.telemetry.registry import counter, gauge

CONNECTIONS: Final = gauge(
    "spillway_http_connections",
    "Open connections of a server of this replica: webhooks, peers, metrics, external-metrics, explain or "
    "scheduler-extender.",
    ("server",),
)
CLOSED: Final = counter(
    "spillway_http_connections_closed",
    "Connections that a server closed to keep within its bounds, by the reason: too-many (of its open connections, for "
    "a new one), handshakes (too many TLS handshakes at once), slow-request (a request did not arrive in time), "
    "slow-reader (the client did not read its answer in time), too-large (a request) or memory (requests that were "
    "arriving, or answers that were not read, held too much together).",
    ("server", "reason"),
)
