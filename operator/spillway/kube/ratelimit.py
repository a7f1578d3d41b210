"""A token bucket: bursts up to a size, a steady rate beyond, first come first served.

Contract: `take` reserves its turn at once and then waits for it, so that waiters keep their order and the rate holds
for any number of them. A cancelled waiter returns its turn.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

Sleep = Callable[[float], Awaitable[None]]


class TokenBucket:
    """`rate` tokens a second, at most `burst` of them saved up."""

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError("a bucket needs a rate above 0 and room for one token")
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._sleep = sleep
        self._tokens = float(burst)
        """Negative while turns are booked ahead."""
        self._filled = clock()

    @property
    def available(self) -> int:
        """Tokens that could be taken now without waiting."""
        self._fill()
        return max(0, int(self._tokens))

    def take_now(self, count: int = 1) -> bool:
        """Take `count` tokens if they are there, else none."""
        if self.available < count:
            return False
        self._tokens -= count
        return True

    async def take(self) -> float:
        """Wait for one token; returns the seconds waited."""
        self._fill()
        self._tokens -= 1
        if self._tokens >= 0:
            return 0.0
        wait = -self._tokens / self._rate
        try:
            await self._sleep(wait)
        except asyncio.CancelledError:
            self._tokens += 1
            raise
        return wait

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._filled) * self._rate)
        self._filled = now
