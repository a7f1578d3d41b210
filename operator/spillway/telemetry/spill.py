"""Metrics of spill and bring-back."""

from typing import Final

from spillway.telemetry.registry import counter, gauge

SPILLS: Final = counter(
    "spillway_spills",
    "Pods that found no room on physical nodes and were allowed to go to virtual nodes, by pool and by how: patched "
    "(tolerations were added) or replaced.",
    ("policy", "pool", "how"),
)
RECALLS: Final = counter(
    "spillway_spill_recalls",
    "Pods that no node of their virtual pools took and that were replaced by pods for physical nodes.",
    ("policy",),
)
KEPT: Final = counter(
    "spillway_spill_kept",
    "Pods that waited for spillAfter and did not go to virtual nodes, by reason. Each pod counts once for each reason.",
    ("policy", "reason"),
)
RECOMMENDED: Final = counter(
    "spillway_spill_recommended",
    "Waiting pods that would have gone to virtual nodes (spill) or back to physical nodes (recall) in mode Enforce.",
    ("policy", "move"),
)
BRING_BACKS: Final = counter(
    "spillway_bring_backs",
    "Attempts to bring a replica back that ended, by outcome: BroughtBack, or the reason why not: NoRoom, NotReady, "
    "NoGain, Refused, Overtaken, Withdrawn or Forgotten.",
    ("policy", "outcome"),
)
BRING_BACKS_RECOMMENDED: Final = counter(
    "spillway_bring_backs_recommended",
    "Replicas that would have been brought back in mode Enforce.",
    ("policy",),
)
BRING_BACK_LEFT: Final = gauge(
    "spillway_bring_back_left",
    "Replicas that belong on physical nodes but stay on virtual ones, by reason. Leader only.",
    ("policy", "reason"),
)
BRING_BACK_SURGES: Final = gauge(
    "spillway_bring_back_surges", "Workloads that run an additional replica to bring one back. Leader only."
)
