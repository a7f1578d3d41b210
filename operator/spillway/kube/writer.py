"""The writer: changes of the objects in the cluster, with a rate limit, the fence, and only if something differs.

Contract: every write waits for its turn in one token bucket, checks the fence right before each try, and carries
Spillway's field manager and a condition on what was seen (uid, or JSON patch tests). For an object that is gone or has
changed since, the result is False and not an error: the caller's next reconcile decides again. 429, 5xx and broken
connections are retried a few times with back-off, honouring a bounded Retry-After; then they raise. A scale is retried
only after 429 with Retry-After: if it was carried out and its answer was lost, its test of the number seen would fail
the second time, as if another client had scaled. A write that would change nothing is not sent.

Admission uses the same class with a bucket of its own and without a fence: every replica answers.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog

from spillway.api import KINDS
from spillway.api.group import GROUP, VERSION
from spillway.domain.model.additions import Addition
from spillway.domain.model.names import (
    COST_WRITTEN,
    FIELD_MANAGER,
    POD_DELETION_COST,
    POLICY,
    POOL,
    TIER,
)
from spillway.domain.model.records import NodeRecord, PodRecord, Taint
from spillway.kube import patches, paths
from spillway.kube.client import APPLY_PATCH, JSON, JSON_PATCH, MERGE_PATCH, Body, Transport
from spillway.kube.decode import has_run
from spillway.kube.errors import ApiError, RequestError
from spillway.kube.pauses import Backoff
from spillway.kube.ratelimit import Sleep, TokenBucket
from spillway.kube.wire import PodStatus
from spillway.telemetry.kube import WRITE_RETRIES, WRITE_WAIT_SECONDS, WRITES

log = structlog.get_logger(__name__)

DEFAULT_TIMEOUT_SECONDS: Final = 4.0
"""The timeout of one try. The margin of the Lease covers it: a write that was sent in time is answered or abandoned in
time."""
REFUSED_SECONDS: Final = 5.0
"""Seconds until the next reconcile after the result False, because no watch may report what changed."""
_TRIES: Final = 4
_BACKOFF_SECONDS: Final = 0.34
_LONGEST_PAUSE_SECONDS: Final = 5.0
_KINDS: Final = {kind.plural: kind.__name__ for kind in KINDS}


class Fenced(Exception):  # noqa: N818 - a state of affairs, not a fault
    """The Lease could have passed to another replica, so this one must no longer write."""


class Eviction(StrEnum):
    """The result of an eviction."""

    EVICTED = "evicted"
    BLOCKED = "blocked"
    """A PodDisruptionBudget allows none now."""
    GONE = "gone"
    """The pod no longer exists."""
    WITHDRAWN = "withdrawn"
    """It was not wanted any more when it was due."""


class _Withdrawn(Exception):  # noqa: N818 - a state of affairs, not a fault
    """A request that was not wanted any more when it was due."""


def _always() -> bool:
    return True


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    uid: str
    resource_version: str


class _Present(msgspec.Struct, frozen=True):
    """The part of a pod that says whether it has started."""

    metadata: _Metadata
    status: PodStatus | None = None

    @property
    def has_started(self) -> bool:
        status = self.status or PodStatus()
        containers = (*(status.init_container_statuses or ()), *(status.container_statuses or ()))
        return status.phase not in {"", "Pending"} or any(map(has_run, containers))


class Writer:
    """The writer of changes: at most `rate` a second (bursts of `burst`), and only while `may_write()` says so."""

    def __init__(
        self,
        client: Transport,
        *,
        rate: float,
        burst: int,
        may_write: Callable[[], bool] | None = None,
        name: str = "controllers",
        tries: int = _TRIES,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._client = client
        self._may_write = may_write or (lambda: True)
        self._name = name
        self._tries = tries
        self._timeout = timeout
        self._sleep = sleep
        self.bucket = TokenBucket(rate, burst, sleep=sleep)

    async def annotate_pod(self, pod: PodRecord, annotations: patches.Annotations) -> bool:
        """Set (or with None remove) annotations; True if the pod now has them, False if it is gone or replaced."""
        changed = {key: value for key, value in annotations.items() if not _pod_has(pod, key, value)}
        if not changed:
            return _unchanged("patch", "pods")
        path = _pod_path(pod)
        return await self._patch("pods", path, patches.annotate(pod.uid, changed), MERGE_PATCH)

    async def patch_node(
        self,
        node: NodeRecord,
        *,
        annotations: patches.Annotations | None = None,
        taints: tuple[Iterable[Taint], Iterable[Taint]] | None = None,
        unschedulable: bool | None = None,
    ) -> bool:
        """Change annotations, taints as (seen, wanted) and cordon in one write. False if the node has changed."""
        operations = patches.node_patch(node, annotations=annotations, taints=taints, unschedulable=unschedulable)
        if not operations:
            return _unchanged("patch", "nodes")
        path = paths.NODES.named(node.name)
        if await self._patch("nodes", path, operations, JSON_PATCH):
            return True
        if not annotations:
            return False
        # The only refusal without a concurrent change: a node without any annotation. The tests of the patch refuse
        # others again.
        bare = patches.node_patch(
            node, annotations=annotations, taints=taints, unschedulable=unschedulable, annotated=False
        )
        return await self._patch("nodes", path, bare, JSON_PATCH)

    async def evict(self, pod: PodRecord, *, wanted: Callable[[], bool] = _always) -> Eviction:
        """Evict a pod through the Eviction API, so that PodDisruptionBudgets hold; never retried against a budget.

        `wanted` is asked immediately before each request, because the writer may have waited.
        """
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        }
        path = f"{_pod_path(pod)}/eviction"
        try:
            await self._send("POST", "evictions", path, body, JSON, wanted=wanted)
        except _Withdrawn:
            return Eviction.WITHDRAWN
        except ApiError as error:
            if error.not_found or error.conflict:
                return Eviction.GONE
            if _blocked_by_budget(error):
                return Eviction.BLOCKED
            raise
        return Eviction.EVICTED

    async def replace_unstarted(self, pod: PodRecord) -> bool:
        """Delete a pod that no kubelet has started, so that its owner replaces it. False if it has started or is gone.

        Only the version that was read is deleted: a pod that is bound or starts in the meantime has another version and
        stays.
        """
        path = _pod_path(pod)
        try:
            present = msgspec.json.decode(await self._client.request("GET", path, timeout=self._timeout), type=_Present)
        except ApiError as error:
            if error.not_found:
                return False
            raise
        if present.metadata.uid != pod.uid or present.has_started:
            return False
        return await self.delete("pods", path, uid=pod.uid, resource_version=present.metadata.resource_version)

    async def add_to_pod(self, pod: PodRecord, resource_version: str, additions: Iterable[Addition]) -> bool:
        """Make additions (tolerations, metadata) to a pod in the version that was read, else return False."""
        operations = patches.add_to(pod.uid, resource_version, additions)
        if not operations:
            return _unchanged("patch", "pods")
        return await self._patch("pods", _pod_path(pod), operations, JSON_PATCH)

    async def annotate(self, resource: str, path: str, uid: str, annotations: patches.Annotations) -> bool:
        """Set (or with None remove) annotations of any object. False if it is gone or replaced."""
        return await self._patch(resource, path, patches.annotate(uid, annotations), MERGE_PATCH)

    async def scale(self, resource: str, path: str, uid: str, *, seen: int, wanted: int) -> bool:
        """Scale the workload at `path` through its `scale` subresource; False if its number is no longer `seen`.

        Raises:
            RequestError: with `uncertain`, it may have been scaled all the same; the API server gives up a request
                that it received after the timeout of the writer.
        """
        body = patches.scale(uid, seen=seen, wanted=wanted)
        return await self._patch(f"{resource}/scale", f"{path}/scale", body, JSON_PATCH, once=True)

    async def patch_status(self, plural: str, name: str, status: Mapping[str, Any]) -> bool:
        """Apply the whole status of one of Spillway's resources; an absent field is removed. False if it is gone."""
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": _KINDS[plural],
            "metadata": {"name": name},
            "status": dict(status),
        }
        path = f"{paths.of_spillway(plural).named(name)}/status"
        return await self._patch(plural, path, body, APPLY_PATCH, verb="apply")

    async def apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a whole object of Spillway's at `path`, forced, because Spillway owns it. Returns the stored object."""
        resource = path.rsplit("/", 2)[-2]
        raw = await self._send("PATCH", resource, path, body, APPLY_PATCH, verb="apply")
        stored: dict[str, Any] = msgspec.json.decode(raw)
        return stored

    async def delete(
        self, resource: str, path: str, *, uid: str | None = None, resource_version: str | None = None
    ) -> bool:
        """Delete the object at `path`, only with this uid and version. False if it is gone or another."""
        given = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {name: value for name, value in given.items() if value}
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if preconditions:
            body["preconditions"] = preconditions
        try:
            await self._send("DELETE", resource, path, body, JSON)
        except ApiError as error:
            if error.not_found or error.conflict:
                return False
            raise
        return True

    async def _patch(
        self, resource: str, path: str, body: Body, content_type: str, *, verb: str = "patch", once: bool = False
    ) -> bool:
        try:
            await self._send("PATCH", resource, path, body, content_type, verb=verb, once=once)
        except ApiError as error:
            if error.not_found or error.conflict:
                return False
            if error.invalid and (content_type == JSON_PATCH or _is_namesake(error)):
                log.debug("patch refused", key=path, message=error.message)
                return False
            raise
        return True

    async def _send(  # noqa: PLR0917 - the request, as it is
        self,
        method: str,
        resource: str,
        path: str,
        body: Body,
        content_type: str,
        verb: str = "",
        *,
        wanted: Callable[[], bool] = _always,
        once: bool = False,
    ) -> bytes:
        verb = verb or method.lower()
        WRITE_WAIT_SECONDS.labels(self._name).observe(await self.bucket.take())
        params: dict[str, str | bool | None] = {}
        if method in {"PATCH", "POST"}:
            params["fieldManager"] = FIELD_MANAGER
        if content_type == APPLY_PATCH:
            params["force"] = True
        if once:
            params["timeout"] = f"{self._timeout * 1000:.0f}ms"
        backoff = Backoff(_BACKOFF_SECONDS, _LONGEST_PAUSE_SECONDS, sleep=self._sleep, jitter=random.random)
        for left in range(self._tries - 1, -1, -1):
            if not self._may_write():
                WRITES.labels(verb, resource, "fenced").inc()
                raise Fenced(f"{verb} {path}")
            if not wanted():
                raise _Withdrawn
            try:
                answer = await self._client.request(
                    method, path, params=params, body=body, content_type=content_type, timeout=self._timeout, once=once
                )
            except RequestError as error:
                final = not error.retryable or _blocked_by_budget(error) or (once and error.uncertain)
                if final or not left:
                    WRITES.labels(verb, resource, _result(error)).inc()
                    raise
                pause = error.retry_after
            else:
                WRITES.labels(verb, resource, "ok").inc()
                return answer
            WRITE_RETRIES.labels(verb, resource).inc()
            await backoff.pause(at_least=pause or 0.0)
        raise AssertionError("unreachable")


