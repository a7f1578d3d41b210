"""The HorizontalPodAutoscalers that Spillway creates (`hpa: Managed`): their manifests, and which to write or delete.

Contract: pure. The recommended number is the autoscaler's minReplicas, so a floor holds to the replica and needs no
metric; with `scheduleOnly` it is maxReplicas as well. One autoscaler a workload, under a name that says whose it is.
One with that name and without Spillway's annotation, or another one that scales the workload, is the user's: nothing
is written then. The ElasticPolicy owns each, so Kubernetes deletes them with it.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from spillway.api.scaling import Scaling
from spillway.api.schema import API_VERSION
from spillway.domain.model.names import APPLIED, FIELD_MANAGER, POLICY
from spillway.domain.model.owners import Owner
from spillway.domain.scaling.autoscalers import AutoscalerRecord, managed_name
from spillway.domain.scaling.rate import pause_seconds

_LONGEST_WINDOW: Final = 3600
"""Kubernetes allows no longer stabilization window."""
_DEFAULT_WINDOW: Final = 300
_LONGEST_NAME: Final = 253


@dataclass(frozen=True, slots=True)
class ManagedWorkload:
    """A workload whose class asks for an autoscaler of Spillway's, under a policy that is enforced."""

    owner: Owner
    policy: str
    policy_uid: str
    scaling: Scaling
    replicas: int
    """The recommended number."""

    @property
    def name(self) -> str:
        """The name of its autoscaler."""
        return managed_name(self.owner.kind, self.owner.name)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One autoscaler to apply."""

    namespace: str
    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ManagedPlan:
    """What to write and to delete, and the workloads that keep an autoscaler of the user's."""

    apply: tuple[Wanted, ...]
    delete: tuple[AutoscalerRecord, ...]
    foreign: Mapping[str, str]
    """The name of the user's autoscaler, by workload."""


def manifest(one: ManagedWorkload) -> dict[str, Any]:
    """The autoscaler as it is applied, with a digest of its spec."""
    least = max(1, one.replicas)
    most = least if one.scaling.schedule_only else max(least, one.scaling.max_replicas or least)
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": one.owner.api_version, "kind": one.owner.kind, "name": one.owner.name},
        "minReplicas": least,
        "maxReplicas": most,
    }
    target = one.scaling.target
    if not one.scaling.schedule_only and target is not None and target.metric is not None:
        utilization = {"type": "Utilization", "averageUtilization": target.utilization}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": target.metric, "target": utilization}}]
    if one.scaling.max_scalings_per_hour is not None:
        window = min(_LONGEST_WINDOW, max(_DEFAULT_WINDOW, int(pause_seconds(one.scaling.max_scalings_per_hour))))
        spec["behavior"] = {"scaleDown": {"stabilizationWindowSeconds": window}}
    owner = {"apiVersion": API_VERSION, "kind": "ElasticPolicy", "name": one.policy, "uid": one.policy_uid}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": one.name,
            "namespace": one.owner.namespace,
            "labels": {"app.kubernetes.io/managed-by": FIELD_MANAGER},
            "annotations": {POLICY: one.policy, APPLIED: digest(spec, owner)},
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def digest(*parts: Mapping[str, Any]) -> str:
    """The mark by which a spec that was applied is recognised."""
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:16]


def plan_managed(
    workloads: Iterable[ManagedWorkload], present: Iterable[AutoscalerRecord], *, kept: Collection[str] = frozenset()
) -> ManagedPlan:
    """What has to change, given all autoscalers of the cluster.

    Those of the policies `kept` are not deleted: these policies exist, and this version cannot read them.
    """
    present = tuple(present)
    by_name = {(one.namespace, one.name): one for one in present}
    users = {one.workload: one.name for one in sorted(present, key=lambda one: one.name, reverse=True) if not one.ours}
    apply: list[Wanted] = []
    foreign: dict[str, str] = {}
    asked_for: set[str] = set()
    for one in workloads:
        standing = by_name.get((one.owner.namespace, one.name))
        if one.owner.key in users:
            foreign[one.owner.key] = users[one.owner.key]
            continue
        if (standing is not None and not standing.ours) or len(one.name) > _LONGEST_NAME or not one.owner.api_version:
            foreign[one.owner.key] = one.name
            continue
        body = manifest(one)
        if standing is not None:
            asked_for.add(standing.uid)
        if standing is None or not _stands(standing, body):
            apply.append(Wanted(one.owner.namespace, one.name, body))
    delete = tuple(one for one in present if one.ours and one.uid not in asked_for and one.policy not in kept)
    return ManagedPlan(tuple(apply), delete, foreign)


def _stands(standing: AutoscalerRecord, body: Mapping[str, Any]) -> bool:
    spec = body["spec"]
    return (standing.applied, standing.minimum, standing.maximum) == (
        body["metadata"]["annotations"][APPLIED],
        spec["minReplicas"],
        spec["maxReplicas"],
    )
