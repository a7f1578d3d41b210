"""Removal of everything that Spillway wrote in a cluster, once: for an uninstall, or after the operator is gone.

Contract: needs no running operator, none of Spillway's resources and no webhook. It reads whole lists and repeats until
a pass finds nothing. Idempotent. Its own taints, cordons and annotations are recognised by their keys (see
`domain.model.names`); those of others stay, and so does a deletion cost that another writer set later. A pod that waits
for pools of virtual nodes could start nowhere else: it has never started and is deleted, so that its owner replaces it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec

from spillway.controllers.headroom.objects import listed
from spillway.controllers.placement.job_retries import retry_taken
from spillway.controllers.surge.scaler import shrink, target_of
from spillway.domain.model.names import POD_DELETION_COST
from spillway.domain.model.owners import LIKE_REPLICASETS
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.nodes.sweep import NodeRestore, restore_node, unmark_annotations
from spillway.domain.placement.job_retries import Retries
from spillway.domain.policies.governance import OWN_NAMESPACE
from spillway.domain.pools.withdrawn import Tokens, waits_for_pools
from spillway.domain.scaling.autoscalers import AutoscalerRecord
from spillway.domain.surge.steps import Surge
from spillway.kube import paths
from spillway.kube.autoscalers import AUTOSCALERS
from spillway.kube.client import MERGE_PATCH, KubeClient
from spillway.kube.decode import NODES, PODS
from spillway.kube.errors import ApiError, RequestError
from spillway.kube.followed import FOLLOWED_OWNERS
from spillway.kube.packed_store import kept_paths
from spillway.kube.pages import PageLimit, page_of, pages
from spillway.kube.wire import PageMeta
from spillway.kube.writer import Writer

PAGE: Final = 500
PASSES: Final = 5
PAUSE_SECONDS: Final = 1.0
CONCURRENT_WRITES: Final = 64
DEFAULT_RATE: Final = 500.0
"""Writes per second, at most; a busy API server answers more slowly."""
PROGRESS_SECONDS: Final = 5.0
STOP_TIMEOUT_SECONDS: Final = 120.0

Say = Callable[[str], None]


class _Meta(msgspec.Struct):
    annotations: dict[str, str] | None = None


class _Object(msgspec.Struct):
    metadata: _Meta


class _Page(msgspec.Struct):
    metadata: PageMeta
    items: list[msgspec.Raw] | None = None


_pages: Final = msgspec.json.Decoder(_Page)


@dataclass(slots=True)
class Restored:
    """What was done, or would be done with `dry_run`."""

    taints: int = 0
    cordons: int = 0
    nodes: int = 0
    pods: int = 0
    costs: int = 0
    replaced: int = 0
    surges: int = 0
    autoscalers: int = 0
    headroom: int = 0
    """Objects that held headroom."""
    failed: list[str] = field(default_factory=list)
    """What the API server refused in the last pass."""
    changed: list[str] = field(default_factory=list)
    """What was gone in the last pass, or changed, when it was to be restored."""
    clean: bool = False
    """Whether the last pass found nothing to restore."""
    returning: frozenset[str] = frozenset()
    """The namespaces in whose objects the last pass found marks; any user of a namespace may write them there."""
    own: int = 0
    """What the last pass found that only Spillway and administrators write: on nodes, and in its own namespace."""

    @property
    def only_returns(self) -> bool:
        """Whether nothing is left but marks in namespaces, which return although none of their removals was refused."""
        return bool(self.returning) and not self.failed and not self.own


class Restore:
    """One run over the whole cluster."""

    def __init__(
        self,
        client: KubeClient,
        *,
        say: Say,
        namespace: str = OWN_NAMESPACE,
        dry_run: bool = False,
        rate: float = DEFAULT_RATE,
        keep_costs: bool = False,
    ) -> None:
        """`namespace` is that of the operator, in which objects hold headroom."""
        self._client = client
        self._namespace = namespace
        self._say = say
        self._dry_run = dry_run
        self._keep_costs = keep_costs
        self._progress_due = 0.0
        self._writer = Writer(client, rate=rate, burst=CONCURRENT_WRITES, name="restore")
        self._tokens, self._retries = Tokens(), Retries()
        self._marked_in: set[str] = set()
        self.result = Restored()

    async def run(self) -> Restored:
        """Pass over headroom, nodes, pods and ReplicaSets until nothing of Spillway's is left."""
        for number in range(PASSES):
            if number:
                await asyncio.sleep(PAUSE_SECONDS)
            self.result.failed.clear()
            self.result.changed.clear()
            self._marked_in.clear()
            self.result.own = await self._headroom() + await self._nodes()
            found = self.result.own + await self._pods()
            found += await self._replicasets() + await self._autoscalers()
            self.result.returning = frozenset(self._marked_in)
            if self._dry_run:
                return self.result
            if not found:
                self.result.clean = True
                break
        return self.result

    async def _headroom(self) -> int:
        found = (await listed(self._client, self._namespace)).objects.values()
        for one in found:
            what = f"{one.resource.plural}/{self._namespace}/{one.name}"
            path = one.resource.named(one.name, namespace=self._namespace)
            if self._dry_run or await self._done(what, self._writer.delete(one.resource.plural, path, uid=one.uid)):
                self.result.headroom += 1
                self._say(f"{what}: deleted, it held headroom")
        return len(found)

    async def _nodes(self) -> int:
        work: list[Awaitable[None]] = []
        async for raw in self._items(paths.NODES.everywhere):
            keys = msgspec.json.decode(raw, type=_Object).metadata.annotations or {}
            plan = restore_node(NODES.one(raw), tuple(keys))
            if plan is not None:
                work.append(self._node(plan))
        await self._together(work)
        return len(work)

    async def _node(self, plan: NodeRestore) -> None:
        node = plan.node
        if not self._dry_run and not await self._done(
            f"node/{node.name}",
            self._writer.patch_node(
                node,
                annotations=plan.annotations,
                taints=(node.taints, plan.taints),
                unschedulable=False if plan.uncordon else None,
            ),
        ):
            return
        off = [f"taint {taint.key}" for taint in node.taints if taint not in plan.taints] + list(plan.annotations)
        self.result.nodes += 1
        self.result.taints += len(node.taints) > len(plan.taints)
        self.result.cordons += plan.uncordon
        done = [*([f"removed {', '.join(off)}"] if off else []), *(["made schedulable"] if plan.uncordon else [])]
        self._say(f"node/{node.name}: {'; '.join(done)}")

    async def _pods(self) -> int:
        found = 0
        work: list[Awaitable[None]] = []
        async for raw in self._items(paths.PODS.everywhere):
            removed = unmark_annotations(msgspec.json.decode(raw, type=_Object).metadata.annotations or {})
            if removed and not self._keeps(raw):
                found += 1
                work.append(self._pod(raw, removed))
            if len(work) >= PAGE:
                await self._together(work)
                work = []
        await self._together(work)
        return found

    def _keeps(self, raw: bytes) -> bool:
        """Whether a pod is left as it is: everything that could be taken off a running pod has no effect any more."""
        return self._keep_costs and not waits_for_pools(PODS.one(raw))

    async def _pod(self, raw: bytes, removed: dict[str, None]) -> None:
        pod = PODS.one(raw)
        self._marked_in.add(pod.namespace)
        if waits_for_pools(pod) and self._tokens.new(pod):
            async with retry_taken(self._client, self._retries, pod) as deletion:
                if deletion.allowed:
                    deletion.done = await self._replace(pod)
                    return
        if not self._dry_run and not await self._done(f"pod/{pod.key}", self._writer.annotate_pod(pod, removed)):
            return
        self.result.pods += 1
        self.result.costs += POD_DELETION_COST in removed
        self._say(f"pod/{pod.key}: removed {', '.join(removed)}")

    async def _replace(self, pod: PodRecord) -> bool:
        if not self._dry_run and not await self._done(f"pod/{pod.key}", self._writer.replace_unstarted(pod)):
            return False
        self._tokens.note(pod)
        self.result.replaced += 1
        self._say(f"pod/{pod.key}: deleted for its owner to replace, it waited for virtual nodes and never started")
        return True

    async def _replicasets(self) -> int:
        work: list[Awaitable[None]] = []
        for resource, decoder in (FOLLOWED_OWNERS[kind] for kind in sorted(LIKE_REPLICASETS)):
            async for raw in self._items(resource.everywhere):
                removed = unmark_annotations(msgspec.json.decode(raw, type=_Object).metadata.annotations or {})
                if removed:
                    work.append(self._replicaset(resource, decoder.one(raw), removed))
        await self._together(work)
        return len(work)

    async def _replicaset(
        self, resource: paths.ApiResource, replicaset: ReplicaSetRecord, removed: dict[str, None]
    ) -> None:
        """The replica that Spillway added goes first: without its mark it could no longer be recognised.

        Anybody who may change the ReplicaSet can write the mark, and a rollback copies it from an old one. It scales
        only the owner of this ReplicaSet, by one replica, and not if it is old.
        """
        self._marked_in.add(replicaset.namespace)
        surge, target = Surge.parse(replicaset.surge), target_of(replicaset)
        if surge is not None and not surge.is_recent(time.time()):
            surge = None
        what = f"{replicaset.kind.lower()}/{replicaset.key}"
        if not self._dry_run:
            if (
                surge is not None
                and target is not None
                and not await self._answered(what, shrink(self._writer, target, surge))
            ):
                return
            path = resource.named(replicaset.name, namespace=replicaset.namespace)
            if not await self._done(what, self._writer.annotate(resource.plural, path, replicaset.uid, removed)):
                return
        self.result.surges += surge is not None
        self._say(f"{what}: removed {', '.join(removed)}")

    async def _autoscalers(self) -> int:
        work: list[Awaitable[None]] = []
        async for raw in self._items(paths.AUTOSCALERS.everywhere):
            record = AUTOSCALERS.one(raw)
            if record.ours:
                work.append(self._autoscaler(record))
        await self._together(work)
        return len(work)

    async def _autoscaler(self, record: AutoscalerRecord) -> None:
        self._marked_in.add(record.namespace)
        path = paths.AUTOSCALERS.named(record.name, namespace=record.namespace)
        what = f"horizontalpodautoscaler/{record.key}"
        if not self._dry_run and not await self._answered(
            what, self._writer.delete(paths.AUTOSCALERS.plural, path, uid=record.uid)
        ):
            return
        self.result.autoscalers += 1
        self._say(f"{what}: deleted, Spillway created it")

    async def _answered(self, what: str, write: Awaitable[bool]) -> bool:
        """Whether the API server answered, which includes the answer that there is nothing to do."""
        try:
            await write
        except RequestError as error:
            self.result.failed.append(f"{what}: {error or 'not answered'}")
            return False
        return True

    async def _done(self, what: str, write: Awaitable[bool]) -> bool:
        """Whether the patch was written. A refused patch is reported and does not keep the rest from being restored."""
        try:
            if await write:
                return True
        except RequestError as error:
            self.result.failed.append(f"{what}: {error or 'not answered'}")
            return False
        self.result.changed.append(f"{what}: gone, or changed in the meantime")
        return False

    async def _together(self, work: list[Awaitable[None]]) -> None:
        slots = asyncio.Semaphore(CONCURRENT_WRITES)

        async def bounded(one: Awaitable[None]) -> None:
            async with slots:
                await one

        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(bounded(one))

    def _tell_progress(self, path: str, remaining: int | None) -> None:
        now = time.monotonic()
        if remaining and now >= self._progress_due:
            self._progress_due = now + PROGRESS_SECONDS
            self._say(f"{path.rpartition('/')[2]}: {remaining} left to look at; {self.result.pods} pods restored")

    async def _items(self, path: str) -> AsyncIterator[bytes]:
        """Every item of a list; an expired list starts again, because an item that is seen twice does no harm."""
        request = partial(page_of, self._client, path, PageLimit(PAGE))
        while True:
            try:
                async with aclosing(pages(request, _pages.decode)) as found:
                    async for page in found:
                        for item in page.items or ():
                            yield bytes(item)
                        self._tell_progress(path, page.metadata.remaining)
            except ApiError as error:
                if not error.gone:
                    raise
            else:
                return


