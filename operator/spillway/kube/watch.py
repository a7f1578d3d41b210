"""The list and watch of one resource: it lists completely, watches from there, and lists again when the watch is lost.

Contract: events of one object are handed on in the server's order. A watch that ends is resumed from the last version
seen (events or bookmarks); 410 lists again, and what the new list lacks is removed. A watch that was silent for longer
than the server was asked to keep it open is broken and is opened again. Failures back off exponentially with jitter and
are never final: `run` ends only when it is cancelled.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic

import msgspec
import structlog

from spillway.kube.client import KubeClient
from spillway.kube.decode import Decoder, WatchError
from spillway.kube.errors import ApiError, RequestError, UnreachableError
from spillway.kube.pages import pages
from spillway.kube.ratelimit import Sleep
from spillway.kube.retry import Backoff
from spillway.kube.wire import ObjectT
from spillway.state.cluster import ClusterState, R, record_key
from spillway.telemetry.kube import (
    INFORMER_EVENTS,
    INFORMER_LISTS,
    INFORMER_OBJECTS,
    INFORMER_RECONNECTS,
    INFORMER_SYNCED,
)
from spillway.telemetry.registry import CounterMetric

log = structlog.get_logger(__name__)

_BREATH = 500
"""Records applied before other tasks of the event loop get their turn."""
_TOO_SHORT_SECONDS = 1.0
"""A watch that ends sooner is a sign of a problem of the server, even without an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """Times in seconds."""

    page_size: int = 2000
    """Large pages let the server answer 150,000 pods in a third of the time that pages of 500 take."""
    page_seconds: float = 60.0
    watch_seconds: float = 30.0
    """The server ends a watch after this time (± a fifth) with a bookmark: an idle watch is renewed cheaply."""
    silence_seconds: float = 45.0
    """A watch that is silent for so long is stalled; longer than `watch_seconds` and its fifth."""
    backoff_seconds: float = 0.2
    longest_backoff_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.silence_seconds <= self.watch_seconds * 1.2:
            raise ValueError("silence_seconds must be longer than watch_seconds and a fifth")


class _Counters(dict[str, CounterMetric]):
    """The counter of each type of event: looking one up by its labels costs as much as decoding a pod."""

    def __init__(self, resource: str) -> None:
        super().__init__()
        self._resource = resource

    def __missing__(self, event_type: str) -> CounterMetric:
        counter = self[event_type] = INFORMER_EVENTS.labels(self._resource, event_type)
        return counter


