"""Metrics of the placement of new pods.

Label values are few and fixed, except for the names of Spillway's own resources.
"""

from typing import Final

from spillway.telemetry.registry import counter, gauge, histogram

DECISIONS: Final = counter(
    "spillway_placement_decisions",
    "Pods decided at their creation, physical or virtual, and why. Leader only.",
    ("policy", "decision", "reason"),
)
RECOMMENDED: Final = counter(
    "spillway_placement_recommended",
    "Pods of policies in Recommend: what would have been decided in Enforce.",
    ("policy", "decision", "reason"),
)
RESERVATIONS: Final = gauge(
    "spillway_placement_reservations",
    "Reservations of pods that the operator's watch does not show yet.",
)
RESERVATIONS_EXPIRED: Final = counter(
    "spillway_placement_reservations_expired",
    "Reservations of pods that were never created, because another admission step refused them.",
)
REFUSED: Final = counter(
    "spillway_placement_pool_left_out",
    "How often a pool was left out for a workload because the API server refused its pods there.",
    ("pool",),
)
FORWARDS: Final = counter(
    "spillway_placement_forwards",
    "Pods that a replica forwarded to the leader: answered, or allowed unchanged because of no-leader, refused, "
    "timeout, error, or quiet (after several timeouts the leader is not called for a while).",
    ("result",),
)
BEHIND_SECONDS: Final = histogram(
    "spillway_placement_behind_seconds",
    "Time that a decision waited because the owner's controller knew more than the operator's watch had shown.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5),
)
