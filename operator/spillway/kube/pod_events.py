"""The watch of Events about pods, which runs only while it is needed.

Contract: one watch, as narrow as a field selector can make it, and none at all while nothing is wanted. An Event is
never the only source of information: one that was recorded while the watch was broken is delivered when the watch
starts again if it is young, and lost otherwise. Every failure is retried, including a missing permission; `run` ends
only when it is cancelled. The listener must be quick; an exception of its own is logged and stops nothing.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Final

import msgspec
import structlog

from spillway.domain.model.names import PodUid
from spillway.kube import paths
from spillway.kube.client import KubeClient, Param
from spillway.kube.errors import ApiError, RequestError
from spillway.kube.pages import pages
from spillway.kube.ratelimit import Sleep
from spillway.kube.retry import Backoff
from spillway.telemetry.kube import INFORMER_EVENTS, INFORMER_RECONNECTS

log = structlog.get_logger(__name__)

PATH: Final = paths.CORE_EVENTS.everywhere
RESOURCE: Final = "events"
YOUNG_SECONDS: Final = 300.0
"""The maximum age of an Event that is delivered from a list."""
WATCH_SECONDS: Final = 300
SILENCE_SECONDS: Final = 360.0
FORBIDDEN_SECONDS: Final = 60.0
PAGE_SIZE: Final = 500
_LONGEST_BACKOFF_SECONDS: Final = 30.0


class PodEvent(msgspec.Struct, frozen=True):
    """An Event about one pod."""

    uid: PodUid
    namespace: str
    name: str
    reason: str
    message: str


Listener = Callable[[PodEvent], None]


class _Regarding(msgspec.Struct, rename="camel"):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    creation_timestamp: str | None = None


class _Series(msgspec.Struct, rename="camel"):
    last_observed_time: str | None = None


class _Event(msgspec.Struct, rename="camel"):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    involved_object: _Regarding | None = None
    reason: str | None = None
    message: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    series: _Series | None = None
    code: int = 0
    """The code of the Status that replaces an Event when the watch ends with an error."""


class _Change(msgspec.Struct):
    type: str
    object: _Event


class _PageMeta(msgspec.Struct, rename={"resource_version": "resourceVersion", "next": "continue"}):
    resource_version: str = ""
    next: str = ""


class _Page(msgspec.Struct):
    metadata: _PageMeta
    items: list[_Event] | None = None


_pages: Final = msgspec.json.Decoder(_Page)
_changes: Final = msgspec.json.Decoder(_Change)


class _EndedError(Exception):
    """The server ended the watch with an error; `gone` says that a new list is needed."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.gone = code == HTTPStatus.GONE


def field_selector(reasons: Collection[str] | None) -> str:
    """The narrowest selector for Events about pods with one of these reasons; None stands for any reason.

    A selector has no "or": several reasons are searched among the warnings.
    """
    if reasons is not None and len(reasons) == 1:
        return f"involvedObject.kind=Pod,reason={next(iter(reasons))}"
    return "involvedObject.kind=Pod,type=Warning"


class PodEvents:
    """The watch that calls `listener` for each wanted Event."""

    def __init__(
        self,
        client: KubeClient,
        listener: Listener,
        *,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._listener = listener
        self._sleep = sleep
        self._now = now
        self._backoff = Backoff(0.5, _LONGEST_BACKOFF_SECONDS, sleep=sleep, jitter=jitter)
        self._wanted = ""
        self._changed = asyncio.Event()

    def want(self, selector: str) -> None:
        """Follow the Events of this field selector from now on; the empty one stops the watch."""
        if selector != self._wanted:
            self._wanted = selector
            self._changed.set()

    async def run(self) -> None:
        """Follow the wanted Events until cancelled."""
        while True:
            self._changed.clear()
            following = asyncio.create_task(self._follow(self._wanted), name="pod-events") if self._wanted else None
            try:
                await self._changed.wait()
            finally:
                if following is not None:
                    following.cancel()
                    await asyncio.wait({following})

    async def _follow(self, selector: str) -> None:
        version = ""
        while True:
            try:
                version = version or await self._list(selector)
                version = await self._watch(selector, version)
                reason = "ended"
            except _EndedError as error:
                reason, version = ("gone", "") if error.gone else ("error", version)
            except ApiError as error:
                reason, version = ("gone" if error.gone else "error"), ""
                if error.status == HTTPStatus.FORBIDDEN:
                    log.warning("events about pods may not be read; stock-outs show in pods' status only")
                    await self._sleep(FORBIDDEN_SECONDS)
            except (RequestError, msgspec.DecodeError) as error:
                reason, version = "error", ""
                log.info("watch of pod events failed", resource=RESOURCE, error=repr(error))
            INFORMER_RECONNECTS.labels(RESOURCE, reason).inc()
            if reason == "ended":
                self._backoff.reset()
            else:
                await self._backoff.pause()

    async def _list(self, selector: str) -> str:
        """Deliver the young Events of a list; returns the version to watch from."""
        version = ""
        async with aclosing(pages(partial(self._page, selector), _pages.decode)) as found:
            async for page in found:
                version = page.metadata.resource_version
                for event in page.items or ():
                    if self._now() - _event_time(event) < YOUNG_SECONDS:
                        self._hear(event)
        return version

    async def _page(self, selector: str, token: str) -> bytes:
        params: dict[str, Param] = {"fieldSelector": selector, "limit": PAGE_SIZE, "continue": token or None}
        return await self._client.request("GET", PATH, params=params)

    async def _watch(self, selector: str, version: str) -> str:
        """Follow one watch to its end; returns the version to continue from."""
        params: dict[str, Param] = {
            "watch": True,
            "allowWatchBookmarks": True,
            "fieldSelector": selector,
            "resourceVersion": version,
            "timeoutSeconds": WATCH_SECONDS,
        }
        chunks = self._client.stream(PATH, params, silence_seconds=SILENCE_SECONDS)
        async with aclosing(chunks):
            async for line in _lines(chunks):
                change = _changes.decode(line)
                INFORMER_EVENTS.labels(RESOURCE, change.type).inc()
                if change.type == "ERROR":
                    raise _EndedError(change.object.code)
                if change.type in {"ADDED", "MODIFIED"}:
                    self._hear(change.object)
                version = change.object.metadata.resource_version or version
        return version

    def _hear(self, event: _Event) -> None:
        regarding = event.involved_object
        if regarding is None or regarding.kind != "Pod" or not regarding.uid:
            return
        pod_event = PodEvent(
            PodUid(regarding.uid), regarding.namespace, regarding.name, event.reason or "", event.message or ""
        )
        try:
            self._listener(pod_event)
        except Exception:
            log.exception("listener failed", record="PodEvent", key=f"{pod_event.namespace}/{pod_event.name}")


def _event_time(event: _Event) -> float:
    """When it was last recorded (Unix seconds); 0.0 if it does not say."""
    series = event.series.last_observed_time if event.series is not None else None
    for stamp in (series, event.last_timestamp, event.event_time, event.metadata.creation_timestamp):
        if stamp:
            try:
                return datetime.fromisoformat(stamp).timestamp()
            except ValueError:
                continue
    return 0.0


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