def _pod_path(pod: PodRecord) -> str:
    return paths.PODS.named(pod.name, namespace=pod.namespace)


def _unchanged(verb: str, resource: str) -> bool:
    WRITES.labels(verb, resource, "unchanged").inc()
    return True


def _pod_has(pod: PodRecord, key: str, value: str | None) -> bool:
    """Whether the record has this annotation; a record holds only Spillway's annotations."""
    known: dict[str, str | int | None] = {
        POD_DELETION_COST: pod.deletion_cost,
        COST_WRITTEN: pod.cost_written,
        POLICY: pod.policy or None,
        TIER: pod.tier or None,
        POOL: pod.pool or None,
    }
    if key not in known:
        return False
    held = known[key]
    # A cost of None may also be a malformed value: removing it is never "unchanged".
    return held is not None and str(held) == value


def _is_namesake(error: ApiError) -> bool:
    """A patch that names another uid than the object's "changes" an immutable field."""
    return any(cause.get("field") == "metadata.uid" for cause in error.details.get("causes") or ())


def _blocked_by_budget(error: RequestError) -> bool:
    if not isinstance(error, ApiError):
        return False
    causes = error.details.get("causes") or ()
    return error.status == HTTPStatus.TOO_MANY_REQUESTS and any(
        cause.get("reason") == "DisruptionBudget" for cause in causes
    )


def _result(error: RequestError) -> str:
    if error.not_found:
        return "gone"
    if isinstance(error, ApiError) and (error.conflict or error.invalid):
        return "conflict"
    return "blocked" if _blocked_by_budget(error) else "error"
