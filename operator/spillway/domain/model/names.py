"""The names that Spillway writes on other objects, and the types of the names that it reads.

Contract: these names are public. Users search for them, dashboards select on them, and `spillway restore` removes them.
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
"""Kubernetes' own annotation: among ready pods of one ReplicaSet the lowest goes first."""

COST_WRITTEN: Final = "spillway.dev/deletion-cost"
"""On a pod: the deletion cost that Spillway wrote last. `POD_DELETION_COST` differs if another client wrote later."""

TIER: Final = "spillway.dev/tier"
"""On a pod: the tier of its node (fixed, elastic or virtual)."""

POOL: Final = "spillway.dev/pool"
"""On a pod on a virtual node: the name of the VirtualNodeBudget."""

POLICY: Final = "spillway.dev/policy"
"""On a pod: the ElasticPolicy that governs it."""

CLASS: Final = "spillway.dev/class"
"""Set by users on a pod template: the name of the workload class in the policy."""

PLACEMENT: Final = "spillway.dev/placement"
"""On a pod: what admission decided at its creation, `physical` or `virtual`."""

POOLS: Final = "spillway.dev/pools"
"""On a pod decided virtual: the VirtualNodeBudgets that may take it, in order of preference, with commas between."""

RESERVATION: Final = "spillway.dev/reservation"
"""On a pod: the token of its reservation, which counts until the informer shows the pod."""

SIZE: Final = "spillway.dev/size"
"""On a pod: the size requested from the provider if it is larger than the pod's requests: `4000m-8589934592`."""

THRESHOLD: Final = "spillway.dev/threshold"
"""Set by users on a workload: the replicas to keep on physical nodes; it overrides the plan."""

SURGE: Final = "spillway.dev/bring-back"
"""On a ReplicaSet that runs one additional replica to bring another back: the state before, and since when."""

LANDING: Final = "landing.spillway.dev/"
"""Prefix of annotations on a pod that say where it runs; environment variables refer to them."""

ELASTIC_TAINT: Final = "spillway.dev/elastic"
"""Key of the PreferNoSchedule taint on elastic nodes; its value is the policy's name."""

CORDONED_BY: Final = "spillway.dev/cordoned-by"
"""On a node that Spillway made unschedulable: the name of the VirtualNodeBudget that requested it."""

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
