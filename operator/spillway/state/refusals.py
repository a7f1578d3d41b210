"""Refusals: which pools are left out for which owner, because the API server refused its pods there.

Contract: belongs to the leader, which placed the pods; a new leader begins without them and learns by the next refusal.
`report` says that a pod of an owner was refused. Which of its pods that was follows from its reservations: those whose
pods have not appeared once the watch has caught up. A reservation that expires without such a report counts only while
its owner is seen to have fewer pods than it wants, so that a request for a pod that is not wanted leaves no pool out. A
report counts only for an owner in its own namespace of which this process has placed a pod.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from spillway.domain.model.names import OwnerUid
from spillway.domain.model.owners import Owner
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.model.remember import FairMemory
from spillway.domain.placement.refusals import FIRST_SECONDS, LeftOut, LostPod, left_out, refused_anyway, responsible
from spillway.state.cluster import ClusterState
from spillway.state.reservations import Reservation, Reservations
from spillway.state.signal import Signal

_REMEMBERED: Final = 4096


@dataclass(slots=True)
class _Owner:
    owner: Owner
    message: str = ""
    """The last message of the API server."""
    anyway_until: float = 0.0
    """Until when its refusals say nothing about a pool, because pods for physical nodes were refused as well."""
    pools: dict[str, LeftOut] = field(default_factory=dict)


class PoolLeftOut(NamedTuple):
    """A pool that is left out for the pods of one owner from now on."""

    owner: Owner
    """The workload as its user knows it."""
    pool: str
    state: LeftOut


class Refusals:
    """The refusals by owner."""

    def __init__(self, state: ClusterState, reservations: Reservations) -> None:
        self._state = state
        self._reservations = reservations
        self._owners: FairMemory[OwnerUid, _Owner] = FairMemory(_REMEMBERED)
        self.found: Signal[PoolLeftOut] = Signal("PoolLeftOut", key=lambda one: one.owner.key)
        """Emitted when a pool is left out for an owner, once for each failure."""
        self.expiry_due: Signal[()] = Signal("Refusal")
        """Emitted after a refusal: `expire` of the reservations is due `SETTLE_SECONDS` later."""
        self._unsubscribe: tuple[Callable[[], None], ...] = (
            reservations.lost.subscribe(self._lost),
            state.subscribe(ReplicaSetRecord, self._replicaset_changed),
            state.subscribe(PodRecord, self._pod_changed),
        )

    def close(self) -> None:
        """Stop following the state."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    def placed(self, uid: OwnerUid, owner: Owner) -> None:
        """A pod of this owner, which belongs to this workload, was placed."""
        self._owners.put(uid, self._owners.get(uid) or _Owner(owner), share=owner.namespace)

    def report(self, uid: OwnerUid, namespace: str, message: str) -> bool:
        """The API server has refused a pod of this owner; whether that is news about an owner that is known."""
        known = self._owners.get(uid)
        if known is None or known.owner.namespace != namespace:
            return False
        known.message = message
        self._reservations.refuse(uid)
        self.expiry_due.emit()
        return True

    def pools(self, uid: OwnerUid) -> Mapping[str, str]:
        """The pools that are left out for this owner now, each with a clause that says why."""
        known = self._owners.get(uid)
        if known is None or not known.pools:
            return {}
        now = self._state.now()
        return {pool: one.because for pool, one in known.pools.items() if one.until > now}

    def of_pool(self, pool: str) -> Iterator[PoolLeftOut]:
        """The owners for which this pool is left out now."""
        now = self._state.now()
        for known in self._owners.values():
            found = known.pools.get(pool)
            if found is not None and found.until > now:
                yield PoolLeftOut(known.owner, pool, found)

    def _lost(self, uid: OwnerUid, ended: Collection[Reservation], refused: bool) -> None:  # noqa: FBT001 - a signal's
        known = self._owners.get(uid)
        if known is None or not (refused or self._is_short(uid)):
            return
        now = self._state.now()
        lost = [LostPod(one.pools, one.changes) for one in ended]
        if refused_anyway(lost):
            known.anyway_until = now + FIRST_SECONDS
            known.pools.clear()
        if now < known.anyway_until:
            return
        message = known.message if refused else ""
        for pool, changes in responsible(lost, message).items():
            before = known.pools.get(pool)
            state = known.pools[pool] = left_out(before, changes, message, now)
            if before is None or before.failures != state.failures:
                self.found.emit(PoolLeftOut(known.owner, pool, state))

    def _is_short(self, uid: OwnerUid) -> bool:
        owner = self._state.owner(uid)
        return owner is not None and sum(pod.active for pod in self._state.pods_of(uid)) < owner.replicas

    def _replicaset_changed(self, old: ReplicaSetRecord | None, new: ReplicaSetRecord | None) -> None:
        if new is None:
            if old is not None:
                self._owners.pop(old.uid)
        elif new.refused and (old is None or old.refused != new.refused):
            self.report(new.uid, new.namespace, new.refused)

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if old is not None or new is None:
            return
        known = self._owners.get(new.owner_uid)
        if known is None:
            return
        known.anyway_until = 0.0
        for pool in new.marked_pools:
            known.pools.pop(pool, None)
