"""Slices of time in which a long computation runs, so that other tasks of the event loop get their turn in between.

Contract: admission requests are answered in the same event loop, so a computation over all pods, owners or nodes delays
them by as long as it runs without an `await`. Between two items the state of the cluster may change.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Final, TypeVar

T = TypeVar("T")

SLICE_SECONDS: Final = 0.001
"""How long a computation runs before other tasks get their turn: less than an admission answer takes."""


class TimeSlice:
    """One computation's slice of time."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = clock()

    async def pause(self) -> None:
        """Let other tasks run if this one has used up its slice; call it after each item."""
        if self._clock() - self._began >= SLICE_SECONDS:
            await asyncio.sleep(0)
            self._began = self._clock()


async def in_slices(items: Iterable[T]) -> AsyncGenerator[T, None]:
    """The items one by one, with pauses between them. `items` must not change meanwhile: pass a copy."""
    time_slice = TimeSlice()
    for item in items:
        yield item
        await time_slice.pause()
