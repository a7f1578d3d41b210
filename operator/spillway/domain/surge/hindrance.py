"""Whether a workload can surge, that is, run one additional replica for a while.

Contract: pure, on JSON objects: the workload's own and its autoscalers. A Deployment, or a ReplicaSet or
ReplicationController without an owner, can surge; other owners of pods cannot, because an additional replica means
something else there (a StatefulSet's ordinal, a Job's work).
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from spillway.api.quantity import parse_quantity
from spillway.domain.model.owners import CAN_SURGE
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.surge.patience import LONGEST_AVAILABLE_SECONDS

_DO_NOT_DISRUPT: Final = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
"""Annotations by which users keep node autoscalers from moving a pod."""
_BOUND_VOLUMES: Final = ("persistentVolumeClaim", "hostPath")


class Left(StrEnum):
    """Why a workload does not surge, so that none of its replicas is brought back or moved."""

    SETTLING = "Settling"
    """The workload or the room has not been stable for long enough, or the last try failed a short time ago."""
    MOVED_RECENTLY = "MovedRecently"
    """Its pods there came by a move a short time ago."""
    NO_EFFECT = "NoEffect"
    """The last move of one of its pods did not make its zones more even, or one before it not for an hour."""
    ZONE_DOWN = "ZoneDown"
    """A zone is down, or has come back a short time ago."""
    NO_ROOM = "NoRoom"
    """No physical node has room for one of its replicas."""
    ROLLOUT = "RolloutInProgress"
    PAUSED = "Paused"
    NOT_READY = "NotReady"
    """Some replica is not ready: the surge would end with that one deleted."""
    AUTOSCALER_AT_MAXIMUM = "AutoscalerAtMaximum"
    """Its HorizontalPodAutoscaler allows no additional replica, and would undo the surge."""
    AT_QUOTA = "AtQuota"
    """A ResourceQuota of its namespace has no room for an additional replica."""
    POOL_HELD = "PoolHeld"
    """One of its replicas is on a pool of virtual nodes that is held, so that its replicas may have to go elsewhere."""
    SINGLE_REPLICA = "SingleReplica"
    """It has one replica, and an eviction would leave it without any for a while."""
    FOREIGN_WRITER = "ForeignWriter"
    """Another client writes its deletion costs, so it is not known which replica would be deleted."""
    EXACT_REPLICAS = "ExactReplicas"
    """Its class has `scheduleOnly`, so nothing but its schedules changes how many replicas it has."""
    UNREAD = "Unread"
    """Its object, what bounds its replicas, or what its pods use cannot be read, though other workloads' can."""
    NOT_GOVERNED = "NotGoverned"
    """The policy that empties its node does not govern it."""
    DO_NOT_DISRUPT = "DoNotDisrupt"
    """An annotation of its pods asks node autoscalers to leave them where they are."""
    DISRUPTION_BUDGET = "DisruptionBudget"
    """The disruption budgets of the node's NodePool allow no further node to be emptied now."""
    VOLUMES = "Volumes"
    """Its pods use volumes that may be bound to their node."""
    CANNOT_SURGE = "CannotSurge"
    """A kind that cannot run an additional replica for a while, such as a StatefulSet or a Job; a Deployment of one
    replica with the strategy Recreate, of which no two run at once; or its replicas become available too late
    (`minReadySeconds`)."""


PASSING: Final = frozenset({Left.SETTLING, Left.ROLLOUT, Left.NOT_READY})
"""Reasons that pass by themselves: a node that is being emptied waits for them."""


def cannot_surge(workload: Mapping[str, Any], autoscalers: Iterable[Mapping[str, Any]] = ()) -> Left | None:
    """Why the workload cannot surge now; None if it can. `autoscalers` are those of its namespace."""
    kind = str(workload.get("kind", ""))
    if kind not in CAN_SURGE:
        return Left.CANNOT_SURGE
    metadata, spec, status = workload["metadata"], workload.get("spec") or {}, workload.get("status") or {}
    replicas = spec.get("replicas", 1)
    counted = {"replicas", "updatedReplicas"} if kind == "Deployment" else {"replicas"}
    unseen = status.get("observedGeneration", 0) < metadata.get("generation", 0)
    reasons = {
        Left.PAUSED: bool(spec.get("paused")),
        Left.CANNOT_SURGE: spec.get("minReadySeconds", 0) > LONGEST_AVAILABLE_SECONDS or _runs_alone(spec),
        Left.ROLLOUT: unseen or any(status.get(field, 0) != replicas for field in counted),
        Left.NOT_READY: status.get("readyReplicas", 0) != replicas,
        Left.AUTOSCALER_AT_MAXIMUM: any(_at_maximum(one, kind, metadata["name"], replicas) for one in autoscalers),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _runs_alone(spec: Mapping[str, Any]) -> bool:
    """Whether no two replicas may run at once: the strategy Recreate keeps a rollout of one replica from it."""
    return (spec.get("strategy") or {}).get("type") == "Recreate" and spec.get("replicas", 1) == 1


def available_replicas(workload: Mapping[str, Any]) -> int | None:
    """The replicas that have been ready for `minReadySeconds`; None where the workload does not ask for that."""
    if not workload["spec"].get("minReadySeconds"):
        return None
    available: int = (workload.get("status") or {}).get("availableReplicas", 0)
    return available


def stays_on_its_node(template: Mapping[str, Any]) -> Left | None:
    """Why pods of this template are not moved off their node; None if they may be."""
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    if any(annotations.get(key) == value for key, value in _DO_NOT_DISRUPT.items()):
        return Left.DO_NOT_DISRUPT
    volumes = (template.get("spec") or {}).get("volumes") or ()
    return Left.VOLUMES if any(key in volume for volume in volumes for key in _BOUND_VOLUMES) else None


def all_ready(replicaset: ReplicaSetRecord, pods: Collection[PodRecord]) -> bool:
    """Whether a ReplicaSet with these active pods has all that it asks for, no more, and each of them is ready."""
    return len(pods) == replicaset.replicas and all(pod.ready for pod in pods)


def at_quota(quotas: Iterable[Mapping[str, Any]], *, cpu_millis: int, memory_bytes: int) -> bool:
    """Whether a ResourceQuota has no room for one more pod with these requests.

    A quota for some pods alone (with scopes) and one on limits are left to the API server, which refuses the pod.
    """
    wanted = {
        "pods": Decimal(1),
        "count/pods": Decimal(1),
        "cpu": Decimal(cpu_millis) / 1000,
        "requests.cpu": Decimal(cpu_millis) / 1000,
        "memory": Decimal(memory_bytes),
        "requests.memory": Decimal(memory_bytes),
    }
    for quota in quotas:
        spec, status = quota.get("spec") or {}, quota.get("status") or {}
        if spec.get("scopes") or spec.get("scopeSelector"):
            continue
        hard, used = status.get("hard") or {}, status.get("used") or {}
        for name in hard.keys() & wanted.keys():
            if wanted[name] and parse_quantity(used.get(name, "0")) + wanted[name] > parse_quantity(hard[name]):
                return True
    return False


def _at_maximum(autoscaler: Mapping[str, Any], kind: str, name: str, replicas: int) -> bool:
    spec = autoscaler.get("spec") or {}
    target = spec.get("scaleTargetRef") or {}
    scales_it = (target.get("kind"), target.get("name")) == (kind, name)
    return scales_it and spec.get("maxReplicas", 0) <= replicas
