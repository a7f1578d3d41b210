"""The HorizontalPodAutoscalers that Spillway creates (`hpa: Managed`): their manifests, and which to write or delete.

Contract: pure. The recommended number is the autoscaler's minReplicas, so a floor holds to the replica and needs no
metric; with `scheduleOnly` it is maxReplicas as well. One autoscaler a workload, under a name that says whose it is.
One with that name and without Spillway's annotation, or another one that scales the workload, is the user's: nothing
is written then. Each carries the marks of `domain.model.created`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from spillway.api.scaling import Scaling
from spillway.domain.model.created import Created
from spillway.domain.model.names import APPLIED
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
    """The autoscaler as it is applied."""
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
    created = Created(one.owner.namespace, one.name, one.policy, one.policy_uid)
    return created.manifest("autoscaling/v2", "HorizontalPodAutoscaler", {"spec": spec})


class ManagedPlanner:
    """The planner of what has to change; workload after workload, so that the caller may pause in between.

    Every autoscaler of the cluster is taken before the first workload.
    """

    def __init__(self, *, kept: Collection[str] = frozenset()) -> None:
        """The autoscalers of the policies `kept` stay: these policies exist, and this version cannot read them."""
        self._kept = kept
        self._by_name: dict[tuple[str, str], AutoscalerRecord] = {}
        self._users: dict[str, str] = {}
        self._apply: list[Wanted] = []
        self._foreign: dict[str, str] = {}
        self._asked_for: set[str] = set()

    def present(self, one: AutoscalerRecord) -> None:
        """Take an autoscaler that exists."""
        self._by_name[one.namespace, one.name] = one
        if not one.ours:
            self._users[one.workload] = min(one.name, self._users.get(one.workload, one.name))

    def want(self, one: ManagedWorkload) -> None:
        """Take a workload that is to have one of Spillway's."""
        workload = one.owner.key
        standing = self._by_name.get((one.owner.namespace, one.name))
        if workload in self._users:
            self._foreign[workload] = self._users[workload]
            return
        if (standing is not None and not standing.ours) or len(one.name) > _LONGEST_NAME or not one.owner.api_version:
            self._foreign[workload] = one.name
            return
        body = manifest(one)
        if standing is not None:
            self._asked_for.add(standing.uid)
        if standing is None or not _stands(standing, body):
            self._apply.append(Wanted(one.owner.namespace, one.name, body))

    def plan(self) -> ManagedPlan:
        """What to write and to delete, once all are taken."""
        delete = tuple(
            one
            for one in self._by_name.values()
            if one.ours and one.uid not in self._asked_for and one.policy not in self._kept
        )
        return ManagedPlan(tuple(self._apply), delete, self._foreign)


def _stands(standing: AutoscalerRecord, body: Mapping[str, Any]) -> bool:
    spec = body["spec"]
    return (standing.applied, standing.minimum, standing.maximum) == (
        body["metadata"]["annotations"][APPLIED],
        spec["minReplicas"],
        spec["maxReplicas"],
    )
