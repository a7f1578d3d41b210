"""Time that passes when a test says so."""

import asyncio
import heapq


class FakeClock:
    """`now` and `sleep` for what takes its time by injection; nothing in a test waits for real."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        return self._now

    __call__ = now

    async def sleep(self, seconds: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + seconds, self._count, waiter))
        await waiter

    def forward(self, seconds: float) -> None:
        """Let time pass for code that reads the clock and never sleeps."""
        self._now += seconds

    async def skip(self, seconds: float) -> None:
        """A `sleep` that ends at once, with the time passed."""
        self._now += seconds

    async def advance(self, seconds: float) -> None:
        """Let time pass: sleepers wake in order, each at its own time, and what they start gets to run."""
        await settle()
        end = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, waiter = heapq.heappop(self._sleepers)
            if not waiter.done():
                waiter.set_result(None)
            await settle()
        self._now = end
        await settle()


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)
