"""The state of the cluster in this process: records by key, their indexes, and subscriptions to changes.

Contract: changed by the informers alone (`apply`, `remove`), from the event loop's thread; readers see one consistent
state between two awaits. Mappings and collections handed out are live views: copy what is kept over an await. Listeners
are called after the state and its indexes hold the new record, in the order of the API server's events for each object;
an exception in one is counted and logged and does not stop the others. A record equal to the present one is no change.
A pod that names a ReplicaSet or a StatefulSet of another namespace as its owner is kept as a pod without an owner. A
ReplicationController is one of the ReplicaSets: in the mappings, and for their listeners.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from typing import Any, Final, TypeVar

from msgspec.structs import force_setattr, replace

from spillway.domain.model.names import NodeName, OwnerUid, PodUid
from spillway.domain.model.records import (
    NamespaceRecord,
    NodeRecord,
    OwnerRecord,
    PodRecord,
    ReplicaSetRecord,
    ReplicationControllerRecord,
    StatefulSetRecord,
)
from spillway.state.node_usage import NodeUsage
from spillway.state.repelling_pods import RepellingPods
from spillway.state.signal import Signal, Unsubscribe

Record = PodRecord | NodeRecord | ReplicaSetRecord | ReplicationControllerRecord | StatefulSetRecord | NamespaceRecord
R = TypeVar(
    "R", PodRecord, NodeRecord, ReplicaSetRecord, ReplicationControllerRecord, StatefulSetRecord, NamespaceRecord
)
K = TypeVar("K")
V = TypeVar("V")

Listener = Callable[[R | None, R | None], None]
"""Called with the old and the new record; None where there is none."""
PodPredicate = Callable[[PodRecord | None], bool]

RECORD_TYPES: Final[tuple[type[Record], ...]] = (
    PodRecord,
    NodeRecord,
    ReplicaSetRecord,
    ReplicationControllerRecord,
    StatefulSetRecord,
    NamespaceRecord,
)
STALE_AFTER_SECONDS: Final = 60.0
"""Longer than a watch may be silent before it counts as broken: nothing is disrupted on older data."""


class ClusterState:
    """Pods, nodes, ReplicaSets, StatefulSets and namespaces. `clock` gives monotonic seconds, `now` Unix seconds."""

    def __init__(self, *, clock: Callable[[], float], now: Callable[[], float]) -> None:
        self._clock = clock
        self._now = now
        self._pods: dict[PodUid, PodRecord] = {}
        self._pods_by_name: dict[str, dict[str, PodRecord]] = {}
        self._pods_by_owner: dict[OwnerUid, dict[PodUid, PodRecord]] = {}
        self._pods_by_node: dict[NodeName, dict[PodUid, PodRecord]] = {}
        self._nodes: dict[NodeName, NodeRecord] = {}
        self._replicasets: dict[OwnerUid, ReplicaSetRecord] = {}
        self._replicasets_by_name: dict[tuple[str, str], ReplicaSetRecord] = {}
        self._replicasets_by_owner: dict[OwnerUid, dict[OwnerUid, ReplicaSetRecord]] = {}
        self._statefulsets: dict[OwnerUid, StatefulSetRecord] = {}
        self._namespaces: dict[str, NamespaceRecord] = {}
        self._tables: dict[type[Any], dict[Any, Any]] = {
            PodRecord: self._pods,
            NodeRecord: self._nodes,
            # The records of one list each: a new list of one resource must not remove the other's.
            ReplicaSetRecord: {},
            ReplicationControllerRecord: {},
            StatefulSetRecord: self._statefulsets,
            NamespaceRecord: self._namespaces,
        }
        self.revision = 0
        """The number of changes of records so far: while it stays the same, so does all that follows from records."""
        self.node_usage = NodeUsage()
        self.repelling_pods = RepellingPods()
        self._changed: dict[type[Any], Signal[Any, Any]] = {
            kind: Signal(kind.__name__, key=_key_of_change) for kind in RECORD_TYPES
        }
        self._changed[ReplicationControllerRecord] = self._changed[ReplicaSetRecord]
        self._waiters: dict[PodUid, Signal[PodRecord | None, PodRecord | None]] = {}
        self._unsynced = set(RECORD_TYPES)
        self._all_synced = asyncio.Event()
        self._contact: dict[type[Record], float] = {}
        self._watched: dict[type[Record], float] = {}

    # Reading

    @property
    def pods(self) -> Mapping[PodUid, PodRecord]:
        return self._pods

    @property
    def nodes(self) -> Mapping[NodeName, NodeRecord]:
        return self._nodes

    @property
    def replicasets(self) -> Mapping[OwnerUid, ReplicaSetRecord]:
        """The ReplicaSets and ReplicationControllers."""
        return self._replicasets

    @property
    def statefulsets(self) -> Mapping[OwnerUid, StatefulSetRecord]:
        return self._statefulsets

    def owners(self) -> Iterator[OwnerRecord]:
        """Every owner of pods that the informer follows."""
        yield from self._replicasets.values()
        yield from self._statefulsets.values()

    def owner(self, uid: OwnerUid) -> OwnerRecord | None:
        """The owner of pods with this uid; None where the informer does not follow its kind, or has not seen it."""
        return self._replicasets.get(uid) or self._statefulsets.get(uid)

    @property
    def namespaces(self) -> Mapping[str, NamespaceRecord]:
        return self._namespaces

    def pod(self, namespace: str, name: str) -> PodRecord | None:
        return self._pods_by_name.get(namespace, {}).get(name)

    def replicaset(self, namespace: str, name: str) -> ReplicaSetRecord | None:
        return self._replicasets_by_name.get((namespace, name))

    def pods_of(self, owner: OwnerUid) -> Collection[PodRecord]:
        """Pods that this owner controls, terminating and finished ones too."""
        return self._pods_by_owner.get(owner, {}).values()

    def active_pods_of(self, owner: OwnerUid) -> list[PodRecord]:
        """Pods that this owner controls and counts."""
        return [pod for pod in self.pods_of(owner) if pod.active]

    def pods_on(self, node: NodeName) -> Collection[PodRecord]:
        return self._pods_by_node.get(node, {}).values()

    @property
    def nodes_with_pods(self) -> Collection[NodeName]:
        """The nodes that pods name, also those that are gone: a live view."""
        return self._pods_by_node.keys()

    def pods_in(self, namespace: str) -> Collection[PodRecord]:
        return self._pods_by_name.get(namespace, {}).values()

    def replicasets_of(self, owner: OwnerUid) -> Collection[ReplicaSetRecord]:
        return self._replicasets_by_owner.get(owner, {}).values()

    def siblings_of(self, replicaset: ReplicaSetRecord) -> Collection[ReplicaSetRecord]:
        """The ReplicaSets of the same Deployment, this one included; none where it has no owner."""
        return self.replicasets_of(replicaset.owner_uid) if replicaset.owner_uid else ()

    def records(self, record_type: type[R]) -> Mapping[Any, R]:
        """All records of one type by their key (uid; a node's and a namespace's name)."""
        return self._tables[record_type]

    def all_records(self, record_types: Iterable[type[Record]]) -> list[list[Record]]:
        """The records of these types as they are now."""
        return [list(self._tables[record_type].values()) for record_type in record_types]

    # Freshness

    @property
    def synced(self) -> bool:
        """Whether every resource was listed completely at least once."""
        return not self._unsynced

    async def wait_synced(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - part of the contract
        """Wait until `synced`.

        Raises:
            TimeoutError: not within `timeout` seconds.

        """
        async with asyncio.timeout(timeout):
            await self._all_synced.wait()

    def mark_synced(self, *record_types: type[Record]) -> None:
        """Record that the first complete list was read; without arguments for every type."""
        for record_type in record_types or RECORD_TYPES:
            self.touch(record_type, listed=True)
            self._unsynced.discard(record_type)
        if not self._unsynced:
            self._all_synced.set()

    def touch(self, record_type: type[Record], *, listed: bool = False) -> None:
        """Record that the API server sent something for this resource, so its records are up to date.

        A `listed` record may have changed in the meantime; the watch will show it.
        """
        self._contact[record_type] = self._clock()
        if not listed:
            self._watched[record_type] = self._contact[record_type]

    def last_event_age(self, record_type: type[Record]) -> float:
        """Seconds since the API server last sent something for this resource; infinite before the first time."""
        return self._age(self._contact.get(record_type))

    def watched_age(self, record_type: type[Record]) -> float:
        """Seconds since the resource's watch last sent something: everything up to then is known."""
        return self._age(self._watched.get(record_type))

    def stale(self, max_age: float = STALE_AFTER_SECONDS) -> bool:
        """Whether some resource is not synced or older than `max_age` seconds, so nothing may be disrupted."""
        # What is synced has been in contact. Admission asks it for each pod, so the clock is read once.
        return not self.synced or self._clock() - min(self._contact.values(), default=-inf) > max_age

    def _age(self, at: float | None) -> float:
        return float("inf") if at is None else max(0.0, self._clock() - at)

    # Hearing of changes

    def now(self) -> float:
        """The present time in Unix seconds."""
        return self._now()

    def subscribe(self, record_type: type[R], listener: Listener[R]) -> Unsubscribe:
        """Call `listener(old, new)` at every change from now on; it must be quick and must not block."""
        return self._changed[record_type].subscribe(listener)

    async def wait_for(self, expected: Mapping[PodUid, PodPredicate], timeout: float) -> bool:  # noqa: ASYNC109
        """Wait until each pod has satisfied its predicate once, as the watch shows it (None: the pod is gone).

        Returns False after `timeout` seconds. It does not poll.
        """
        missing = {uid for uid, holds in expected.items() if not holds(self._pods.get(uid))}
        if not missing:
            return True
        done = asyncio.Event()

        def check(uid: PodUid, pod: PodRecord | None) -> None:
            if uid in missing and expected[uid](pod):
                missing.discard(uid)
                if not missing:
                    done.set()

        with self._watching(tuple(missing), check):
            try:
                async with asyncio.timeout(timeout):
                    await done.wait()
            except TimeoutError:
                return False
        return True

    @contextmanager
    def _watching(self, uids: Collection[PodUid], check: Callable[[PodUid, PodRecord | None], None]) -> Iterator[None]:
        leave: dict[PodUid, Unsubscribe] = {}
        for uid in uids:
            waiters = self._waiters.setdefault(uid, Signal(PodRecord.__name__, key=_key_of_change))
            leave[uid] = waiters.subscribe(lambda _, pod, uid=uid: check(uid, pod))  # type: ignore[misc]
        try:
            yield
        finally:
            for uid, unsubscribe in leave.items():
                unsubscribe()
                if not self._waiters[uid]:
                    del self._waiters[uid]

    # Changing: the informers' side

    def apply(self, record: Record) -> bool:
        """Add or replace a record; False if the present one is equal."""
        if type(record) is PodRecord:
            return self._apply_pod(record)
        if isinstance(record, ReplicaSetRecord):
            return self._apply_replicaset(record)
        table, key = self._tables[type(record)], record_key(record)
        old = table.get(key)
        if old == record:
            return False
        table[key] = record
        if isinstance(record, StatefulSetRecord) and old is None:
            self._leave_to_owner(record)
        self._notify(type(record), old, record)
        return True

    def remove(self, record: Record) -> bool:
        """Remove the record with this one's key; False if there is none."""
        table = self._tables[type(record)]
        old = table.pop(record_key(record), None)
        if old is None:
            return False
        if isinstance(old, PodRecord):
            self._forget_pod(old)
        elif isinstance(old, ReplicaSetRecord):
            self._forget_replicaset(old)
        self._notify(type(record), old, None)
        return True

    def _apply_pod(self, pod: PodRecord) -> bool:
        old = self._pods.get(pod.uid)
        owner = self.owner(pod.owner_uid)
        if owner is not None and owner.namespace != pod.namespace:
            _take_owner_off(pod)
        if old is not None and old.pending is not None and pod.pending is not None:
            force_setattr(pod, "pending", pod.pending.following(old.pending, self._now()))
        if old is not None and pod.held is None and (held := pod.held_after(old)) is not None:
            force_setattr(pod, "held", held)
        if old == pod:
            return False
        if old is not None:
            # The indexes keep the first string of each value: a second copy of each would be 25 MiB at 150,000 pods.
            force_setattr(pod, "uid", old.uid)
            force_setattr(pod, "name", old.name)
        self._pods[pod.uid] = pod
        if old is not None and old.owner_uid != pod.owner_uid:
            _discard(self._pods_by_owner, old.owner_uid, old.uid)
        if old is not None and old.node != pod.node:
            _discard(self._pods_by_node, old.node, old.uid)
        self._pods_by_name.setdefault(pod.namespace, {})[pod.name] = pod
        if pod.owner_uid:
            self._pods_by_owner.setdefault(pod.owner_uid, {})[pod.uid] = pod
        if pod.node:
            self._pods_by_node.setdefault(pod.node, {})[pod.uid] = pod
        self.node_usage.replace(old, pod)
        self.repelling_pods.replace(old, pod)
        self._notify(PodRecord, old, pod)
        return True

    def _forget_pod(self, old: PodRecord) -> None:
        # A successor of the same name may already be there: after an interrupted watch, additions come before removals.
        namesake = self.pod(old.namespace, old.name)
        if namesake is not None and namesake.uid == old.uid:
            _discard(self._pods_by_name, old.namespace, old.name)
        _discard(self._pods_by_owner, old.owner_uid, old.uid)
        _discard(self._pods_by_node, old.node, old.uid)
        self.node_usage.replace(old, None)
        self.repelling_pods.replace(old, None)

    def _apply_replicaset(self, new: ReplicaSetRecord) -> bool:
        old = self._replicasets.get(new.uid)
        if old is not None or type(new) not in self._unsynced:
            new = new.following(old, self._now())
        if old == new:
            return False
        self._replicasets[new.uid] = self._tables[type(new)][new.uid] = new
        if old is not None and old.owner_uid != new.owner_uid:
            _discard(self._replicasets_by_owner, old.owner_uid, old.uid)
        if type(new) is ReplicaSetRecord:
            self._replicasets_by_name[new.namespace, new.name] = new
        if old is None:
            self._leave_to_owner(new)
        if new.owner_uid:
            self._replicasets_by_owner.setdefault(new.owner_uid, {})[new.uid] = new
        self._notify(ReplicaSetRecord, old, new)
        return True

    def _leave_to_owner(self, owner: OwnerRecord) -> None:
        """Take the owner off the pods of other namespaces that name it."""
        for pod in [pod for pod in self.pods_of(owner.uid) if pod.namespace != owner.namespace]:
            self._apply_pod(replace(pod))

    def _forget_replicaset(self, old: ReplicaSetRecord) -> None:
        self._replicasets.pop(old.uid, None)
        namesake = self.replicaset(old.namespace, old.name)
        if namesake is not None and namesake.uid == old.uid:
            del self._replicasets_by_name[old.namespace, old.name]
        _discard(self._replicasets_by_owner, old.owner_uid, old.uid)

    def _notify(self, record_type: type[Record], old: Record | None, new: Record | None) -> None:
        self.revision += 1
        self._changed[record_type].emit(old, new)
        if record_type is PodRecord and self._waiters:
            waiters: Signal[Any, Any] | None = self._waiters.get(PodUid(record_key(new or old)))
            if waiters is not None:
                waiters.emit(old, new)


def _take_owner_off(pod: PodRecord) -> None:
    """Make it a bare pod: its reference names an owner in another namespace, which no controller follows."""
    force_setattr(pod, "owner_uid", OwnerUid(""))
    force_setattr(pod, "owner_kind", "")
    force_setattr(pod, "owner_name", "")


def record_key(record: Record | None) -> str:
    if isinstance(record, NodeRecord | NamespaceRecord):
        return record.name
    return record.uid if record is not None else ""


def _key_of_change(old: Record | None, new: Record | None) -> str:
    return record_key(new or old)


def _discard(index: dict[K, dict[Any, V]], key: K, member: object) -> None:
    """Remove `member` from a group; an empty group is removed too, so that the index does not grow."""
    group = index.get(key)
    if group is not None:
        group.pop(member, None)
        if not group:
            del index[key]
