"""Replacement of waiting pods whose pools were withdrawn, by pods as the present policies place them.

Contract: one key per waiting pod. A pod is deleted only in the version that was read and only if none of its containers
has run, so no PodDisruptionBudget concerns it. A pod that is bound to a node stays, and so does one whose policy or
pool cannot be read by this version. A Job counts a deleted pod as failed, so its retries limit the number.
"""

from collections.abc import Iterable
from typing import ClassVar

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.placement.placement_class import governed
from spillway.controllers.placement.replacement import Replacement
from spillway.controllers.pools.unstarted import UnstartedPod, UnstartedPods
from spillway.domain.model import event_reasons
from spillway.domain.model.names import PodUid
from spillway.domain.model.records import NamespaceRecord, OwnerRecord, PodRecord, ReplicaSetRecord, StatefulSetRecord
from spillway.domain.placement.job_retries import Retries
from spillway.domain.pools.withdrawn import SETTLED_SECONDS, Tokens, waits_for_pools, withdrawn
from spillway.kube.protocols import ObjectWriter, Reader, Recorder
from spillway.state.catalog import Kind
from spillway.telemetry import pools as metrics

WITHDRAWN = "PoolsWithdrawn"
MESSAGE = "Pods that never started are replaced: no policy gives them the virtual nodes for which they waited."


class WithdrawnController(Controller):
    """The controller of pods whose pools were withdrawn."""

    name: ClassVar = "withdrawn"
    workers: ClassVar = 8

    def __init__(
        self,
        world: World,
        writer: ObjectWriter,
        events: Recorder,
        reader: Reader,
        *,
        unstarted: UnstartedPods,
        retries: Retries,
    ) -> None:
        super().__init__(world)
        self._events = events
        self._unstarted = unstarted
        self._replacement = Replacement(world, writer, reader, retries)
        self._since: dict[PodUid, float] = {}
        """Since when a pod's pools are seen to be withdrawn."""
        self._tokens = Tokens()

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self._unstarted.changed.subscribe(self._look_at)
        yield self.world.catalog.subscribe(self.add_all)
        if self.world.membership.proof is not None:
            yield self.world.membership.proof.changed.subscribe(self.add_all)
        yield self.world.state.subscribe(NamespaceRecord, self._namespace_changed)
        yield self.world.state.subscribe(ReplicaSetRecord, self._owner_changed)
        yield self.world.state.subscribe(StatefulSetRecord, self._owner_changed)
        yield self.world.state.subscribe(PodRecord, self._pod_changed)

    def all_keys(self) -> Iterable[str]:
        return [uid for uid, one in self._unstarted.pods.items() if not one.pod.node]

    async def reconcile(self, key: str) -> float | None:
        pod = self.world.state.pods.get(PodUid(key))
        if pod is None or not self._is_withdrawn(pod):
            self._since.pop(PodUid(key), None)
            return None
        now = self.world.now()
        if (wait := self._since.setdefault(pod.uid, now) + SETTLED_SECONDS - now) > 0:
            return wait
        return await self._replace(pod)

    def _is_withdrawn(self, pod: PodRecord) -> bool:
        if not waits_for_pools(pod) or not self._tokens.new(pod) or self._is_unreadable(pod):
            return False
        # Its digest is only worth computing for a pod that waits.
        if not self.world.membership.is_proven(pod):
            return False
        who = governed(self.world, pod)
        return withdrawn(pod, self.world.membership.named_pools(pod) if who is not None and who.enforced else ())

    def _is_unreadable(self, pod: PodRecord) -> bool:
        """Whether its policy or one of its pools is there, with content that is not known."""
        catalog, named = self.world.catalog, pod.marked_pools
        return pod.policy in catalog.unreadable(Kind.ELASTIC_POLICY) or not catalog.unreadable(
            Kind.VIRTUAL_NODE_BUDGET
        ).isdisjoint(named)

    async def _replace(self, pod: PodRecord) -> float | None:
        result = await self._replacement.replace(pod)
        if (again := result.again_seconds) is not None:
            return again
        self._tokens.note(pod)
        # The pools in the mark may be anything by now: they are no label.
        metrics.REPLACED.labels("", WITHDRAWN).inc()
        self.log.info("waiting pod replaced, its pools were withdrawn", key=pod.key)
        self._events.record(self.world.owner_of(pod).reference, "Normal", event_reasons.PODS_REPLACED, MESSAGE)
        return None

    def _look_at(self, waiting: UnstartedPod) -> None:
        if not waiting.pod.node:
            self.queue.add(waiting.pod.uid)

    def _namespace_changed(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        if new is not None and (old is None or old.labels != new.labels):
            self._look_at_all(self.world.state.pods_in(new.name))

    def _owner_changed(self, old: OwnerRecord | None, new: OwnerRecord | None) -> None:
        if new is not None and (old is None or old.labels != new.labels):
            self._look_at_all(self.world.state.pods_of(new.uid))

    def _look_at_all(self, pods: Iterable[PodRecord]) -> None:
        for pod in pods:
            if pod.pending is not None and not pod.node:
                self.queue.add(pod.uid)

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if new is None and old is not None and self._since.pop(old.uid, None) is not None:
            self.queue.forget(old.uid)
