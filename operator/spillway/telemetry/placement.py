"""What placement at creation exports. Label values are few and fixed but for the names of our own resources."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from spillway.telemetry.registry import REGISTRY

DECISIONS: Final = Counter(
    "spillway_placement_decisions",
    "Pods decided at their creation, by where they were sent and why",
    ("policy", "decision", "reason"),
    registry=REGISTRY,
)
RECOMMENDED: Final = Counter(
    "spillway_placement_recommended",
    "Pods of policies in Recommend: what would have been decided in Enforce",
    ("policy", "decision", "reason"),
    registry=REGISTRY,
)
RESERVATIONS: Final = Gauge(
    "spillway_placement_reservations",
    "Pods that were decided and that the informer does not show yet",
    registry=REGISTRY,
)
RESERVATIONS_EXPIRED: Final = Counter(
    "spillway_placement_reservations_expired",
    "Pods that were decided and never came to be: somebody refused them after us",
    registry=REGISTRY,
)
FORWARDS: Final = Counter(
    "spillway_placement_forwards",
    "Pods that a replica passed on to the leader, by result (answered, no-leader, refused, timeout, error)",
    ("result",),
    registry=REGISTRY,
)
BEHIND_SECONDS: Final = Histogram(
    "spillway_placement_behind_seconds",
    "Time that a decision waited because the owner's controller knew more than our watch had shown",
    registry=REGISTRY,
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5),
)
