"""Owners of pods: the groups of kinds that matter, the workload that a user knows, and references to it in Events.

Contract: a workload is the owner that a user wrote: the Deployment or Rollout of a ReplicaSet, a ReplicaSet of its own,
the CronJob of a Job where that is known. Its key is `Kind/namespace/name`, made and read here and nowhere else. Where
the API group of an owner is not known, a reference says none rather than a wrong one.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from spillway.domain.model.names import HEADROOM_PREFIX, OwnerUid
from spillway.domain.model.records import OwnerRecord, PodRecord, StatefulSetRecord

if TYPE_CHECKING:
    from spillway.api import Resource

PER_NODE: Final = frozenset({"DaemonSet", "Node"})
"""Owners whose pods belong to their node: a DaemonSet runs one on each, a static pod belongs to its kubelet."""

JOBS: Final = frozenset({"Job", "CronJob"})
"""Owners whose pods end by themselves."""

WITHOUT_REPLICAS: Final = PER_NODE | JOBS
"""Owners whose pods are not replicas of a service, so that no threshold applies to them."""

LIKE_REPLICASETS: Final = frozenset({"ReplicaSet", "ReplicationController"})
"""Owners of pods that are kept as `ReplicaSetRecord`."""

WITH_REPLICASETS: Final = LIKE_REPLICASETS | {"Deployment", "DeploymentConfig", "Rollout"}
"""Workloads whose pods are owned by ReplicaSets or ReplicationControllers."""

HONOUR_DELETION_COST: Final = LIKE_REPLICASETS | {"CloneSet"}
"""Owners whose controllers choose victims by deletion cost (OpenKruise's CloneSet does)."""

CAN_SURGE: Final = LIKE_REPLICASETS | {"Deployment"}
"""Workloads that may run one additional replica for a while, by which Spillway scales them. An additional replica
means something else on others (a StatefulSet's ordinal, a Job's work)."""

LEFT_TO_KUBERNETES: Final = frozenset({"StatefulSet", "Job"})
"""Owners whose pods on dead nodes Kubernetes alone deletes: no other pod may have the name of a StatefulSet's before
its kubelet has confirmed its end, and a Job counts a deletion by another client against its `backoffLimit`."""

_API_VERSIONS: Final = {
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "Pod": "v1",
    "Node": "v1",
    "ReplicationController": "v1",
}
"""Of kinds that Kubernetes itself has: a pod's record holds its owner's kind alone."""
_JOB_OF_CRON_JOB: Final = re.compile(r"(.+)-[0-9]{8,10}", re.ASCII)


class OwnerReference(msgspec.Struct, gc=False, frozen=True, rename="camel"):
    """An entry of `metadata.ownerReferences`."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Owner(NamedTuple):
    """An object that owns pods; `api_version` is empty where it is not known."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: OwnerUid

    @property
    def key(self) -> str:
        """Its key as a workload, `Deployment/shop/cart`."""
        return workload_key(self.kind, self.namespace, self.name)

    @property
    def reference(self) -> dict[str, str]:
        """What an Event about it names."""
        return object_reference(self.api_version, self.kind, self.name, self.uid, namespace=self.namespace)


class WorkloadKey(NamedTuple):
    """The parts of a workload's key."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def parse(cls, key: str) -> "WorkloadKey":
        """The parts of `Deployment/shop/cart`."""
        kind, namespace, name = key.split("/", 2)
        return cls(kind, namespace, name)


def workload_key(kind: str, namespace: str, name: str) -> str:
    """The key of a workload in plans, status and metrics."""
    return f"{kind}/{namespace}/{name}"


def object_reference(api_version: str, kind: str, name: str, uid: str, *, namespace: str = "") -> dict[str, str]:
    """An ObjectReference, as an Event names what it is about; without a namespace for a cluster-scoped object."""
    reference = {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid}
    return {**reference, "namespace": namespace} if namespace else reference


def reference_to(resource: "Resource") -> dict[str, str]:
    """The ObjectReference of one of Spillway's resources."""
    return object_reference(resource.api_version, resource.kind, resource.metadata.name, resource.metadata.uid)


def workload_of(owner: OwnerRecord) -> Owner:
    """The workload of a ReplicaSet: its owner where it has one, else itself; a StatefulSet is one."""
    if isinstance(owner, StatefulSetRecord):
        return Owner(owner.api_version, owner.workload_kind, owner.namespace, owner.name, owner.uid)
    if owner.owner_uid:
        name, uid = owner.owner_name, owner.owner_uid
        version = owner.owner_api_version or _API_VERSIONS.get(owner.owner_kind, "")
    else:
        name, uid, version = owner.name, owner.uid, owner.api_version
    return Owner(version, owner.workload_kind, owner.namespace, name, uid)


def owner_of(pod: PodRecord, owner: OwnerRecord | None) -> Owner:
    """The owner by which a user knows the pod: the workload of its ReplicaSet, another owner, or the pod itself."""
    if owner is not None:
        return workload_of(owner)
    if not pod.owner_uid:
        return Owner("v1", "Pod", pod.namespace, pod.name, OwnerUid(pod.uid))
    version = _API_VERSIONS.get(pod.owner_kind, "")
    return Owner(version, pod.owner_kind, pod.namespace, pod.owner_name, pod.owner_uid)


def comes_with_node(pod: PodRecord) -> bool:
    """Whether the pod belongs to its node, and is there again at once wherever it is deleted."""
    return pod.owner_kind in PER_NODE


def has_successor(pod: PodRecord) -> bool:
    """Whether the pod's owner creates another one in its place once it is deleted, and not for the same node."""
    return bool(pod.owner_uid) and not comes_with_node(pod)


def is_balloon(pod: PodRecord) -> bool:
    """Whether the pod only holds headroom."""
    return pod.owner_kind == "ReplicaSet" and pod.owner_name.startswith(HEADROOM_PREFIX)


def controller_of(references: Iterable[OwnerReference] | None) -> OwnerReference | None:
    """The owner that controls the object; None where none does."""
    # A loop and no generator: the informer asks it for every change of a pod.
    for reference in references or ():
        if reference.controller:
            return reference
    return None


def counted_as(job: OwnerReference, job_owners: Iterable[OwnerReference] | None) -> OwnerReference:
    """The owner that a Job's pods count for: the CronJob that controls the Job, else the Job."""
    cron_job = controller_of(job_owners)
    return cron_job if cron_job is not None and cron_job.kind == "CronJob" else job


def counted_as_by_name(workload: str) -> str:
    """The same by the workload's key alone, for Jobs that were not read: a CronJob's have its name and a time."""
    kind, namespace, name = WorkloadKey.parse(workload)
    found = _JOB_OF_CRON_JOB.fullmatch(name) if kind == "Job" else None
    return workload_key("CronJob", namespace, found[1]) if found else workload
