"""A watch that runs only while it is needed.

Contract: `want` names what is followed; the empty text stops the watch, another text starts a new one. Every failure is
retried by what follows, including a missing permission; `run` ends only when it is cancelled.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar


class WantedWatch(ABC):
    """The watch; a subclass says how something is followed."""

    name: ClassVar[str]

    def __init__(self) -> None:
        self._wanted = ""
        self._changed = asyncio.Event()

    def want(self, what: str) -> None:
        """Follow this from now on; the empty text stops the watch."""
        if what != self._wanted:
            self._wanted = what
            self._changed.set()

    def start(self) -> Callable[[], None]:
        """Follow what is wanted from now on; returns what ends it."""
        task = asyncio.get_running_loop().create_task(self.run(), name=self.name)

        def stop() -> None:
            task.cancel()

        return stop

    async def run(self) -> None:
        """Follow what is wanted until cancelled."""
        while True:
            self._changed.clear()
            following = asyncio.create_task(self._follow(self._wanted), name=self.name) if self._wanted else None
            try:
                await self._changed.wait()
            finally:
                if following is not None:
                    following.cancel()
                    await asyncio.wait({following})
                    self._ended()

    @abstractmethod
    async def _follow(self, what: str) -> None:
        """Follow this until cancelled."""

    def _ended(self) -> None:  # noqa: B027  most need nothing
        """Called whenever following has ended."""
