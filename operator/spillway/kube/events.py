"""The recorder of Kubernetes Events, with a limit on their number.

Contract: `record` returns at once and never raises; `run` writes. A repeated Event about the same object is counted on
the first one (a series), at most once a minute, and becomes a new Event only after ten minutes without it. Events are
limited per object and reason (25 at once, one every five minutes after that), so that Events of which each is different
do not displace those of another reason; per namespace (50 at once, one per second after that); and by a rate for the
whole process, so that no tenant displaces the Events about others. Events are not reliable records: under load, behind
the fence or on an error they are dropped and counted. Events about cluster-scoped objects live in the namespace
`default`, as Kubernetes has it.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import structlog

from spillway.domain.model.event_source import REPORTING_CONTROLLER
from spillway.domain.model.remember import FairMemory
from spillway.kube import paths
from spillway.kube.client import MERGE_PATCH, Transport
from spillway.kube.errors import InvalidNameError, RequestError
from spillway.kube.invalid_names import warn_once
from spillway.kube.ratelimit import Sleep, TokenBucket
from spillway.telemetry.kube import EVENTS

log = structlog.get_logger(__name__)

Reference = Mapping[str, Any]
"""An ObjectReference: apiVersion, kind, name, uid and, unless cluster-scoped, namespace."""

LONGEST_NOTE: Final = 1024
"""The most characters of an Event's message; Kubernetes refuses longer ones."""
_SERIES_SECONDS: Final = 600.0
_REPEAT_SECONDS: Final = 60.0
_OBJECT_BURST: Final = 25
_OBJECT_RATE: Final = 1 / 300
_NAMESPACE_BURST: Final = 50
_NAMESPACE_RATE: Final = 1.0
_WAITING: Final = 256
_REMEMBERED: Final = 4096

_Key = tuple[str, str, str, str]
_K = TypeVar("_K", bound=Hashable)


@dataclass(slots=True)
class _Series:
    """One series: a repeated Event about one object."""

    path: str
    """The name of the Event."""
    count: int
    last: float
    """When it was last recorded."""
    written: float
    """When it was last written; if this is before `last`, it has to be written."""


@dataclass(frozen=True, slots=True)
class _Post:
    method: str
    path: str
    body: Mapping[str, Any]
    result: str


class EventRecorder:
    """The recorder that writes Events in the name of this process."""

    def __init__(
        self,
        client: Transport,
        *,
        may_write: Callable[[], bool] | None = None,
        instance: str = "spillway",
        rate: float = 5.0,
        burst: int = 25,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._client = client
        self._may_write = may_write or (lambda: True)
        self._instance = instance
        self._bucket = TokenBucket(rate, burst, clock=clock, sleep=sleep)
        self._clock = clock
        self._series: FairMemory[_Key, _Series] = FairMemory(_REMEMBERED)
        self._objects: FairMemory[tuple[str, str], TokenBucket] = FairMemory(_REMEMBERED)
        self._namespaces: FairMemory[str, TokenBucket] = FairMemory(_REMEMBERED)
        self._posts: asyncio.Queue[_Post] = asyncio.Queue(_WAITING)

    def record(self, involved: Reference, event_type: str, reason: str, message: str) -> None:
        """Record `message` about an object; `event_type` is Normal or Warning, `reason` a CamelCase word."""
        note = message if len(message) <= LONGEST_NOTE else f"{message[: LONGEST_NOTE - 1]}…"
        key = (_identity(involved), event_type, reason, note)
        now = self._clock()
        series = self._series.get(key)
        if series is not None and now - series.last < _SERIES_SECONDS:
            series.count, series.last = series.count + 1, now
            self._series.put(key, series, share=_namespace(involved))
            if now - series.written >= _REPEAT_SECONDS:
                self._repeat(series, now)
            return
        if not self._take((key[0], reason), involved):
            EVENTS.labels("dropped").inc()
            return
        self._begin(key, involved, now)

    async def run(self) -> None:
        """Write the recorded Events until cancelled."""
        while True:
            post = await self._posts.get()
            await self._bucket.take()
            if not self._may_write():
                EVENTS.labels("dropped").inc()
                continue
            try:
                content_type = MERGE_PATCH if post.method == "PATCH" else "application/json"
                await self._client.request(
                    post.method, post.path, body=post.body, content_type=content_type, timeout=5.0
                )
            except RequestError as error:
                EVENTS.labels("error").inc()
                log.info("event not written", key=post.path, error=repr(error))
            else:
                EVENTS.labels(post.result).inc()

    def _begin(self, key: _Key, involved: Reference, now: float) -> None:
        _, event_type, reason, note = key
        namespace = _namespace(involved)
        name = f"{involved.get('name', 'unknown')[:200].rstrip('-.')}.{uuid.uuid4().hex[:16]}"
        try:
            # An owner's name is what a user wrote in a reference, and an Event bears it.
            path = paths.EVENTS.named(name, namespace=namespace, field="involvedObject.name")
        except InvalidNameError as error:
            EVENTS.labels("dropped").inc()
            warn_once(error)
            return
        self._series.put(key, _Series(path, 1, now, now), share=namespace)
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": _micro_time(now),
            "reportingController": REPORTING_CONTROLLER,
            "reportingInstance": self._instance,
            "action": reason,
            "reason": reason,
            "regarding": dict(involved),
            "note": note,
            "type": event_type,
        }
        self._post(_Post("POST", paths.EVENTS.within(namespace), body, "created"))

    def _repeat(self, series: _Series, now: float) -> None:
        series.written = now
        body = {"series": {"count": series.count, "lastObservedTime": _micro_time(now)}}
        self._post(_Post("PATCH", series.path, body, "repeated"))

    def _post(self, post: _Post) -> None:
        try:
            self._posts.put_nowait(post)
        except asyncio.QueueFull:
            EVENTS.labels("dropped").inc()

    def _take(self, key: tuple[str, str], involved: Reference) -> bool:
        """Whether one more Event of a reason about an object may be written, and about its namespace if it has one.

        Of cluster-scoped objects together any number may.
        """
        share = _namespace(involved)
        if not _take(self._objects, key, share, self._object_bucket):
            return False
        return not involved.get("namespace") or _take(self._namespaces, share, share, self._namespace_bucket)

    def _object_bucket(self) -> TokenBucket:
        return TokenBucket(_OBJECT_RATE, _OBJECT_BURST, clock=self._clock)

    def _namespace_bucket(self) -> TokenBucket:
        return TokenBucket(_NAMESPACE_RATE, _NAMESPACE_BURST, clock=self._clock)


def _take(buckets: FairMemory[_K, TokenBucket], key: _K, share: str, new: Callable[[], TokenBucket]) -> bool:
    """Whether the bucket of this key has a token, which is taken; it is the newest of its share afterwards."""
    bucket = buckets.get(key) or new()
    buckets.put(key, bucket, share=share)
    return bucket.take_now()


def _namespace(involved: Reference) -> str:
    """The namespace in which Events about it are."""
    return str(involved.get("namespace") or "default")


def _identity(involved: Reference) -> str:
    return (
        str(involved.get("uid") or "") or f"{involved.get('kind')}/{involved.get('namespace')}/{involved.get('name')}"
    )


def _micro_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
