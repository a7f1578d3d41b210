"""The reasons of Spillway's own Events; those that follow from a condition have the condition's reason.

Contract: every Event has its reason from here, with a docstring of the form "Normal, on the workload: …": the type of
the Event, the object, and what it says. The reference is generated from the docstrings.
"""

from typing import Final

SCALE_DOWN_PLANNED: Final = "ScaleDownPlanned"
"""Normal, on the workload that is scaled down: says how many pods are deleted, from which tiers and for which reasons,
and names the first of them."""
SCALE_DOWN_LET_GO: Final = "ScaleDownLetGo"
"""Warning, on the workload that is scaled down: the scale-down was allowed before all of its deletion costs were
written. Says why."""
PODS_FAILED: Final = "PodsFailed"
"""Normal, on the workload: the provider had no stock for its pods. The next pods go elsewhere or request a larger
size."""
PODS_REPLACED: Final = "PodsReplaced"
"""Warning or Normal, on the workload: its pods are replaced. Warning: they were lost with the nodes of a pool. Normal:
they never started there, or no policy sends them there any more."""
KEPT_PHYSICAL: Final = "KeptPhysical"
"""Warning or Normal, on the workload: a pod that was meant for virtual nodes, or that found no room on physical nodes,
stays on physical nodes or waits for them. Warning: no pool takes it. Normal: virtual nodes cannot run it."""
POOL_LEFT_OUT: Final = "PoolLeftOut"
"""Warning, on the workload: the API server refused its pods for a pool, so the pool is not used for it for a while.
Names the pool, its overlay or size, and the API server's message."""
TOLERATES_VIRTUAL: Final = "ToleratesVirtual"
"""Warning, on the workload: its class has `placement.virtual: Never`, but its pods have tolerations of their own with
which they can be scheduled to virtual nodes."""
OVERLAY_CONFLICT: Final = "OverlayConflict"
"""Warning, on the workload or the pod: a pool's `podOverlay` and the pod set the same field. The pod's value
is kept."""
INVALID_THRESHOLD: Final = "InvalidThreshold"
"""Warning, on the workload: its annotation `spillway.dev/threshold` is not a number of replicas and is not used, or has
no effect on its kind, as on a DaemonSet."""
DEMAND_UNUSABLE: Final = "DemandUnusable"
"""Warning, on the workload: its demand cannot be read or used. Says why, and which applies: no threshold is planned for
it (it keeps its last threshold, or stays on physical nodes), or there is no forecast for it."""
THRESHOLDS_PLANNED: Final = "ThresholdsPlanned"
"""Normal, on the ElasticPolicy: a plan changed thresholds of its workloads. Says how many, and how many cores of the
owned nodes are used at the peak."""
SPILLED: Final = "Spilled"
"""Normal, on the pod, or the workload if its pod is replaced: no physical node had room, so it may run on virtual
nodes."""
RECALLED: Final = "Recalled"
"""Normal, on the workload: pods that were sent to virtual nodes could not be scheduled there, so pods for physical
nodes replace them."""
BROUGHT_BACK: Final = "BroughtBack"
"""Normal, on the workload: a replica came back from a virtual node."""
BRING_BACK_FAILED: Final = "BringBackFailed"
"""Normal, on the workload: an attempt to bring a replica back was undone. Says why. It is tried again later."""
BRING_BACK_LEFT: Final = "BringBackLeft"
"""Normal, on the workload: its replicas cannot be brought back from virtual nodes. Says why."""
SCHEDULE_STARTED: Final = "ScheduleStarted"
"""Normal, on the ElasticPolicy: an entry of `scaling.schedules` has begun. Names its class, its replicas and the time
of the next change."""
HEADROOM_CHANGED: Final = "HeadroomChanged"
"""Normal, on the ElasticPolicy: the amount of headroom has changed. Says how much is needed, and why."""
NODES_HOT: Final = "NodesHot"
"""Warning, on the ZonalBalance: nodes have become hot. Names them."""
LOAD_CLASS_FOUND: Final = "LoadClassFound"
"""Normal, on the workload: its load class was determined, or has changed. Says the class and the measured ratio."""
MOVES_PLANNED: Final = "MovesPlanned"
"""Normal, on the ZonalBalance or the ElasticPolicy: moves of pods would make the zones of workloads or the load of
nodes more even, free requests on nodes with little load, spread load classes, or empty elastic nodes. Says how many,
and names the first ones."""
POD_MOVED: Final = "PodMoved"
"""Normal, on the workload: a pod was evicted, or replaced by a surge, to make the zones of its workload or the load of
nodes more even, to free requests on a node with little load, to spread its load class, or to empty an elastic node.
Names its node; for an eviction the node where its replacement is expected, and for a surge the additional replica and
the resource that asked for the move."""
MOVE_LEFT: Final = "MoveLeft"
"""Normal, on the workload: one of its pods was to be moved by a surge, and stays. Says why. It is tried again later."""
NODE_EMPTIED: Final = "NodeEmptied"
"""Normal, on the ElasticPolicy: moves have emptied an elastic node, so that a node autoscaler can remove it. Names
it."""
