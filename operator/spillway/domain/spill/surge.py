"""Whether a workload can surge, that is, run one additional replica for a while.

Contract: pure, on JSON objects: the workload's own and its autoscalers. A Deployment, or a ReplicaSet or
ReplicationController without an owner, can surge; other owners of pods cannot, because an additional replica means
something else there (a StatefulSet's ordinal, a Job's work).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from spillway.domain.model.owners import CAN_SURGE
from spillway.domain.spill.bring_back import Left


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
        Left.ROLLOUT: unseen or any(status.get(field, 0) != replicas for field in counted),
        Left.NOT_READY: status.get("readyReplicas", 0) != replicas,
        Left.AUTOSCALER_AT_MAXIMUM: any(_at_maximum(one, kind, metadata["name"], replicas) for one in autoscalers),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _at_maximum(autoscaler: Mapping[str, Any], kind: str, name: str, replicas: int) -> bool:
    spec = autoscaler.get("spec") or {}
    target = spec.get("scaleTargetRef") or {}
    scales_it = (target.get("kind"), target.get("name")) == (kind, name)
    return scales_it and spec.get("maxReplicas", 0) <= replicas
