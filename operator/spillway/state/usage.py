"""Live counts per owner and per pool, reservations included.

Contract: kept by delta from the changes of the state; a query costs the same whatever the size of the cluster. A pod
counts

* among its owner's pods while it is active, as the ReplicaSet controller counts it: on virtual nodes if its node is in
  a pool or, while it has none, if its marks name pools (admission sent it there, or it has spilled); else physical;
* on a pool from its creation until it is finished or gone, also while it terminates: on the pool of its node, and
  while it has none on every pool that may take it. So no sum is ever too low.

`PoolMembership` knows the pool of a node.
"""

import asyncio
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

from spillway.domain.budget.price import billed
from spillway.domain.model.names import OwnerUid, PodUid
from spillway.domain.model.records import NamespaceRecord, OwnerRecord, PodRecord, ReplicaSetRecord, StatefulSetRecord
from spillway.domain.model.remember import FairMemory
from spillway.domain.model.usage import NO_AMOUNTS, NOTHING, Usage, add_amounts, add_count
from spillway.state.cluster import ClusterState
from spillway.state.growth import Growth
from spillway.state.pool_membership import NodeChange, PoolMembership
from spillway.state.refusals import Refusals
from spillway.state.reservations import Reservations
from spillway.telemetry import placement as metrics

_REMEMBERED: Final = 8192
"""Tokens whose bearers are remembered."""


class PoolUse(NamedTuple):
    """The use of a pool that its limits allow for: its pods, those that may still go there, and its reservations."""

    used: Usage = NOTHING
    """The requests of the pods."""
    billed: Usage = NOTHING
    """The use in the sizes that the provider bills."""
    waiting: Usage = NOTHING
    """The part of these that has not started yet."""
    unbound: Usage = NOTHING
    """The requests of those that have no node yet."""
    resizing: Usage = NOTHING
    """The part of the requests that resizes in place ask for and no kubelet has granted."""


class Arrival(NamedTuple):
    """When a pod was created or grew, in the order in which pods did so."""

    at: float
    """Unix seconds, whole ones: `creationTimestamp` has no parts of a second."""
    order: int
    """Among those of one second, as the watch showed them; 0 where that was not seen."""


class _Entry(NamedTuple):
    """A pod that counts on pools."""

    owner: OwnerUid
    active: bool
    pools: tuple[str, ...]
    use: PoolUse
    unstarted: bool
    promised: Mapping[str, int] | None
    """What it requests beside CPU and memory, while it has no node."""


