"""The workload of a pod that is being created: the one that policies select, and the number of pods that it wants.

Contract: a ReplicaSet that a Deployment or a Rollout owns counts as its owner, a Job that a CronJob owns as the
CronJob. ReplicaSets, ReplicationControllers and StatefulSets come from the informer. Jobs are read, once each, and only
while some class names Jobs or CronJobs (no other class distinguishes the two), while one of their pods has a
reservation on virtual nodes, or for an Event. Volume claims are read and cached too. A result of one namespace is never
used for another.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from spillway.admission.deadline import Deadline
from spillway.domain.fit.volume_reach import VolumeReach
from spillway.domain.model.names import THRESHOLD, OwnerUid
from spillway.domain.model.owners import JOBS, Owner, OwnerReference, counted_as, workload_of
from spillway.domain.model.records import OwnerRecord, ReplicaSetRecord, StatefulSetRecord
from spillway.domain.model.remember import FairMemory
from spillway.domain.policies.governance import Governance
from spillway.kube import paths
from spillway.kube.followed import FOLLOWED_OWNERS
from spillway.kube.paths import ObjectKey
from spillway.kube.volumes import reach_of_claim, reach_of_class
from spillway.state.cluster import ClusterState
from spillway.webhooks.lookup import Lookup

_REMEMBERED: Final = 8192


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    uid: str = ""
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


class _JobSpec(msgspec.Struct, frozen=True):
    parallelism: int | None = None


class _Job(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _JobSpec = _JobSpec()


class _KnownJob(NamedTuple):
    top: OwnerReference
    """The owner that it counts as."""
    parallelism: int
    threshold: str
    """The annotation, which means nothing there."""


_job: Final = msgspec.json.Decoder(_Job)
_json: Final = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Workload:
    """The workload of a pod, as users know it."""

    owner: Owner
    labels: Mapping[str, str]
    """The labels of the pod template, on which policies select."""
    annotation: str = ""
    """Its `spillway.dev/threshold`."""
    record: OwnerRecord | None = None
    """The owner of the pod, of a kind that the informer follows."""

    @property
    def has_replicasets(self) -> bool:
        """Whether it has ReplicaSets or ReplicationControllers, whose demand mode Auto plans."""
        return isinstance(self.record, ReplicaSetRecord)

    def position(self, pod_name: str) -> int | None:
        """How many replicas come before this one; None where they have no order."""
        return self.record.position(pod_name) if isinstance(self.record, StatefulSetRecord) else None

    @property
    def kind(self) -> str:
        return self.owner.kind

    @property
    def numbered(self) -> bool:
        """Whether it has replicas, of which a threshold may keep some on physical nodes."""
        return self.kind not in JOBS


class Workloads:
    """The lookup of workloads for the pods webhook."""

    def __init__(self, state: ClusterState, lookup: Lookup, governance: Callable[[], Governance]) -> None:
        self._state = state
        self._lookup = lookup
        self._governance = governance
        self._names_jobs: tuple[Governance, bool] | None = None
        self._jobs: FairMemory[tuple[str, str], _KnownJob] = FairMemory(_REMEMBERED)
        self._volumes: FairMemory[tuple[str, str], VolumeReach] = FairMemory(_REMEMBERED)

    async def of(
        self, namespace: str, owner: OwnerReference, labels: Mapping[str, str], deadline: Deadline
    ) -> Workload | None:
        """The workload of a pod with this controlling owner and these labels; None if it cannot be found in time."""
        if is_followed(owner):
            found = await self._lookup.owner(namespace, owner.kind, owner.name, OwnerUid(owner.uid), deadline)
            return None if found is None else Workload(workload_of(found), found.labels, found.threshold, found)
        if self._state.owner(OwnerUid(owner.uid)) is not None:
            # The uid is that of an owner of another kind, maybe in another namespace, whose counts it would change.
            return None
        annotation = ""
        if owner.kind == "Job" and self._asks_for_jobs():
            job = await self._known_job(namespace, owner, deadline)
            if job is None:
                return None
            owner, annotation = job.top, job.threshold
        found_owner = Owner(owner.api_version, owner.kind, namespace, owner.name, OwnerUid(owner.uid))
        return Workload(found_owner, labels, annotation)

    async def kind_of(self, namespace: str, owner: OwnerReference, deadline: Deadline) -> str | None:
        """The kind that a pod with this owner, not one that is followed, counts as; None if it cannot be found."""
        if owner.kind != "Job" or not self._asks_for_jobs():
            return owner.kind
        job = await self._known_job(namespace, owner, deadline)
        return None if job is None else job.top.kind

    def wanted(self, workload: Workload) -> int | None:
        """How many pods the owner wants now; None if the informer does not follow its kind."""
        seen = workload.record
        return None if seen is None else (self._state.owner(seen.uid) or seen).replicas

    async def wanted_now(self, workload: Workload, deadline: Deadline) -> int | None:
        """The same number from the API server; None if it cannot be read in time."""
        seen = workload.record
        found = None if seen is None else await self._lookup.owner_now(seen, deadline)
        return None if found is None else found.replicas

    async def exists(self, namespace: str, controller: OwnerReference, workload: Workload, deadline: Deadline) -> bool:
        """Whether the API server confirms the owner of a pod; of kinds that are neither followed nor Jobs it does not.

        A Job is read, at most once.
        """
        if workload.record is not None:
            return True
        return controller.kind == "Job" and await self._known_job(namespace, controller, deadline) is not None

    async def parallelism(
        self, namespace: str, job: OwnerReference, deadline: Deadline, *, above: int = 0
    ) -> int | None:
        """How many pods a Job runs at once; None if there is no such Job, or without an answer in time.

        A cached number is read again if it is not `above` that number, because a Job's parallelism may be raised.
        """
        known = self._jobs.get((namespace, job.uid))
        if known is None or known.parallelism <= above:
            known = await self._ask_for_job(namespace, job, deadline)
        return None if known is None else known.parallelism

    async def volumes(
        self,
        namespace: str,
        claims: Iterable[str],
        deadline: Deadline,
        *,
        ephemeral: Iterable[tuple[str, str]] = (),
    ) -> tuple[VolumeReach, ...] | None:
        """The nodes that reach the volumes of these claims; None if that cannot be read in time.

        `ephemeral` are claims that are created with the pod, each with its StorageClass.
        """
        found = []
        for name in claims:
            reach = await self._reach(namespace, name, deadline)
            if reach is None:
                return None
            found.append(reach)
        for name, storage_class in ephemeral:
            found.append(
                await reach_of_class(
                    name, storage_class, lambda wanted: self._lookup.get(wanted, _json.decode, deadline)
                )
            )
        return tuple(found)

    def _asks_for_jobs(self) -> bool:
        governance = self._governance()
        if self._names_jobs is None or self._names_jobs[0] is not governance:
            matches = (one.match for policy in governance.policies.values() for one in policy.spec.workloads)
            named = any(match is not None and JOBS.intersection(match.kinds) for match in matches)
            self._names_jobs = (governance, named)
        return self._names_jobs[1]

    async def _known_job(self, namespace: str, job: OwnerReference, deadline: Deadline) -> _KnownJob | None:
        known = self._jobs.get((namespace, job.uid))
        return known if known is not None else await self._ask_for_job(namespace, job, deadline)

    async def _ask_for_job(self, namespace: str, job: OwnerReference, deadline: Deadline) -> _KnownJob | None:
        wanted = ObjectKey.of_owner(paths.JOBS, job.name, namespace)
        found = await self._lookup.get(wanted, _job.decode, deadline)
        if found is None or found.metadata.uid != job.uid:
            return None
        parallelism = 1 if found.spec.parallelism is None else found.spec.parallelism
        threshold = (found.metadata.annotations or {}).get(THRESHOLD, "")
        known = _KnownJob(counted_as(job, found.metadata.owner_references), parallelism, threshold)
        self._jobs.put((namespace, job.uid), known, share=namespace)
        return known

    async def _reach(self, namespace: str, name: str, deadline: Deadline) -> VolumeReach | None:
        known = self._volumes.get((namespace, name))
        if known is not None:
            return known
        found = await reach_of_claim(namespace, name, lambda wanted: self._lookup.get(wanted, _json.decode, deadline))
        if found is None or not found.bound:
            return found
        self._volumes.put((namespace, name), found, share=namespace)
        return found


def is_followed(owner: OwnerReference) -> bool:
    """Whether the informer follows owners of this kind; OpenKruise has StatefulSets of its own."""
    return owner.kind in FOLLOWED_OWNERS and owner.api_version in {"", FOLLOWED_OWNERS[owner.kind].resource.api_version}
