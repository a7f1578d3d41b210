"""The names that Spillway writes on other objects, and the types of the names that it reads.

Contract: these names are public. Users search for them, dashboards select on them, and `spillway restore` removes them.
Every one of them is here, with a docstring of the form "Annotation on a pod: …", from which the reference is generated.
A key with Spillway's prefix belongs to Spillway on any object. The only other key that Spillway writes is
`POD_DELETION_COST`; a pod on which it was written also carries `COST_WRITTEN` with the same value, so a foreign writer
shows by a difference.
"""

from enum import StrEnum
from typing import Final, NewType

NodeName = NewType("NodeName", str)
Zone = NewType("Zone", str)
PodUid = NewType("PodUid", str)
OwnerUid = NewType("OwnerUid", str)

FIELD_MANAGER: Final = "spillway"

POD_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
"""Annotation on a pod: Kubernetes' own deletion cost. Of the ready pods of a ReplicaSet the lowest is deleted first."""

COST_WRITTEN: Final = "spillway.dev/deletion-cost"
"""Annotation on a pod: the deletion cost that Spillway wrote last. If `controller.kubernetes.io/pod-deletion-cost`
has another value, another client wrote that one later."""

TIER: Final = "spillway.dev/tier"
"""Annotation on a pod: the tier of its node, `fixed`, `elastic` or `virtual`."""

POOL: Final = "spillway.dev/pool"
"""Annotation on a pod: on a virtual node, the VirtualNodeBudget of the node's pool."""

POLICY: Final = "spillway.dev/policy"
"""Annotation on a pod: the ElasticPolicy that governs it. On a HorizontalPodAutoscaler, and on an object that holds
headroom: the ElasticPolicy for which Spillway created it."""

CLASS: Final = "spillway.dev/class"
"""Label that users set on a pod template: the name of the workload class in the policy."""

PLACEMENT: Final = "spillway.dev/placement"
"""Annotation on a pod: `physical` or `virtual`, as decided when it was created."""

POOLS: Final = "spillway.dev/pools"
"""Annotation on a pod: the VirtualNodeBudgets whose pools may take it, in order of preference, separated by commas."""

RESERVATION: Final = "spillway.dev/reservation"
"""Annotation on a pod: the identifier of the reservation that counts against the limits of the pool until the operator
has seen the pod. It also proves that Spillway wrote `spillway.dev/pools`."""

SIZE: Final = "spillway.dev/size"
"""Annotation on a pod: the size requested from the provider if it is larger than the pod's requests, for example
`4000m-8589934592` for 4,000 millicores and 8 GiB in bytes, and after it a signature that proves that Spillway wrote
it."""

THRESHOLD: Final = "spillway.dev/threshold"
"""Annotation that users set on a workload: how many replicas to keep on physical nodes; it overrides the plan."""

SURGE: Final = "spillway.dev/surge"
"""Annotation on a ReplicaSet or ReplicationController: it runs one additional replica, so that another one can be
brought back from virtual nodes or moved. The value has the number of replicas before, the start time, the pod that is
moved and the resource for which it is moved, and a signature that proves that Spillway wrote it."""

APPLIED: Final = "spillway.dev/applied"
"""Annotation on a HorizontalPodAutoscaler, and on an object that holds headroom: a hash of the spec that Spillway
applied last."""

HEADROOM: Final = "spillway.dev/headroom"
"""Label on a Deployment, PodTemplate or CapacityBuffer in Spillway's namespace, and on the pods of the first: it holds
headroom. The value is the name of the object."""

HEADROOM_PREFIX: Final = "spillway-headroom-"
"""What the names of these objects begin with."""

LANDING: Final = "landing.spillway.dev/"
"""Prefix of annotations on a pod that say where it runs; environment variables refer to them."""

LANDING_NODE: Final = "landing.spillway.dev/node"
"""Annotation on a pod: its node, if a variable with `fromLanding: node` refers to it."""

