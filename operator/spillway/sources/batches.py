"""Requests for many workloads at once, and the search for the workload that makes one fail.

Contract: a batch that fails for a reason that one query can cause (it is refused, takes too long, its answer is too
large or is a server error) is asked again in parts, so each workload fails alone, with its reason. A server that does
not answer a trivial query either is the cause itself, and the error is raised. The time that failing batches may cost
is bounded: a request gets less time as this budget is used up, and at its end the parts of a failing batch are no
longer tried.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog

from spillway.domain.threshold.history import NO_POINTS, History, HistoryProblem
from spillway.sources.prometheus import PrometheusError, RefusedError

log: Final = structlog.get_logger(__name__)

Item = TypeVar("Item")
Check = Callable[[], Awaitable[object]]
"""A function that asks the server something trivial, and raises `PrometheusError` without an answer."""
Ask = Callable[[Sequence[Item], float], Awaitable[list[History]]]
"""A function that reads the histories of these items within so many seconds, with one request or a few."""

_AT_ONCE: Final = 4
"""Parts of a failed batch that are asked at the same time; Prometheus evaluates 20 queries by default."""
_PARTS: Final = 16
"""Parts into which a failed batch is split, at most."""
_SHARE: Final = 5.0
"""A request may take this part of the budget that is left."""


@dataclass(slots=True)
class Patience:
    """The time for requests, in seconds."""

    longest: float = 30.0
    """The most for one request."""
    shortest: float = 1.0
    """What a request gets in any case."""
    budget: float = 200.0
    """The most that failing batches may cost in all, however many they are; it is used up as they do."""

    @property
    def limit(self) -> float:
        """The time for the next request."""
        return max(self.shortest, min(self.longest, self.budget / _SHARE))


class Batches(Generic[Item]):
    """A reader of batches, which splits those that fail."""

    def __init__(
        self,
        check: Check,
        name: Callable[[Item], str],
        patience: Patience,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` is the workload of an item."""
        self._check = check
        self._name = name
        self._patience = patience
        self._clock = clock
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def read(self, batch: Sequence[Item], ask: Ask[Item], *, own: bool = False) -> list[History]:
        """The histories of the batch, in any order; a workload that fails alone has no points and a problem.

        Queries that are Spillway's `own` differ in names alone: if one of them is refused, so are all.

        Raises:
            PrometheusError: the server is the cause.
        """
        begun = self._clock()
        try:
            return await ask(batch, self._patience.limit)
        except PrometheusError as error:
            found = await self._apart(batch, ask, error, own=own)
        self._patience.budget = max(0.0, self._patience.budget - (self._clock() - begun))
        return found

    async def _apart(
        self, batch: Sequence[Item], ask: Ask[Item], error: PrometheusError, *, own: bool
    ) -> list[History]:
        if not error.query_reason or (own and len(batch) == 1 and isinstance(error, RefusedError)):
            raise error
        if error.reason != error.query_reason:
            # The same error can mean that the server is down or overloaded.
            await self._check_server(error)
        if len(batch) == 1:
            return [self._failed(batch[0], error, str(error))]
        if self._patience.budget <= 0:
            reason = f"{error}; the request was for {len(batch)} workloads, and there was no time to ask for each"
            return [self._failed(one, error, reason) for one in batch]
        size = math.ceil(len(batch) / _PARTS)
        parts = [batch[first : first + size] for first in range(0, len(batch), size)]
        log.info("a request for several workloads failed and is split", workloads=len(batch), error=str(error))
        return [one for found in await _all([self._part(part, ask, own=own) for part in parts]) for one in found]

    async def _part(self, part: Sequence[Item], ask: Ask[Item], *, own: bool) -> list[History]:
        async with self._at_once:
            try:
                return await ask(part, self._patience.limit)
            except PrometheusError as error:
                cause = error
        return await self._apart(part, ask, cause, own=own)

    async def _check_server(self, error: PrometheusError) -> None:
        try:
            await self._check()
        except PrometheusError:
            raise error from None

    def _failed(self, item: Item, error: PrometheusError, message: str) -> History:
        workload = self._name(item)
        log.warning("the history of a workload cannot be read", key=workload, error=message)
        return History(workload, NO_POINTS, NO_POINTS, HistoryProblem(error.query_reason, message))


async def _all(parts: Sequence[Awaitable[list[History]]]) -> list[list[History]]:
    """The results; at the first error the others are ended, and it is raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, PrometheusError):
                await task
