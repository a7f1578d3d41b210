"""The work queue of keys to reconcile: each is at most once in the queue and once at work, with back-off.

Contract: `add` while a key waits has no effect; `add` while it is being handled queues it once more afterwards, so that
no change is missed and no key is handled twice at the same time. If a handler raises, its key returns after a back-off
of the key's own, which the next success resets; if it returns a number of seconds, the key returns after that time.
Closing lets running handlers finish and drops waiting keys.
"""

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

import structlog

from spillway.kube.pauses import pause_seconds
from spillway.telemetry.kube import QUEUE_DEPTH, QUEUE_HANDLED, QUEUE_SECONDS

log = structlog.get_logger(__name__)

K = TypeVar("K", bound=Hashable)

Handler = Callable[[K], Awaitable[float | None]]
"""A function that reconciles one key; a returned number requests the key again after that many seconds."""


class Clock(Protocol):
    """The clock of the queue; a test passes its own."""

    def now(self) -> float:
        """Monotonic seconds."""

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Wait until `now` is later by `seconds`."""


class SystemClock:
    """The clock of the process."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class WorkQueue(Generic[K]):
    """A queue of distinct keys, worked on by a bounded number of workers."""

    def __init__(
        self,
        name: str,
        *,
        backoff_seconds: float = 0.1,
        longest_backoff_seconds: float = 60.0,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self._first = backoff_seconds
        self._longest = longest_backoff_seconds
        self._clock = clock or SystemClock()
        self._jitter = jitter
        self._ready: dict[K, None] = {}
        """In order of arrival."""
        self._at_work: set[K] = set()
        self._again: set[K] = set()
        """Added while at work."""
        self._failures: dict[K, int] = {}
        self._due: dict[K, float] = {}
        """When a delayed key is added; the heap may hold older times of it, which are skipped."""
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._wake_workers = asyncio.Event()
        self._wake_timer = asyncio.Event()
        self._closed = False
        # From 0 on: PromQL's `increase` misses what a series begins with.
        for result in ("retry", "ok"):
            QUEUE_HANDLED.labels(name, result)

    def __len__(self) -> int:
        """The number of waiting keys, without delayed ones."""
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Whether no key waits or is at work; delayed keys may still come."""
        return not self._ready and not self._at_work

    def add(self, key: K) -> None:
        """Queue `key` for the next free worker."""
        if self._closed:
            return
        self._due.pop(key, None)
        if key in self._at_work:
            self._again.add(key)
            return
        self._ready[key] = None
        QUEUE_DEPTH.labels(self.name).set(len(self._ready))
        self._wake_workers.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Queue `key` in `seconds`, unless it is due sooner."""
        due = self._clock.now() + seconds
        if self._closed or key in self._ready or due >= self._due.get(key, float("inf")):
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._order), key))
        self._wake_timer.set()

    def forget(self, key: K) -> None:
        """Forget a key whose object is gone: its delay and its failures."""
        self._due.pop(key, None)
        self._failures.pop(key, None)

    def close(self) -> None:
        """Accept no more keys, drop waiting ones, and let the workers finish."""
        self._closed = True
        self._ready.clear()
        self._again.clear()
        self._due.clear()
        self._wake_workers.set()

    async def run(self, handler: Handler[K], workers: int = 1) -> None:
        """Work until `close`. When cancelled, handlers at work are cancelled too."""
        timer = asyncio.create_task(self._run_timer(), name=f"{self.name}-timer")
        try:
            async with asyncio.TaskGroup() as group:
                for index in range(workers):
                    group.create_task(self._work(handler), name=f"{self.name}-{index}")
        finally:
            timer.cancel()
            with suppress(asyncio.CancelledError):
                await timer

    async def _work(self, handler: Handler[K]) -> None:
        while not self._closed:
            if not self._ready:
                self._wake_workers.clear()
                await self._wake_workers.wait()
                continue
            key = next(iter(self._ready))
            del self._ready[key]
            QUEUE_DEPTH.labels(self.name).set(len(self._ready))
            self._at_work.add(key)
            try:
                await self._handle(handler, key)
            finally:
                self._at_work.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    async def _handle(self, handler: Handler[K], key: K) -> None:
        started = self._clock.now()
        try:
            later = await handler(key)
        except Exception as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            pause = pause_seconds(failures, first=self._first, longest=self._longest, jitter=self._jitter())
            log.warning(
                "reconcile failed",
                queue=self.name,
                key=str(key),
                failures=failures,
                retry_seconds=round(pause, 2),
                exc_info=error,
            )
            QUEUE_HANDLED.labels(self.name, "retry").inc()
            self.add_after(key, pause)
        else:
            self._failures.pop(key, None)
            QUEUE_HANDLED.labels(self.name, "ok").inc()
            if later is not None:
                self.add_after(key, later)
        finally:
            QUEUE_SECONDS.labels(self.name).observe(self._clock.now() - started)

    async def _run_timer(self) -> None:
        while True:
            self._wake_timer.clear()
            now = self._clock.now()
            while self._heap and self._heap[0][0] <= now:
                due, _, key = heapq.heappop(self._heap)
                if self._due.get(key) == due:
                    self.add(key)
            waits: list[asyncio.Task[Any]] = [asyncio.create_task(self._wake_timer.wait())]
            if self._heap:
                waits.append(asyncio.create_task(self._clock.sleep(self._heap[0][0] - now)))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
