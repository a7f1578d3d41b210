"""The base of controllers that run surges, with one key per ReplicaSet that surges or is about to, its uid.

Contract: a ReplicaSet with a surge of these purposes, or with the mark of one, takes its next step at each reconcile;
what becomes of any other is the subclass's decision. A pod of a surging ReplicaSet that changes, a new mark, and a
proof that is known now are reasons to reconcile. A ReplicaSet that is gone is forgotten once its surge has ended: the
replica that the surge added is one of its owner's, so it is removed.
"""

from abc import abstractmethod
from collections.abc import Collection, Iterable

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.surge.runner import SurgeRunner
from spillway.controllers.surge.scaler import SurgeScaler
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.surge.steps import Purpose, newly_marked


class SurgeController(Controller):
    """The base of controllers that run surges. `ready_seconds` is the least that replicas may take to become ready."""

    def __init__(
        self, world: World, scaler: SurgeScaler, purposes: Collection[Purpose], *, ready_seconds: float
    ) -> None:
        super().__init__(world)
        self.scaler = scaler
        self.runner = SurgeRunner(scaler, purposes, world.now, ready_seconds=ready_seconds)
        self._gone: dict[OwnerUid, ReplicaSetRecord] = {}
        """The ReplicaSets that were deleted during their surge, as they were last seen."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.state.subscribe(PodRecord, self.pod_changed)
        yield self.world.state.subscribe(ReplicaSetRecord, self._replicaset_changed)
        if self.world.membership.proof is not None:
            yield self.world.membership.proof.changed.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return [one.uid for one in self.world.state.replicasets.values() if one.surge]

    async def reconcile(self, key: str) -> float | None:
        uid = OwnerUid(key)
        replicaset = self.world.state.replicasets.get(uid)
        if replicaset is None:
            gone = self._gone.get(uid)
            again = await self.step(gone) if gone is not None and uid in self.runner.running else None
            if again is None:
                self.forget(uid)
            return again
        if self.runner.concerns(replicaset):
            return await self.step(replicaset)
        return await self.reconcile_resting(replicaset)

    @abstractmethod
    async def step(self, replicaset: ReplicaSetRecord) -> float | None:
        """Take the next step of a surge; the result is that of `reconcile`.

        The surge of a ReplicaSet that is gone is not wanted any more.
        """

    @abstractmethod
    async def reconcile_resting(self, replicaset: ReplicaSetRecord) -> float | None:
        """Reconcile a ReplicaSet without a surge of these purposes."""

    def forget(self, uid: OwnerUid) -> None:
        """Forget a ReplicaSet that is gone."""
        self._gone.pop(uid, None)
        self.runner.forget(uid, gone=True)
        self.queue.forget(uid)

    def pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        """Note the change of a pod."""
        pod = new or old
        if pod is not None and pod.owner_uid in self.runner.running:
            self.queue.add(pod.owner_uid)

    def _replicaset_changed(self, old: ReplicaSetRecord | None, new: ReplicaSetRecord | None) -> None:
        if new is None:
            if old is not None and old.uid in self.runner.running:
                self._gone[old.uid] = old
                self.queue.add(old.uid)
            elif old is not None:
                self.forget(old.uid)
        elif newly_marked(old, new):
            self.queue.add(new.uid)
