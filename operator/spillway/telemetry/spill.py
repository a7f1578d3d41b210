"""Metrics of spill and bring-back."""

from typing import Final

from spillway.telemetry.registry import counter, gauge

SPILLS: Final = counter(
    "spillway_spills",
    "Pods that found no physical room and were allowed onto virtual nodes, by pool and by how: patched "
    "(tolerations were added) or replaced.",
    ("policy", "pool", "how"),
)
RECALLS: Final = counter(
    "spillway_spill_recalls",
    "Pods that no virtual pool took and that were replaced by physical ones.",
    ("policy",),
)
KEPT: Final = counter(
    "spillway_spill_kept",
    "Waiting pods that were due to spill and did not, by reason; counted once for each pod and reason.",
    ("policy", "reason"),
)
RECOMMENDED: Final = counter(
    "spillway_spill_recommended",
    "Waiting pods that would have gone to virtual nodes (spill) or back to physical nodes (recall) in mode Enforce.",
    ("policy", "move"),
)
BRING_BACKS: Final = counter(
    "spillway_bring_backs",
    "Surges that ended, by outcome: BroughtBack (one replica less on virtual nodes), or why not (NoRoom, "
    "NotReady, NoGain, Overtaken, Withdrawn, Forgotten).",
    ("policy", "outcome"),
)
BRING_BACKS_RECOMMENDED: Final = counter(
    "spillway_bring_backs_recommended",
    "Replicas that would have been brought back, had the policy been in Enforce.",
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