async def stop_deployment(client: KubeClient, namespace: str, name: str, *, say: Say) -> None:
    """Scale the operator's Deployment to zero and wait until its pods are gone, so that it writes nothing back.

    Raises:
        TimeoutError: the pods are not gone in time.

    """
    path = paths.DEPLOYMENTS.named(name, namespace=namespace, field="--stop-deployment")
    try:
        await client.request("PATCH", f"{path}/scale", body={"spec": {"replicas": 0}}, content_type=MERGE_PATCH)
    except ApiError as error:
        if error.not_found:
            say(f"deployment/{namespace}/{name}: not found, nothing to stop")
            return
        raise
    async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
        while True:
            deployment = await client.get_json(path)
            status = deployment.get("status") or {}
            seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
            if seen and not status.get("replicas") and not status.get("terminatingReplicas"):
                break
            await asyncio.sleep(0.5)
    say(f"deployment/{namespace}/{name}: stopped")


async def forget(client: KubeClient, namespace: str, lease: str, *, say: Say) -> None:
    """Delete what the operator keeps in its own namespace: its Lease, and the values that it kept."""
    for path in (paths.LEASES.named(lease, namespace=namespace, field="--forget"), *kept_paths(namespace)):
        try:
            await client.request("DELETE", path)
        except ApiError as error:
            if not error.not_found:
                raise
        else:
            say(f"{path.rpartition('/namespaces/')[2]}: deleted")
