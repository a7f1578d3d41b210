"""Metrics of the placement of new pods.

Label values are few and fixed, except for the names of Spillway's own resources.
"""

from typing import Final

from spillway.telemetry.registry import counter, gauge, histogram

DECISIONS: Final = counter(
    "spillway_placement_decisions",
    "Decisions about new pods, by decision (physical or virtual) and reason. Leader only.",
    ("policy", "decision", "reason"),
)
RECOMMENDED: Final = counter(
    "spillway_placement_recommended",
    "The same for policies in mode Recommend: what would have been decided in mode Enforce.",
    ("policy", "decision", "reason"),
)
RESERVATIONS: Final = gauge(
    "spillway_placement_reservations",
    "Reservations of pods that the operator has placed and has not seen yet.",
)
RESERVATIONS_EXPIRED: Final = counter(
    "spillway_placement_reservations_expired",
    "Reservations that expired, because the pod was never created; something else in the API server refused it.",
)
REFUSED: Final = counter(
    "spillway_placement_pool_left_out",
    "How often a pool stopped being used for a workload for a while, because the API server refused its pods there.",
    ("pool",),
)
FORWARDS: Final = counter(
    "spillway_placement_forwards",
    "Requests about new pods that this replica forwarded to the leader, by result: answered, or the reason why the "
    "request was allowed unchanged: no-leader, refused, timeout, error, or quiet (after several timeouts the leader is "
    "not called for a while).",
    ("result",),
)
BEHIND_SECONDS: Final = histogram(
    "spillway_placement_behind_seconds",
    "Time that a decision about a new pod waited, until the operator had seen changes that the controller of its owner "
    "had already seen.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5),
)
