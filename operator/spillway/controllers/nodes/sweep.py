"""The sweep: it removes Spillway's marks from pods whose policy is gone, only recommends, or no longer governs them.

It checks every pod at the start (the policy may have been deleted while no operator ran) and after each change of the
resources, the pods of a namespace whose labels change, and each pod that appears with marks that it should not have. An
existing policy that cannot be read (by a version that does not know its newest values) is not gone. Nodes need no
sweep: their taint and cordon follow from the present resources, and without a policy none is wanted.
"""

from collections.abc import Iterable
from typing import ClassVar, Final

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.domain.model.names import PodUid
from spillway.domain.model.records import NamespaceRecord, OwnerRecord, PodRecord, ReplicaSetRecord, StatefulSetRecord
from spillway.domain.nodes.sweep import carries_marks, unmark
from spillway.domain.pools.withdrawn import waits_for_pools
from spillway.domain.surge.steps import replaced_pod
from spillway.kube.protocols import ObjectWriter
from spillway.kube.slices import in_slices
from spillway.kube.writer import REFUSED_SECONDS
from spillway.state.catalog import Kind

TERMINATING_SECONDS: Final = 60.0
"""Seconds after which a pod that is being deleted counts as stuck: it loses its marks as well."""

ALL: Final = "*"
"""The key of a check of every pod; any other key is a pod's uid."""


class SweepController(Controller):
    """The sweep, with one key per pod to check, and one key for all pods."""

    name: ClassVar = "sweep"
    workers: ClassVar = 8

    def __init__(self, world: World, writer: ObjectWriter) -> None:
        super().__init__(world)
        self._writer = writer
        self._enforced: frozenset[str] = frozenset()
        self._unreadable: frozenset[str] = frozenset()
        self._read_policies()

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.state.subscribe(PodRecord, self._pod_changed)
        yield self.world.state.subscribe(ReplicaSetRecord, self._owner_changed)
        yield self.world.state.subscribe(StatefulSetRecord, self._owner_changed)
        yield self.world.state.subscribe(NamespaceRecord, self._namespace_changed)
        yield self.world.catalog.subscribe(self._resources_changed)

    def all_keys(self) -> Iterable[str]:
        return [ALL]

    async def reconcile(self, key: str) -> float | None:
        if key == ALL:
            await self._look_at_all()
            return None
        pod = self.world.state.pods.get(PodUid(key))
        if pod is None or not self._orphaned(pod):
            return None
        if not await self._writer.annotate_pod(pod, unmark(pod)):
            return REFUSED_SECONDS
        self.log.info("marks removed", key=pod.key, policy=pod.policy)
        return None

    async def _look_at_all(self) -> None:
        pods = list(self.world.state.pods.values())
        found = 0
        async for pod in in_slices(pods):
            if self._orphaned(pod):
                self._queue(pod)
                found += 1
        if found:
            self.log.info("orphaned marks found", pods=found)

    def _orphaned(self, pod: PodRecord) -> bool:
        if not carries_marks(pod) or pod.policy in self._unreadable:
            return False
        if not pod.node and pod.pending is not None and (pod.pending.virtual or waits_for_pools(pod)):
            # It was sent to pools, under these policies or earlier ones, and is known by its marks until it is on a
            # node or is replaced. So they stay whether the present policies let them count or not.
            return False
        owner = self.world.state.owner(pod.owner_uid)
        if owner is None:
            return pod.policy not in self._enforced
        # Each resource has its own watch: a namespace may be seen later than the pods in it.
        if owner.namespace not in self.world.state.namespaces:
            return False
        if isinstance(owner, ReplicaSetRecord) and replaced_pod(owner.surge):
            # A surge has just given one of its pods the lowest cost; the next change of the owner ends it.
            return False
        # A pod that an enforced policy claims is never taken from it, whatever policy its marks name, if any: a scale-
        # down may just have given it its first cost, and the upkeep puts the marks right.
        claim = self.world.claim_of(owner)
        return claim is None or not claim.enforced

    def _read_policies(self) -> None:
        policies = self.world.governance.policies
        self._enforced = frozenset(name for name, policy in policies.items() if policy.spec.enforced)
        self._unreadable = self.world.catalog.unreadable(Kind.ELASTIC_POLICY)

    def _resources_changed(self) -> None:
        self._read_policies()
        self.queue.add(ALL)

    def _owner_changed(self, old: OwnerRecord | None, new: OwnerRecord | None) -> None:
        if old is not None and new is not None and (old.labels != new.labels or _ended_surge(old, new)):
            for pod in self.world.state.pods_of(new.uid):
                self._pod_changed(None, pod)

    def _namespace_changed(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        if new is not None and (old is None or old.labels != new.labels):
            for pod in self.world.state.pods_in(new.name):
                self._pod_changed(None, pod)

    def _pod_changed(self, _: PodRecord | None, new: PodRecord | None) -> None:
        if new is not None and carries_marks(new) and self._orphaned(new):
            self._queue(new)

    def _queue(self, pod: PodRecord) -> None:
        if pod.terminating:
            # Most are gone soon, and need no write.
            self.queue.add_after(pod.uid, TERMINATING_SECONDS)
        else:
            self.queue.add(pod.uid)


def _ended_surge(old: OwnerRecord, new: OwnerRecord) -> bool:
    """Whether a surge that chose a pod has ended: a pod that stays loses the cost that it was given."""
    if not isinstance(old, ReplicaSetRecord) or not isinstance(new, ReplicaSetRecord):
        return False
    return old.surge != new.surge and replaced_pod(old.surge) is not None
