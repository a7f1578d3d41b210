"""Finds the objects of a request although the informer may not have them yet.

Contract: first the informer; then a short wait for its watch (the scheduler saw the pod a moment ago, so shall we);
then one GET, or the watch if that is quicker. Only so many GETs go out at once, and never past the deadline: what is
not found in time is None.

A ReplicaSet without which a new pod is not decided is worth a longer wait: whoever asks for it shares one GET, and the
watch may answer first.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

import aiohttp
import msgspec
import structlog

from spillway.domain.names import NodeName, OwnerUid
from spillway.domain.records import NodeRecord, PodRecord, ReplicaSetRecord
from spillway.kube.client import ApiError, KubeClient
from spillway.kube.decode import NODES, PODS, REPLICASETS
from spillway.kube.state import ClusterState
from spillway.webhooks.deadline import Deadline

log: Final = structlog.get_logger(__name__)

WATCH_PATIENCE_SECONDS: Final = 0.05
"""Longer than a healthy watch lags, shorter than anybody notices at a binding."""

GET_SECONDS: Final = 0.25
OWNER_SECONDS: Final = 0.7
"""For a ReplicaSet: a pod let go undecided is wrong for its whole life, one that waited is late by this once."""
CONCURRENT_GETS: Final = 16

R = TypeVar("R")


class _Metadata(msgspec.Struct, frozen=True):
    labels: dict[str, str] | None = None


class _Labelled(msgspec.Struct, frozen=True):
    metadata: _Metadata


_labels: Final = msgspec.json.Decoder(_Labelled)


class Lookup:
    """Looks up pods, nodes and ReplicaSets for handlers."""

    def __init__(self, state: ClusterState, client: KubeClient) -> None:
        self._state = state
        self._client = client
        self._slots = asyncio.Semaphore(CONCURRENT_GETS)
        self._awaited: dict[str, list[asyncio.Future[PodRecord | None]]] = {}
        self._owners: dict[OwnerUid, asyncio.Future[ReplicaSetRecord | None]] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._unsubscribe = (
            state.subscribe(PodRecord, self._pod_changed),
            state.subscribe(ReplicaSetRecord, self._replicaset_changed),
        )

    def close(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    async def pod(self, namespace: str, name: str, uid: str, deadline: Deadline) -> PodRecord | None:
        """The pod of this name; of this uid where one is given (a name can be used again)."""
        known = self._state.pod(namespace, name)
        if known is not None and uid in ("", known.uid):
            return known
        arrival = self._expect(f"{namespace}/{name}")
        asking: asyncio.Task[PodRecord | None] | None = None
        try:
            await asyncio.wait({arrival}, timeout=deadline.within(WATCH_PATIENCE_SECONDS))
            if not arrival.done():
                path = f"/api/v1/namespaces/{namespace}/pods/{name}"
                asking = asyncio.create_task(self._get(path, PODS.one, deadline.remaining), name=f"pod {name}")
                # On a loaded API server the watch is often the quicker one after all.
                await asyncio.wait({arrival, asking}, return_when=asyncio.FIRST_COMPLETED)
            found = arrival.result() if asking is None or arrival.done() else asking.result()
        finally:
            self._give_up(f"{namespace}/{name}", arrival)
            if asking is not None:
                asking.cancel()
        return found if found is not None and uid in ("", found.uid) else None

    async def node(self, name: NodeName, deadline: Deadline) -> NodeRecord | None:
        known = self._state.nodes.get(name)
        return known if known is not None else await self.get(f"/api/v1/nodes/{name}", NODES.one, deadline)

    async def replicaset(self, namespace: str, name: str, uid: OwnerUid, deadline: Deadline) -> ReplicaSetRecord | None:
        known = self._state.replicasets.get(uid)
        if known is not None:
            return known
        owner = self._owners.get(uid)
        if owner is None:
            owner = self._owners[uid] = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(self._ask_for(owner, namespace, name, uid), name=f"replicaset {name}")
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        try:
            async with asyncio.timeout(deadline.within(OWNER_SECONDS)):
                return await asyncio.shield(owner)
        except TimeoutError:
            return None

    async def _ask_for(
        self, owner: "asyncio.Future[ReplicaSetRecord | None]", namespace: str, name: str, uid: OwnerUid
    ) -> None:
        """Settle it with the answer to a GET, if the watch has not by then."""
        found = None
        try:
            path = f"/apis/apps/v1/namespaces/{namespace}/replicasets/{name}"
            found = await self._get(path, REPLICASETS.one, OWNER_SECONDS)
        finally:
            if self._owners.get(uid) is owner:
                del self._owners[uid]
            if not owner.done():
                owner.set_result(found if found is not None and found.uid == uid else None)

    async def pod_labels(self, pod: PodRecord, deadline: Deadline) -> dict[str, str] | None:
        """The labels of a pod of no ReplicaSet: records hold none, since nothing else asks for them."""
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
        found = await self.get(path, _labels.decode, deadline)
        return None if found is None else found.metadata.labels or {}

    def _expect(self, key: str) -> "asyncio.Future[PodRecord | None]":
        future: asyncio.Future[PodRecord | None] = asyncio.get_running_loop().create_future()
        self._awaited.setdefault(key, []).append(future)
        return future

    def _give_up(self, key: str, future: "asyncio.Future[PodRecord | None]") -> None:
        waiting = self._awaited.get(key, [])
        if future in waiting:
            waiting.remove(future)
            if not waiting:
                del self._awaited[key]

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        if not self._awaited or old is not None or new is None:
            return
        for future in self._awaited.pop(new.key, ()):
            if not future.done():
                future.set_result(new)

    def _replicaset_changed(self, _: ReplicaSetRecord | None, new: ReplicaSetRecord | None) -> None:
        owner = self._owners.pop(new.uid, None) if new is not None else None
        if owner is not None and not owner.done():
            owner.set_result(new)

    async def get(self, path: str, decode: Callable[[bytes], R], deadline: Deadline) -> R | None:
        """Any object, decoded; None where it is not to be had in time."""
        return await self._get(path, decode, deadline.within(GET_SECONDS))

    async def _get(self, path: str, decode: Callable[[bytes], R], seconds: float) -> R | None:
        try:
            async with asyncio.timeout(seconds), self._slots:
                return decode(await self._client.request("GET", path))
        except (ApiError, aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
            log.debug("lookup failed", path=path, error=repr(error))
            return None
