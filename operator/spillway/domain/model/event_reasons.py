"""The reasons of Spillway's own Events; those that follow from a condition have the condition's reason.

Contract: the reference (`docs/reference/observability.md`) lists every one of them, which a test checks.
"""

from typing import Final

SCALE_DOWN_PLANNED: Final = "ScaleDownPlanned"
SCALE_DOWN_LET_GO: Final = "ScaleDownLetGo"
PODS_FAILED: Final = "PodsFailed"
PODS_REPLACED: Final = "PodsReplaced"
KEPT_PHYSICAL: Final = "KeptPhysical"
POOL_LEFT_OUT: Final = "PoolLeftOut"
TOLERATES_VIRTUAL: Final = "ToleratesVirtual"
OVERLAY_CONFLICT: Final = "OverlayConflict"
INVALID_THRESHOLD: Final = "InvalidThreshold"
DEMAND_UNUSABLE: Final = "DemandUnusable"
THRESHOLDS_PLANNED: Final = "ThresholdsPlanned"
SPILLED: Final = "Spilled"
RECALLED: Final = "Recalled"
BROUGHT_BACK: Final = "BroughtBack"
BRING_BACK_FAILED: Final = "BringBackFailed"
BRING_BACK_LEFT: Final = "BringBackLeft"