class ResourceWatch(Generic[ObjectT, R]):
    """The list and watch that keeps one record type of a `ClusterState` equal to the API server's objects."""

    def __init__(
        self,
        client: KubeClient,
        state: ClusterState,
        *,
        path: str,
        record_type: type[R],
        decoder: Decoder[ObjectT, R],
        settings: WatchSettings | None = None,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.resource = path.rsplit("/", 1)[-1]
        self._client = client
        self._state = state
        self._path = path
        self._record_type: type[Any] = record_type
        self._decoder: Decoder[ObjectT, R] = decoder
        self._settings = settings or WatchSettings()
        self._clock = clock
        self._jitter = jitter
        self._backoff = Backoff(
            self._settings.backoff_seconds, self._settings.longest_backoff_seconds, sleep=sleep, jitter=jitter
        )
        self._events = _Counters(self.resource)
        self._version = ""
        """To watch from; empty when a list is needed."""

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            if not self._version:
                await self._list_until_done()
            opened = self._clock()
            reason = await self._watch_once()
            INFORMER_RECONNECTS.labels(self.resource, reason).inc()
            if reason == "gone":
                self._version = ""
            if reason != "ended" or self._clock() - opened < _TOO_SHORT_SECONDS:
                await self._backoff.pause()

    # Listing

    async def _list_until_done(self) -> None:
        while True:
            try:
                version = await self._list()
            except ApiError as error:
                # The continue token expired between pages: the list starts again, as after any failure.
                INFORMER_LISTS.labels(self.resource, "expired" if error.gone else "error").inc()
                log.warning("list failed", resource=self.resource, error=str(error))
            except (RequestError, msgspec.DecodeError) as error:
                INFORMER_LISTS.labels(self.resource, "error").inc()
                log.warning("list failed", resource=self.resource, error=repr(error))
            else:
                INFORMER_LISTS.labels(self.resource, "ok").inc()
                INFORMER_SYNCED.labels(self.resource).set(1)
                self._version = version
                self._backoff.reset()
                return
            await self._backoff.pause()

    async def _list(self) -> str:
        """Apply every page and remove records that no page has; returns the version to watch from."""
        left = dict.fromkeys(self._state.records(self._record_type))
        """The earlier keys without those in the list."""
        version = ""
        async with aclosing(pages(self._page, self._decoder.page)) as found:
            async for page in found:
                version, items = page.metadata.resource_version, page.items or []
                for start in range(0, len(items), _BREATH):
                    for item in items[start : start + _BREATH]:
                        left.pop(self._apply(item), None)
                    await asyncio.sleep(0)
                items.clear()  # before the next page arrives: two at a time are 30 MiB
                self._state.touch(self._record_type, listed=True)
        for key in left:
            record = self._state.records(self._record_type).get(key)
            if record is not None:
                self._state.remove(record)
        self._state.mark_synced(self._record_type)
        self._gauge()
        log.info("listed", resource=self.resource, objects=len(self._state.records(self._record_type)))
        return version

    async def _page(self, token: str) -> bytes:
        """One page, with retries when the server fails: while its cache fills it may answer with an error."""
        settings = self._settings
        params: dict[str, str | int | float | bool | None] = {"limit": settings.page_size, "continue": token or None}
        while True:
            try:
                raw = await self._client.request("GET", self._path, params=params, timeout=settings.page_seconds)
            except RequestError as error:
                if not error.retryable:
                    raise
                log.info("page of a list failed, retrying", resource=self.resource, error=repr(error))
            else:
                self._backoff.reset()
                return raw
            await self._backoff.pause()

    # Watching

    async def _watch_once(self) -> str:
        """Follow one watch to its end; returns why it ended: ended, gone, stalled or error."""
        seconds = self._settings.watch_seconds * (0.8 + 0.4 * self._jitter())
        params: dict[str, str | int | float | bool | None] = {
            "watch": True,
            "allowWatchBookmarks": True,
            "resourceVersion": self._version,
            "timeoutSeconds": max(1, round(seconds)),
        }
        silence = self._settings.silence_seconds
        try:
            async with (
                aclosing(self._client.stream(self._path, params, silence_seconds=silence)) as chunks,
                aclosing(_lines(chunks)) as lines,
            ):
                async for line in lines:
                    self._state.touch(self._record_type)
                    if line:
                        self._hear(line)
                        self._backoff.reset()
        except WatchError as error:
            return "gone" if error.code == HTTPStatus.GONE else self._failed(error)
        except ApiError as error:
            return "gone" if error.gone else self._failed(error)
        except UnreachableError as error:
            if not error.timed_out:
                return self._failed(error)
            log.warning("watch stalled", resource=self.resource, silence_seconds=silence)
            return "stalled"
        except msgspec.DecodeError as error:
            return self._failed(error)
        finally:
            self._gauge()
        return "ended"

    def _failed(self, error: Exception) -> str:
        log.info("watch failed", resource=self.resource, error=repr(error))
        return "error"

    def _hear(self, line: bytes) -> None:
        change = self._decoder.change(line)
        self._events[change.type].inc()
        if change.type == "DELETED":
            self._state.remove(self._decoder.record(change.object))
        elif change.type != "BOOKMARK":
            self._apply(change.object)
        self._version = change.object.metadata.resource_version

    def _apply(self, item: ObjectT) -> str:
        record = self._decoder.record(item)
        self._state.apply(record)
        return record_key(record)

    def _gauge(self) -> None:
        INFORMER_OBJECTS.labels(self.resource).set(len(self._state.records(self._record_type)))


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Whole lines; an empty one for each chunk that completes none (a sign of life). Half a line at the end is lost."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if not lines:
            yield b""
        for line in lines:
            yield line
