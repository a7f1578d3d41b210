"""The upkeep of deletion costs: it keeps the stored order of each governed ReplicaSet nearly right before a scale-down.

Pods get their cost when they are bound, and the ReplicaSet webhook writes what a scale-down still needs. This
controller handles the rest: pods that were bound without the webhook, pods whose node changed its tier, and the next
victims, so that the webhook usually needs no write.

Contract: a workload is not changed until it has been stable for `settle_seconds`. A ReplicaSet that a rollout is
replacing is not changed until the rollout stops, nor is one whose costs another client writes. The writer's token
bucket limits the rate. For stable workloads nothing is written.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.domain.model.names import POD_DELETION_COST, TIER, OwnerUid, PodUid
from spillway.domain.model.owners import workload_of
from spillway.domain.model.places import Claim, place_marks
from spillway.domain.model.records import NamespaceRecord, NodeRecord, PodRecord, ReplicaSetRecord
from spillway.domain.scale_down.foreign_writer import cost_annotations, foreign_pods
from spillway.domain.scale_down.marking import depth_for, upkeep
from spillway.domain.scale_down.rollout import replaced_until
from spillway.domain.surge.steps import replaced_pod
from spillway.kube.protocols import ObjectWriter
from spillway.state.scale_down_candidates import scale_down_candidates
from spillway.telemetry import scale_down as metrics

PATIENCE: Final = 5
"""A workload that is never stable is processed after this many settling times."""


class DeletionCostController(Controller):
    """The controller of deletion costs, with one key per ReplicaSet, its uid."""

    name: ClassVar = "deletion-cost"
    workers: ClassVar = 2

    def __init__(self, world: World, writer: ObjectWriter, *, settle_seconds: float) -> None:
        super().__init__(world)
        self._writer = writer
        self._settle_seconds = settle_seconds
        self._stirred: dict[str, tuple[float, float]] = {}
        """When a ReplicaSet's pods last changed, and since when it has been waiting to be stable."""
        self._recommended: dict[str, int] = {}

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.state.subscribe(PodRecord, self._pod_changed)
        yield self.world.state.subscribe(ReplicaSetRecord, self._replicaset_changed)
        yield self.world.state.subscribe(NodeRecord, self._node_changed)
        yield self.world.state.subscribe(NamespaceRecord, self._namespace_changed)
        yield self.world.catalog.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return list(self.world.state.replicasets)

    async def reconcile(self, key: str) -> float | None:
        replicaset = self.world.state.replicasets.get(OwnerUid(key))
        if replicaset is None:
            self._forget(key)
            return None
        if (wait := self._still_in(key)) > 0:
            return wait
        self._stirred.pop(key, None)
        claim = self.world.claim_of(replicaset)
        if claim is None:
            return None
        if (wait := self._replaced_for(replicaset)) > 0:
            return wait
        changes = self.plan(replicaset, claim)
        if not claim.enforced:
            self._recommend(key, claim, len(changes))
            return None
        if changes:
            written = await self._write(replicaset, changes)
            self.log.info(
                "order kept" if written == len(changes) else "order not kept, the workload is changing",
                key=replicaset.key,
                policy=claim.policy,
                writes=written,
            )
        return None

    def plan(self, replicaset: ReplicaSetRecord, claim: Claim) -> Mapping[PodUid, Mapping[str, str | None]]:
        """The annotations to write, by pod; empty if nothing differs or another client decides."""
        state = self.world.state
        pods = {pod.uid: pod for pod in state.active_pods_of(replicaset.uid)}
        # More pods than desired: a scale-down is in progress, and its victims still exist.
        if not pods or len(pods) > replicaset.replicas or foreign_pods(pods.values()):
            return {}
        changes: dict[PodUid, dict[str, str | None]] = {}
        for pod in pods.values():
            marks = self._marks(pod, claim)
            if marks:
                changes[pod.uid] = marks
        weights = self.world.board.zone_weights(claim.balance, replicaset.namespace, workload_of(replicaset).name)
        candidates = scale_down_candidates(self.world.places, replicaset, claim, pods.values(), weights)
        for uid, cost in upkeep(candidates, depth_for(len(pods)), max_skew=claim.max_skew).items():
            changes.setdefault(uid, {}).update(cost_annotations(cost))
        # The next victim first: if writing stops early, the first ones are right.
        return dict(sorted(changes.items(), key=lambda change: int(change[1].get(POD_DELETION_COST) or 0)))

    async def _write(self, replicaset: ReplicaSetRecord, changes: Mapping[PodUid, Mapping[str, str | None]]) -> int:
        """Write until done, or until the pods change: then the next reconcile plans again."""
        state = self.world.state
        costs = {pod.uid: pod.deletion_cost for pod in state.pods_of(replicaset.uid)}
        written = 0
        for uid, annotations in changes.items():
            now = state.replicasets.get(replicaset.uid)
            moved = now is None or now.replicas != replicaset.replicas
            if moved or any(
                costs.get(pod.uid, pod.deletion_cost) != pod.deletion_cost for pod in state.pods_of(replicaset.uid)
            ):
                self._stir(replicaset.uid)
                break
            pod = state.pods.get(uid)
            if pod is None or not pod.active:
                continue
            # Whether the watch has already shown it or not, this change is the controller's own.
            costs.pop(uid, None)
            if await self._writer.annotate_pod(pod, annotations):
                metrics.UPKEEP_WRITES.labels("repair" if TIER in annotations else "order").inc()
                written += 1
        return written

    def _marks(self, pod: PodRecord, claim: Claim) -> dict[str, str | None]:
        """The marks that a bound pod lacks, or that are wrong since its node or its policy changed."""
        node = self.world.state.nodes.get(pod.node)
        if node is None:
            return {}
        place = self.world.places.place(claim.policy, node, zone_key=claim.zone_key)
        if (pod.policy, pod.tier, pod.pool) == (claim.policy, place.tier, place.pool):
            return {}
        return place_marks(claim.policy, place.tier, place.pool)

    def _replaced_for(self, replicaset: ReplicaSetRecord) -> float:
        """Seconds for which a rollout counts as replacing it; 0 or less where none does."""
        until = replaced_until(replicaset, self.world.state.siblings_of(replicaset), self.world.state.pods_of)
        return until - self.world.now()

    def _recommend(self, key: str, claim: Claim, writes: int) -> None:
        if writes != self._recommended.get(key):
            self._recommended[key] = writes
            metrics.UPKEEP_PLANNED.labels(claim.policy).inc(writes)

    def _still_in(self, key: str) -> float:
        """Seconds until the ReplicaSet counts as stable; 0 or less once it does."""
        stirred = self._stirred.get(key)
        if stirred is None:
            return 0.0
        last, since = stirred
        now = self.world.now()
        return min(last + self._settle_seconds - now, since + PATIENCE * self._settle_seconds - now)

    def _stir(self, key: str) -> None:
        now = self.world.now()
        _, since = self._stirred.get(key, (now, now))
        self._stirred[key] = (now, since)
        self.queue.add_after(key, self._settle_seconds)

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        pod = new or old
        if pod is None or pod.owner_uid not in self.world.state.replicasets:
            return
        if old is not None and new is not None and _same_place_in_order(old, new):
            return
        self._stir(pod.owner_uid)

    def _replicaset_changed(self, old: ReplicaSetRecord | None, new: ReplicaSetRecord | None) -> None:
        if new is None:
            if old is not None:
                self._forget(old.uid)
        elif old is None or (old.revision, old.labels) != (new.revision, new.labels):
            self._stir(new.uid)
        elif replaced_pod(old.surge) and not new.surge:
            # A pod that was to go and stays is no longer the next one.
            self._stir(new.uid)
        # A newer one that is no longer wanted releases the older ones, as after an aborted canary.
        if old is not None and old.replicas and (new is None or not new.replicas):
            for sibling in self.world.state.siblings_of(old):
                self._stir(sibling.uid)

    def _forget(self, key: str) -> None:
        self._stirred.pop(key, None)
        self._recommended.pop(key, None)
        self.queue.forget(key)

    def _namespace_changed(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        """Policies select on a namespace's labels, and the namespace may be seen later than its ReplicaSets."""
        if new is not None and (old is None or old.labels != new.labels):
            for replicaset in self.world.state.replicasets.values():
                if replicaset.namespace == new.name:
                    self._stir(replicaset.uid)

    def _node_changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        if old is not None and new is not None and old.labels != new.labels:
            for pod in self.world.state.pods_on(new.name):
                if pod.owner_uid in self.world.state.replicasets:
                    self._stir(pod.owner_uid)


def _same_place_in_order(old: PodRecord, new: PodRecord) -> bool:
    """Whether a change leaves the pod's place in the order; the controller's own writes are such changes."""
    if (old.node, old.ready, old.active) != (new.node, new.ready, new.active):
        return False
    if bool(old.tier) and not new.tier:
        return False
    return (old.deletion_cost, old.cost_written) == (new.deletion_cost, new.cost_written) or (
        new.deletion_cost is not None and new.deletion_cost == new.cost_written
    )