LANDING_ZONE: Final = "landing.spillway.dev/zone"
"""Annotation on a pod: the zone of its node, if a variable with `fromLanding: zone` refers to it."""

LANDING_ENV: Final = "landing.spillway.dev/env."
"""Annotation on a pod: the value that the pod's pool gives to its variable NAME with `landed`."""

LANDING_VECTOR: Final = "landing.spillway.dev/vector"
"""Annotation on a pod: the configuration of the log shipper in this pod."""

ELASTIC_TAINT: Final = "spillway.dev/elastic"
"""Taint on a node: makes pods prefer fixed nodes to this elastic node, with the effect PreferNoSchedule. The value is
the ElasticPolicy."""

ZONE_SPREAD: Final = "spillway.dev/zone-spread"
"""Label that users set on a pod template: `DoNotSchedule`, `ScheduleAnyway` or `None`; it overrides `zoneSpread` of its
ZonalBalance."""

LOAD_CLASS: Final = "spillway.dev/load-class"
"""Label on a pod: the load class of its workload when the pod was created, `cpu-bound` or `memory-bound`. If users set
the label on a pod template, their value is used."""

HOT_TAINT: Final = "spillway.dev/hot"
"""Taint on a node: makes new pods prefer other nodes to this busy one, with the effect PreferNoSchedule. The value is
the ZonalBalance."""

EMPTYING_TAINT: Final = "spillway.dev/emptying"
"""Taint on a node: makes new pods prefer other nodes to this elastic node, which is being emptied by moves, with the
effect PreferNoSchedule. The value is the ElasticPolicy."""

AVOIDED_TAINTS: Final = frozenset({HOT_TAINT, EMPTYING_TAINT})
"""The keys of Spillway's soft taints on nodes from which pods are moved: no move goes there."""

REMOVAL_TAINTS: Final = frozenset(
    {"karpenter.sh/disrupted", "karpenter.sh/disruption", "ToBeDeletedByClusterAutoscaler"}
)
"""The keys of the taints by which node autoscalers mark a node that they are about to remove: its pods are evicted."""

CANDIDATE_TAINT: Final = "DeletionCandidateOfClusterAutoscaler"
"""The soft taint of a node that cluster-autoscaler is going to remove unless pods come to it."""

NODE_POOL_LABEL: Final = "karpenter.sh/nodepool"
"""The label by which Karpenter marks the nodes of a NodePool."""

CORDONED_BY: Final = "spillway.dev/cordoned-by"
"""Annotation on a node: the VirtualNodeBudget because of whose cordon Spillway made the node unschedulable."""

LEADER_ADDRESS: Final = "spillway.dev/address"
"""Annotation on a Lease: the `host:port` at which the other replicas reach the leader, written with each renewal."""

ZONE_LABEL: Final = "topology.kubernetes.io/zone"
REVISION: Final = "deployment.kubernetes.io/revision"
ROLLOUT_REVISION: Final = "rollout.argoproj.io/revision"
"""The same of Argo Rollouts."""
DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
"""On a ReplicaSet: the replicas that its Deployment wants in all, as of the last time the Deployment scaled it."""
ROLLOUT_DESIRED: Final = "rollout.argoproj.io/desired-replicas"
"""The same of Argo Rollouts."""


def pools_in(mark: str) -> tuple[str, ...]:
    """The VirtualNodeBudgets that a mark `POOLS` names, in order of preference."""
    return tuple(filter(None, mark.split(",")))


class Tier(StrEnum):
    """What a node costs to keep. Every node is in exactly one tier of a policy."""

    FIXED = "fixed"
    """Owned or prepaid: it costs the same, used or not."""
    ELASTIC = "elastic"
    """Comes and goes with the day through a node autoscaler; billed while it exists."""
    VIRTUAL = "virtual"
    """Serverless: each pod is billed while it runs."""