class LiveUsage:
    """The pods of each owner, and the use of each pool."""

    def __init__(
        self,
        state: ClusterState,
        membership: PoolMembership,
        reservations: Reservations,
    ) -> None:
        self.state = state
        self.membership = membership
        self.reservations = reservations
        self.refusals = Refusals(state, reservations)
        """The pools that are left out for owners whose pods the API server refused."""
        self._growth = Growth()
        self._inactive: dict[OwnerUid, int] = {}
        self._entries: dict[PodUid, _Entry] = {}
        self._virtual: dict[OwnerUid, int] = {}
        self._pools: dict[str, PoolUse] = {}
        self._leaving: dict[str, PoolUse] = {}
        """The part of these that is being deleted."""
        self._unstarted: dict[str, int] = {}
        self._promised: dict[str, dict[str, int]] = {}
        self._arrivals: dict[PodUid, Arrival] = {}
        """Of pods on pools that were seen to be created, or to request more than before."""
        self._changes = 0
        self._bearers: FairMemory[str, PodUid] = FairMemory(_REMEMBERED)
        """By token, the pod that counts on pools by it: whoever copies the marks of a pod has no token of its own."""
        self._marked: set[PodUid] = set()
        """Pods without a node whose marks name pools, believed or not."""
        self._waiting: dict[OwnerUid, list[asyncio.Event]] = {}
        for pod in state.pods.values():
            self._pod_changed(None, pod)
        self._unsubscribe = (
            state.subscribe(PodRecord, self._pod_changed),
            membership.changed.subscribe(self._node_changed),
            membership.policies_changed.subscribe(self._policies_changed),
            state.subscribe(ReplicaSetRecord, self._owner_changed),
            state.subscribe(StatefulSetRecord, self._owner_changed),
            state.subscribe(NamespaceRecord, self._namespace_changed),
            *(() if membership.proof is None else (membership.proof.changed.subscribe(self._proof_changed),)),
        )

    def close(self) -> None:
        """Stop following the state."""
        self.refusals.close()
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    # By owner

    def total(self, owner: OwnerUid) -> int:
        """The owner's active pods, seen or reserved."""
        self.membership.refresh()
        self.reservations.expire()
        return self._active(owner) + self.reservations.count_of(owner)

    def physical(self, owner: OwnerUid) -> int:
        """The pods of these that are on physical nodes or decided physical."""
        self.membership.refresh()
        self.reservations.expire()
        return self._active(owner) - self._virtual.get(owner, 0) + self.reservations.physical_of(owner)

    async def caught_up(self, owner: OwnerUid, wanted: Callable[[], int | None], seconds: float) -> bool:
        """Wait until fewer of the owner's pods are counted than it wants, for at most `seconds`.

        Its controller creates a pod only then. While more are counted, the watch is behind: pods are gone, or the owner
        has grown, and the watch has not shown it yet. `wanted` is read again after each change; None is no limit.
        """
        if self._has_room(owner, wanted()):
            return True
        begun = self.reservations.clock()
        with self._listening(owner) as changed:
            try:
                async with asyncio.timeout(seconds):
                    while not self._has_room(owner, wanted()):
                        await changed.wait()
                        changed.clear()
            except TimeoutError:
                return False
            finally:
                metrics.BEHIND_SECONDS.observe(self.reservations.clock() - begun)
        return True

    def drop_reservations_beyond(self, owner: OwnerUid, wanted: int | None) -> None:
        """Release reservations beyond `wanted`: a controller that creates a pod has fewer than it wants.

        `wanted` is read from the API server, not from a watch; None if it is not known.
        """
        if wanted is not None:
            self.reservations.disown(owner, self.total(owner) - wanted + 1)

    def cap_pool_reservations(self, owner: OwnerUid, wanted: int) -> None:
        """Let no more of the owner's reservations count on pools than it wants pods.

        The pods that are seen are not taken off: after a scale-down some of them are gone and the watch has not shown
        it yet, while their successors are created. A limit has to count all of these.
        """
        self.reservations.hold_to(owner, wanted)

    def _has_room(self, owner: OwnerUid, wanted: int | None) -> bool:
        return wanted is None or self.total(owner) < wanted

    def _active(self, owner: OwnerUid) -> int:
        return len(self.state.pods_of(owner)) - self._inactive.get(owner, 0)

    @contextmanager
    def _listening(self, owner: OwnerUid) -> Iterator[asyncio.Event]:
        changed = asyncio.Event()
        self._waiting.setdefault(owner, []).append(changed)
        try:
            yield changed
        finally:
            self._waiting[owner].remove(changed)
            if not self._waiting[owner]:
                del self._waiting[owner]

    def _notify(self, owner: OwnerUid) -> None:
        for changed in self._waiting.get(owner, ()):
            changed.set()

    def growth(self, namespace: str, owner: OwnerUid) -> Usage:
        """By how much the owner's next pod is expected to be bigger when it appears than it is measured."""
        return self._growth.expected(namespace, owner).at_least(self.reservations.grown_of(owner))

    # By pool

    def on(self, pool: str) -> PoolUse:
        """What is on a pool, or promised there."""
        self.membership.refresh()
        self.reservations.expire()
        seen = self._pools.get(pool, PoolUse())
        promised = self.reservations.billed_of(pool)
        used = seen.used + self.reservations.used_of(pool)
        unbound = seen.unbound + self.reservations.used_of(pool)
        return PoolUse(used, seen.billed + promised, seen.waiting + promised, unbound, seen.resizing)

    def staying(self, pool: str) -> PoolUse:
        """What is on a pool without reservations, and without pods that are being deleted."""
        self.membership.refresh()
        seen, leaving = self._pools.get(pool, PoolUse()), self._leaving.get(pool, PoolUse())
        return PoolUse(*(a - b for a, b in zip(seen, leaving, strict=True)))

    def arrival(self, pod: PodRecord) -> Arrival:
        """When a pod became as large as it is; it has not arrived yet while a resize of it is not done."""
        if pod.granted != pod.requests:
            return Arrival(math.inf, 0)
        return self._arrivals.get(pod.uid, Arrival(pod.created, 0))

    def pods_on(self, pool: str) -> Iterator[PodRecord]:
        """The pods of `staying`: those on the pool's nodes, and those without a node that may go there."""
        self.membership.refresh()
        bound = (pod for node in self.membership.nodes(pool) for pod in self.state.pods_on(node.name))
        unbound = (self.state.pods[uid] for uid in tuple(self._marked) if pool in self._entries_pools(uid))
        return (pod for pod in (*bound, *unbound) if pod.active)

    def promised(self, pool: str, resource: str) -> int:
        """How much of a resource beside CPU and memory is promised on a pool: to pods without a node, or reserved."""
        self.membership.refresh()
        self.reservations.expire()
        seen = self._promised.get(pool, NO_AMOUNTS).get(resource, 0)
        return seen + self.reservations.extended_of(pool, resource)

    def _entries_pools(self, uid: PodUid) -> tuple[str, ...]:
        entry = self._entries.get(uid)
        return () if entry is None else entry.pools

    def unstarted(self, pool: str) -> int:
        """How many active pods are sent to the pool or bound there and have not started, without reservations."""
        self.membership.refresh()
        return self._unstarted.get(pool, 0)

    # Following

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        pod = new or old
        if pod is None:
            return
        if pod.owner_uid:
            idle = (new is not None and not new.active) - (old is not None and not old.active)
            if idle:
                add_count(self._inactive, pod.owner_uid, idle)
        self._changes += 1
        if new is not None and new.pending is not None and new.pending.reservation:
            self._settle(new, new.pending.reservation)
        elif old is None and new is not None and new.pending is not None and new.owner_uid:
            self.reservations.created_unmarked(new.owner_uid)
        if new is not None and not new.node and new.pending is not None and new.pending.pools:
            self._marked.add(new.uid)
        else:
            self._marked.discard(pod.uid)
        self._replace(pod.uid, None if new is None else self._entry(new))
        if new is None or new.uid not in self._entries:
            self._arrivals.pop(pod.uid, None)
        else:
            self._note_arrival(old, new)
        self._notify(pod.owner_uid)

    def _note_arrival(self, old: PodRecord | None, new: PodRecord) -> None:
        if old is None:
            if new.pending is not None:
                self._arrivals[new.uid] = Arrival(new.created, self._changes)
        elif not old.requests.covers(new.requests):
            self._arrivals[new.uid] = Arrival(math.floor(max(new.created, self.state.now())), self._changes)

    def _settle(self, pod: PodRecord, token: str) -> None:
        settled = self.reservations.settle(token)
        if settled is not None and settled.measured is not None and settled.owner == pod.owner_uid:
            self._growth.learn(pod.namespace, pod.owner_uid, measured=settled.measured, seen=pod.requests)

    def _entry(self, pod: PodRecord) -> _Entry | None:
        if pod.finished:
            return None
        pools = self.membership.pools_of_pod(pod)
        if not pools or not (pod.node or self._bears_token(pod)):
            return None
        size = self.membership.size_of(pod)
        as_billed = billed(pod.requests, size, self.membership.ladder(*pools) if size else ())
        use = PoolUse(
            pod.requests,
            as_billed,
            waiting=NOTHING if pod.started else as_billed,
            unbound=NOTHING if pod.node else pod.requests,
            resizing=pod.requests - pod.granted,
        )
        unstarted = pod.pending is not None and pod.active
        return _Entry(pod.owner_uid, pod.active, pools, use, unstarted, None if pod.node else pod.extended)

    def _bears_token(self, pod: PodRecord) -> bool:
        """Whether no other pod was seen with its token before; without a proof tokens mean nothing."""
        token = "" if self.membership.proof is None or pod.pending is None else pod.pending.reservation
        if not token:
            return True
        bearer = self._bearers.get(token)
        if bearer is None:
            self._bearers.put(token, pod.uid, share=pod.namespace)
        return bearer in {None, pod.uid}

    def _replace(self, uid: PodUid, entry: _Entry | None) -> None:
        old = self._entries.get(uid)
        if old == entry:
            return
        if old is not None:
            del self._entries[uid]
            self._count(old, -1)
        if entry is not None:
            self._entries[uid] = entry
            self._count(entry, 1)

    def _count(self, entry: _Entry, sign: int) -> None:
        if entry.active and entry.owner:
            add_count(self._virtual, entry.owner, sign)
        for pool in entry.pools:
            if entry.unstarted:
                add_count(self._unstarted, pool, sign)
            if entry.promised:
                add_amounts(self._promised, pool, entry.promised, sign)
            _add(self._pools, pool, entry.use, sign)
            if not entry.active:
                _add(self._leaving, pool, entry.use, sign)

    def _owner_changed(self, old: OwnerRecord | None, new: OwnerRecord | None) -> None:
        if new is None:
            return
        if old is None or old.labels != new.labels:
            self._recount(self.state.pods_of(new.uid))
        self._notify(new.uid)

    def _namespace_changed(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        if new is not None and (old is None or old.labels != new.labels):
            self._recount(self.state.pods_in(new.name))

    def _policies_changed(self) -> None:
        self._recount([self.state.pods[uid] for uid in self._marked])

    def _proof_changed(self) -> None:
        self._policies_changed()
        for pod in [pod for pod in self.state.pods.values() if pod.size and pod.node]:
            self._replace(pod.uid, self._entry(pod))

    def _recount(self, pods: Collection[PodRecord]) -> None:
        """It is known now whether the marks of these pods are to be believed."""
        for pod in tuple(pods):
            if pod.pending is not None and not pod.node:
                self._replace(pod.uid, self._entry(pod))

    def _node_changed(self, change: NodeChange) -> None:
        if change.before != change.after or change.old is None or change.new is None:
            for pod in tuple(self.state.pods_on(change.name)):
                self._replace(pod.uid, self._entry(pod))


def _add(sums: dict[str, PoolUse], pool: str, use: PoolUse, sign: int) -> None:
    total = PoolUse(*(a + b * sign for a, b in zip(sums.get(pool, PoolUse()), use, strict=True)))
    if total.used.pods:
        sums[pool] = total
    else:
        sums.pop(pool, None)
