"""Every name that Spillway writes on an object that is not its own, and the types of the names it reads.

Contract: what stands here is public. Users grep for it, dashboards select on it, and `spillway restore` removes it. A
key in our prefix is ours on any object; the only key of somebody else's that we write is `POD_DELETION_COST`, and a pod
on which we wrote it carries `COST_WRITTEN` with the value that we gave, so a foreign writer shows by a difference.
"""

from enum import StrEnum
from typing import Final, NewType

NodeName = NewType("NodeName", str)
Zone = NewType("Zone", str)
PodUid = NewType("PodUid", str)
OwnerUid = NewType("OwnerUid", str)

GROUP: Final = "spillway.dev"
VERSION: Final = "v1alpha1"
FIELD_MANAGER: Final = "spillway"

POD_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
"""Kubernetes' own annotation: among ready pods of one ReplicaSet the lowest goes first."""

COST_WRITTEN: Final = "spillway.dev/deletion-cost"
"""On a pod: the deletion cost that we wrote last. `POD_DELETION_COST` differs when somebody else wrote after us."""

TIER: Final = "spillway.dev/tier"
"""On a pod: the tier of the node on which it landed (fixed, elastic or virtual)."""

POOL: Final = "spillway.dev/pool"
"""On a pod that landed on a virtual node: the name of the VirtualNodeBudget."""

POLICY: Final = "spillway.dev/policy"
"""On a pod: the ElasticPolicy that governs it."""

CLASS: Final = "spillway.dev/class"
"""Set by users on a pod template: the name of the workload class in the policy."""

PLACEMENT: Final = "spillway.dev/placement"
"""On a pod: what admission decided at its creation, `physical` or `virtual`."""

POOLS: Final = "spillway.dev/pools"
"""On a pod decided virtual: the VirtualNodeBudgets that may take it, in order of preference, with commas between."""

RESERVATION: Final = "spillway.dev/reservation"
"""On a pod: the token under which admission remembers it until the informer shows it."""

SIZE: Final = "spillway.dev/size"
"""On a pod: the size asked of the provider where it is bigger than the pod's requests: `4000m-8589934592`."""

THRESHOLD: Final = "spillway.dev/threshold"
"""Set by users on a workload: the replicas to keep on physical nodes, whatever the plan says."""

SURGE: Final = "spillway.dev/bring-back"
"""On a ReplicaSet that runs one replica more while another is brought back: how it stood before, and since when."""

LANDING: Final = "landing.spillway.dev/"
"""Prefix of annotations on a pod that say where it landed; environment variables refer to them."""

ELASTIC_TAINT: Final = "spillway.dev/elastic"
"""Key of our PreferNoSchedule taint on elastic nodes; its value is the policy's name."""

CORDONED_BY: Final = "spillway.dev/cordoned-by"
"""On a node that we made unschedulable: the name of the VirtualNodeBudget that asked for it."""

ZONE_LABEL: Final = "topology.kubernetes.io/zone"
REVISION: Final = "deployment.kubernetes.io/revision"
ROLLOUT_REVISION: Final = "rollout.argoproj.io/revision"
"""The same of Argo Rollouts."""
DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
"""On a ReplicaSet: the replicas that its Deployment wants in all, as of the last time the Deployment scaled it."""
ROLLOUT_DESIRED: Final = "rollout.argoproj.io/desired-replicas"
"""The same of Argo Rollouts."""


class Tier(StrEnum):
    """What a node costs to keep. Every node is in exactly one tier of a policy."""

    FIXED = "fixed"
    """Owned or prepaid: it costs the same, used or not."""
    ELASTIC = "elastic"
    """Comes and goes with the day through a node autoscaler; billed while it exists."""
    VIRTUAL = "virtual"
    """Serverless: each pod is billed while it runs."""
