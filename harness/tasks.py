"""Background tasks of a program that starts processes: none of them is left behind when the program is interrupted."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from localcluster.errors import ClusterError

T = TypeVar("T")


async def uninterrupted(start: Callable[[], T], stop: Callable[[T], object]) -> T:
    """Run a function that starts processes in a thread; if the wait for it is cancelled, `stop` what it started."""
    starting = asyncio.ensure_future(asyncio.to_thread(start))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with suppress(ClusterError, OSError):
            stop(await starting)
        raise


async def cancelled(task: "asyncio.Task[None]") -> None:
    """Cancel a task and wait until it has ended."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
