"""What the spill exports. Names are documented in `docs/reference/observability.md`."""

from typing import Final

import prometheus_client

from spillway.telemetry.registry import REGISTRY

SPILLS: Final = prometheus_client.Counter(
    "spillway_spills",
    "Pods that found no physical room and were let onto virtual nodes (how: patched, replaced), by pool.",
    ("policy", "pool", "how"),
    registry=REGISTRY,
)
RECALLS: Final = prometheus_client.Counter(
    "spillway_spill_recalls",
    "Pods that no virtual pool took and that were replaced by physical ones.",
    ("policy",),
    registry=REGISTRY,
)
KEPT: Final = prometheus_client.Counter(
    "spillway_spill_kept",
    "Waiting pods that were due and stayed as they were, by reason; counted once for each pod and reason.",
    ("policy", "reason"),
    registry=REGISTRY,
)
PLANNED: Final = prometheus_client.Counter(
    "spillway_spill_recommended",
    "Waiting pods that would have changed sides (spill, recall), had the policy been in Enforce.",
    ("policy", "move"),
    registry=REGISTRY,
)
