"""The load of `bench_admission`: pods created and bound at a steady rate, ReplicaSets scaled down, every request timed.

Contract: open loop. A pod is created when its time has come, whether requests before were answered or not, so that a
server that stalls is seen to stall. A pod is bound as the scheduler does it: when a watch shows it unbound, and to a
virtual node if admission placed it there. The first half of the ReplicaSets is scaled down and the second half gets
the new pods, so that no ReplicaSet asks for fewer pods while it gets more. Nothing is retried.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from spillway.domain.model.names import COST_WRITTEN, PLACEMENT
from spillway.kube.client import KubeClient
from spillway.kube.errors import RequestError
from tests.bench import informer_objects
from tests.bench.informer_objects import Shape

MERGE_PATCH = "application/merge-patch+json"
CONNECTIONS = 64
"""A controller has one HTTP/2 connection: a queue must not cost the API server a handshake for each request in it."""
_PATIENCE_SECONDS = 30.0


@dataclass
class Timings:
    """What one slice of load met; times in milliseconds."""

    create_ms: list[float] = field(default_factory=list)
    bind_ms: list[float] = field(default_factory=list)
    scale_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    pods: list[tuple[str, str]] = field(default_factory=list)
    """Namespace and name of every pod that was asked for."""


def quantile(values: list[float], share: float) -> float:
    """The value below which this share lies; by the nearest rank."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


class Metadata(msgspec.Struct):
    """What the watch shows of a pod."""

    name: str
    uid: str
    namespace: str
    annotations: dict[str, str] = {}


class _Pod(msgspec.Struct):
    metadata: Metadata


class _Event(msgspec.Struct):
    type: str
    object: _Pod


_decoder = msgspec.json.Decoder(_Event)


class Load:
    """Sends requests about the cluster that `Shape` describes. Use it as an async context manager."""

    def __init__(self, client: KubeClient, shape: Shape, virtual_nodes: list[str]) -> None:
        self._client = client
        self._shape = shape
        self._virtual_nodes = itertools.cycle(virtual_nodes)
        self.placed: dict[str, int] = {}
        """Pods by what admission decided; the empty word where it did not."""
        self._serial = itertools.count()
        self._half = shape.replicasets // 2
        self._scaled = iter(range(self._half))
        self._unbound: dict[tuple[str, str], asyncio.Future[Metadata]] = {}
        self._watching = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._watch = asyncio.create_task(self._follow())
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self._watching.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.cancel()

    async def _follow(self) -> None:
        """The unbound pods, as the scheduler watches them; what a broken watch misses is never bound, and is lost."""
        while True:
            rest = b""
            params: dict[str, str | bool] = {"watch": True, "fieldSelector": "spec.nodeName="}
            async for chunk in self._client.stream("/api/v1/pods", params):
                self._watching.set()
                *lines, rest = (rest + chunk).split(b"\n")
                for event in map(_decoder.decode, filter(None, lines)):
                    meta = event.object.metadata
                    waiting = self._unbound.pop((meta.namespace, meta.name), None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(meta)

    async def bind_pods(self, rate: float, seconds: float, timings: Timings) -> None:
        """Create pods of existing ReplicaSets and bind each as soon as the watch shows it."""
        async with asyncio.TaskGroup() as group:
            async for _ in _ticks(rate, seconds):
                group.create_task(self._bind_pod(next(self._serial), timings))

    async def scale_down(self, rate: float, seconds: float, by: int, timings: Timings) -> None:
        """Lower `spec.replicas` of one ReplicaSet after another, each only once; nothing once all have been."""
        async with asyncio.TaskGroup() as group:
            async for _ in _ticks(rate, seconds):
                if (owner := next(self._scaled, None)) is not None:
                    group.create_task(self._scale(owner, by, timings))

    async def unstamped(self, pods: list[tuple[str, str]]) -> tuple[int, int]:
        """Of these pods: how many do not stand bound, and how many of the others have no cost of ours."""
        wanted = set(pods)
        stamped: dict[tuple[str, str], bool] = {}
        async for pod in self._client.list_all("/api/v1/pods", limit=2000):
            meta = pod["metadata"]
            key = (meta["namespace"], meta["name"])
            if key in wanted and pod["spec"].get("nodeName"):
                stamped[key] = COST_WRITTEN in (meta.get("annotations") or {})
        return len(wanted - stamped.keys()), sum(not has for has in stamped.values())

    def _node_for(self, serial: int, pod: Metadata) -> str:
        """Where the pod is bound: the nodes of its tier in turn."""
        decided = pod.annotations.get(PLACEMENT, "")
        self.placed[decided] = self.placed.get(decided, 0) + 1
        if decided == "virtual":
            return next(self._virtual_nodes)
        return informer_objects.node_name(serial % self._shape.nodes)

    async def _bind_pod(self, serial: int, timings: Timings) -> None:
        owner = self._half + serial * 7 % (self._shape.replicasets - self._half)
        namespace, body = informer_objects.new_pod(self._shape, owner, serial)
        name = body["metadata"]["name"]
        timings.pods.append((namespace, name))
        path = f"/api/v1/namespaces/{namespace}/pods"
        seen = self._unbound[namespace, name] = asyncio.get_running_loop().create_future()
        if not await self._timed(timings.create_ms, timings, "POST", path, body):
            return
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                shown = await seen
        except TimeoutError:
            timings.failures.append(f"{namespace}/{name}: never seen on the watch")
            return
        target = {"apiVersion": "v1", "kind": "Node", "name": self._node_for(serial, shown)}
        binding = {"metadata": {"name": name, "namespace": namespace, "uid": shown.uid}, "target": target}
        await self._timed(timings.bind_ms, timings, "POST", f"{path}/{name}/binding", binding)

    async def _scale(self, owner: int, by: int, timings: Timings) -> None:
        namespace, name = informer_objects.replicaset_key(self._shape, owner)
        body = {"spec": {"replicas": self._shape.pods_per_replicaset - by}}
        path = f"/apis/apps/v1/namespaces/{namespace}/replicasets/{name}"
        await self._timed(timings.scale_ms, timings, "PATCH", path, body, MERGE_PATCH)

    async def _timed(  # noqa: PLR0917 - a request, and where its time goes
        self,
        into: list[float],
        timings: Timings,
        method: str,
        path: str,
        body: dict[str, Any],
        content_type: str = "application/json",
    ) -> bool:
        """Send; False where it failed."""
        started = time.perf_counter()
        try:
            await self._client.request(method, path, body=body, content_type=content_type, timeout=_PATIENCE_SECONDS)
        except RequestError as error:
            timings.failures.append(f"{method} {path.rsplit('/', 1)[-1]}: {error!r}"[:200])
            return False
        into.append((time.perf_counter() - started) * 1000)
        return True


async def _ticks(rate: float, seconds: float) -> AsyncIterator[int]:
    started = time.perf_counter()
    for number in range(int(rate * seconds)):
        wait = started + number / rate - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        yield number
