"""The lookup of a request's objects, which the informer may not have yet.

Contract: first the informer; then a short wait for its watch; then one GET, or the watch if that is quicker. The number
of concurrent GETs is bounded, and none outlasts the deadline: an object that is not found in time is None, and so is
one with a name that no object can have.

An owner without which a new pod cannot be decided is waited for longer. If the watch may be behind, `owner_now` reads
from the API server, once for all waiting callers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import msgspec

from spillway.admission.deadline import Deadline
from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.records import NodeRecord, OwnerRecord, PodRecord, ReplicaSetRecord, StatefulSetRecord
from spillway.kube import paths
from spillway.kube.decode import NODES, PODS
from spillway.kube.errors import InvalidNameError, RequestError
from spillway.kube.followed import FOLLOWED_OWNERS
from spillway.kube.invalid_names import warn_once
from spillway.kube.paths import CollectionKey, ObjectKey
from spillway.kube.protocols import ByteReader
from spillway.kube.transport import transport_errors
from spillway.state.cluster import ClusterState
from spillway.telemetry.logs import Logger

log: Final = Logger(__name__)

WATCH_PATIENCE_SECONDS: Final = 0.05
"""Longer than the normal lag of a watch, and short enough not to delay a binding noticeably."""

GET_SECONDS: Final = 0.25
OWNER_SECONDS: Final = 0.7
"""The wait for an owner: an undecided pod may be in the wrong tier for its whole life, a short delay happens
once."""
CONCURRENT_GETS: Final = 16

R = TypeVar("R")


class _Metadata(msgspec.Struct, frozen=True):
    labels: dict[str, str] | None = None


class _Labelled(msgspec.Struct, frozen=True):
    metadata: _Metadata


_labels: Final = msgspec.json.Decoder(_Labelled)


class _Awaited(Generic[R]):
    """Objects that the watch is about to show. Callers that wait for the same one share one request.

    A key holds everything that the request depends on: whoever asks for a name or a namespace in which there is no such
    object must not spoil the answer of another.
    """

    def __init__(self) -> None:
        self._futures: dict[tuple[str, ...], asyncio.Future[R | None]] = {}

    def show(self, key: tuple[str, ...], found: R | None) -> None:
        """Pass a shown object to the callers that wait for it."""
        future = self._futures.pop(key, None)
        if future is not None and not future.done():
            future.set_result(found)

    async def first(self, key: tuple[str, ...], ask: Callable[[], Awaitable[R | None]], seconds: float) -> R | None:
        """The result of the watch or of `ask`, whichever comes first; None after `seconds`."""
        future = self._futures.get(key)
        if future is None:
            future = self._futures[key] = asyncio.get_running_loop().create_future()
            asking = asyncio.create_task(self._ask(key, future, ask), name=f"lookup of {'/'.join(key)}")
            future.add_done_callback(lambda _: asking.cancel())
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(future)
        except TimeoutError:
            return None

    async def _ask(
        self, key: tuple[str, ...], future: "asyncio.Future[R | None]", ask: Callable[[], Awaitable[R | None]]
    ) -> None:
        found = None
        try:
            found = await ask()
        finally:
            if self._futures.get(key) is future:
                self.show(key, found)


class Lookup:
    """The lookup of pods, nodes and owners of pods for handlers."""

    def __init__(self, state: ClusterState, client: ByteReader) -> None:
        self._state = state
        self._client = client
        self._slots = asyncio.Semaphore(CONCURRENT_GETS)
        self._pods = _Awaited[PodRecord]()
        self._owners = _Awaited[OwnerRecord]()
        self._present = _Awaited[OwnerRecord]()
        self._unsubscribe = (
            state.subscribe(PodRecord, self._pod_changed),
            state.subscribe(ReplicaSetRecord, self._owner_changed),
            state.subscribe(StatefulSetRecord, self._owner_changed),
        )

    def close(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    async def pod(self, namespace: str, name: str, uid: str, deadline: Deadline) -> PodRecord | None:
        """The pod of this name; of this uid if one is given (a name can be used again)."""
        known = self._state.pod(namespace, name)
        if known is not None and uid in ("", known.uid):
            return known

        async def ask() -> PodRecord | None:
            await asyncio.sleep(deadline.within(WATCH_PATIENCE_SECONDS))
            return await self._get(ObjectKey(paths.PODS, name, namespace), PODS.one, deadline.remaining)

        found = await self._pods.first((namespace, name), ask, deadline.remaining)
        return found if found is not None and uid in ("", found.uid) else None

    async def node(self, name: NodeName, deadline: Deadline) -> NodeRecord | None:
        known = self._state.nodes.get(name)
        return known if known is not None else await self.get(ObjectKey(paths.NODES, name), NODES.one, deadline)

    async def replicaset(
        self, namespace: str, name: str, uid: OwnerUid, deadline: Deadline, *, kind: str = "ReplicaSet"
    ) -> ReplicaSetRecord | None:
        """The ReplicaSet or, by its kind, the ReplicationController."""
        found = await self.owner(namespace, kind, name, uid, deadline)
        return found if isinstance(found, ReplicaSetRecord) else None

    async def owner(
        self, namespace: str, kind: str, name: str, uid: OwnerUid, deadline: Deadline
    ) -> OwnerRecord | None:
        """The owner of a pod, of one of the kinds `FOLLOWED_OWNERS`."""
        known = self._state.owner(uid)
        if known is not None:
            # A reference says of itself that it is within its object's namespace: one that is not names nothing.
            return known if known.namespace == namespace else None
        resource, decoder = FOLLOWED_OWNERS[kind]
        wanted = ObjectKey.of_owner(resource, name, namespace)
        found = await self._owners.first(
            (kind, namespace, name, uid),
            lambda: self._get(wanted, decoder.one, OWNER_SECONDS),
            deadline.patience(OWNER_SECONDS),
        )
        return found if found is not None and found.uid == uid else None

    async def owner_now(self, known: OwnerRecord, deadline: Deadline) -> OwnerRecord | None:
        """The owner as it was at most `GET_SECONDS` ago, independent of the watch; None if it cannot be read."""
        resource, decoder = FOLLOWED_OWNERS[known.kind]
        wanted = ObjectKey(resource, known.name, known.namespace)
        found = await self._present.first(
            _key(known),
            lambda: self._get(wanted, decoder.one, deadline.patience(GET_SECONDS)),
            deadline.patience(GET_SECONDS),
        )
        return found if found is not None and found.uid == known.uid else None

    async def pod_labels(self, pod: PodRecord, deadline: Deadline) -> dict[str, str] | None:
        """The labels of a pod without a ReplicaSet: records have none, since nothing else needs them."""
        found = await self.get(ObjectKey(paths.PODS, pod.name, pod.namespace), _labels.decode, deadline)
        return None if found is None else found.metadata.labels or {}

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if old is None and new is not None:
            self._pods.show((new.namespace, new.name), new)

    def _owner_changed(self, _: OwnerRecord | None, new: OwnerRecord | None) -> None:
        if new is not None:
            self._owners.show(_key(new), new)

    async def get(
        self, wanted: ObjectKey | CollectionKey, decode: Callable[[bytes], R], deadline: Deadline
    ) -> R | None:
        """Any object, or all of a namespace, decoded; None if it cannot be read in time."""
        return await self._get(wanted, decode, deadline.patience(GET_SECONDS))

    async def _get(self, wanted: ObjectKey | CollectionKey, decode: Callable[[bytes], R], seconds: float) -> R | None:
        try:
            path = wanted.path
            with transport_errors():
                async with asyncio.timeout(seconds), self._slots:
                    return decode(await self._client.request("GET", path))
        except InvalidNameError as error:
            warn_once(error)
            return None
        except RequestError as error:
            log.debug("lookup failed", resource=wanted.resource.plural, key=wanted.key, error=repr(error))
            return None


def _key(owner: OwnerRecord) -> tuple[str, ...]:
    return owner.kind, owner.namespace, owner.name, owner.uid
