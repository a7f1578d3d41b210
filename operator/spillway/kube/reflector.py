"""The reflector of one resource: it lists completely, watches from there, and lists again when the watch is lost.

Contract: the records go to a sink, those of one object in the server's order. A watch that ends is resumed from the
last version seen (events or bookmarks); 410 lists again. A watch that was silent for longer than the server was asked
to keep it open is broken and is opened again. Failures back off exponentially with jitter and are never final: `run`
ends only when it is cancelled.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog

from spillway.kube.client import KubeClient, Param
from spillway.kube.decode import Decoder, RecordT
from spillway.kube.errors import RequestError, UnreachableError
from spillway.kube.pages import PageLimit, page_of, pages
from spillway.kube.pauses import Backoff
from spillway.kube.ratelimit import Sleep
from spillway.kube.slices import in_slices
from spillway.kube.transport import transport_errors
from spillway.kube.wire import ObjectT
from spillway.telemetry.kube import (
    INFORMER_EVENTS,
    INFORMER_LISTS,
    INFORMER_RECONNECTS,
)
from spillway.telemetry.registry import CounterMetric

log = structlog.get_logger(__name__)

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


RecordT_contra = TypeVar("RecordT_contra", contravariant=True)


class Sink(Protocol[RecordT_contra]):
    """The receiver of the records of one resource."""

    def alive(self) -> None:
        """Note that the watch has received something."""

    def list_begins(self) -> None:
        """Begin a complete list."""

    def listed(self, record: RecordT_contra) -> None:
        """Take a record of the list."""

    def page_ends(self) -> None:
        """End a page of the list."""

    def list_ends(self) -> None:
        """End the list: objects that it did not have are gone."""

    def changed(self, record: RecordT_contra) -> None:
        """Take a record that was created or has changed."""

    def deleted(self, record: RecordT_contra) -> None:
        """Take the last record of an object that is gone."""

    def watch_ends(self) -> None:
        """Note that a watch has ended; the next one goes on from there."""


class Reflector(Generic[ObjectT, RecordT]):
    """The list and watch that passes the objects at `path` to a sink; `selector` restricts them by fields."""

    def __init__(
        self,
        client: KubeClient,
        sink: Sink[RecordT],
        *,
        path: str,
        decoder: Decoder[ObjectT, RecordT],
        selector: str = "",
        settings: WatchSettings | None = None,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.resource = resource_of(path)
        self._client = client
        self._sink: Sink[RecordT] = sink
        self._path = path
        self._selected: dict[str, Param] = {"fieldSelector": selector} if selector else {}
        self._decoder: Decoder[ObjectT, RecordT] = decoder
        self._settings = settings or WatchSettings()
        self._page_limit = PageLimit(self._settings.page_size)
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
                with transport_errors():
                    version = await self._list()
            except RequestError as error:
                # A continue token that expires between pages starts the list again, as any failure does.
                INFORMER_LISTS.labels(self.resource, "expired" if error.gone else "error").inc()
                log.warning("list failed", key=self.resource, error=str(error))
            else:
                INFORMER_LISTS.labels(self.resource, "ok").inc()
                self._version = version
                self._backoff.reset()
                return
            await self._backoff.pause()

    async def _list(self) -> str:
        """Pass on every page; returns the version to watch from."""
        version = ""
        self._sink.list_begins()
        async with aclosing(pages(self._page, self._decoder.page)) as found:
            async for page in found:
                version, items = page.metadata.resource_version, page.items or []
                async for item in in_slices(items):
                    self._sink.listed(self._decoder.record(item))
                items.clear()  # before the next page arrives: two at a time are 30 MiB
                self._sink.page_ends()
        self._sink.list_ends()
        return version

    async def _page(self, token: str) -> bytes:
        """One page, with retries when the server fails: while its cache fills it may answer with an error."""
        settings = self._settings
        while True:
            try:
                raw = await page_of(
                    self._client,
                    self._path,
                    self._page_limit,
                    token,
                    params=self._selected,
                    seconds=settings.page_seconds,
                )
            except RequestError as error:
                if not error.retryable:
                    raise
                log.info("page of a list failed, retrying", key=self.resource, error=repr(error))
            else:
                self._backoff.reset()
                return raw
            await self._backoff.pause()

    # Watching

    async def _watch_once(self) -> str:
        """Follow one watch to its end; returns why it ended: ended, gone, stalled or error."""
        seconds = self._settings.watch_seconds * (0.8 + 0.4 * self._jitter())
        params: dict[str, Param] = {
            **self._selected,
            "watch": True,
            "allowWatchBookmarks": True,
            "resourceVersion": self._version,
            "timeoutSeconds": max(1, round(seconds)),
        }
        silence = self._settings.silence_seconds
        try:
            with transport_errors():
                async with (
                    aclosing(self._client.stream(self._path, params, silence_seconds=silence)) as chunks,
                    aclosing(_lines(chunks)) as lines,
                ):
                    async for line in lines:
                        self._sink.alive()
                        if line:
                            self._pass_on(line)
                            self._backoff.reset()
        except UnreachableError as error:
            if not error.timed_out:
                return self._failed(error)
            log.warning("watch stalled", key=self.resource, silence_seconds=silence)
            return "stalled"
        except RequestError as error:
            return "gone" if error.gone else self._failed(error)
        finally:
            self._sink.watch_ends()
        return "ended"

    def _failed(self, error: Exception) -> str:
        log.info("watch failed", key=self.resource, error=repr(error))
        return "error"

    def _pass_on(self, line: bytes) -> None:
        change = self._decoder.change(line)
        self._events[change.type].inc()
        if change.type == "DELETED":
            self._sink.deleted(self._decoder.record(change.object))
        elif change.type != "BOOKMARK":
            self._sink.changed(self._decoder.record(change.object))
        self._version = change.object.metadata.resource_version


def resource_of(path: str) -> str:
    """The plural name of the resource whose collection is at the path."""
    return path.rsplit("/", 1)[-1]


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Whole lines; an empty one for each chunk that completes none (a sign of life). Half a line at the end is lost."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if not lines:
            yield b""
        for line in lines:
            yield line
