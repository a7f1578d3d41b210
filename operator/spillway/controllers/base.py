"""The base of every controller: the world that it reads, the gate before it acts, and its queue.

Contract: level-triggered. An event only names a key to reconcile; the action follows from the present state, and at the
start every key is reconciled once, so a restart or a change of leader loses nothing. Nothing is done on data that is
not complete and fresh: such a key is tried again a little later.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Final

import structlog

from spillway.kube.queue import WorkQueue
from spillway.state.signal import Unsubscribe
from spillway.state.world import World

__all__ = ["Controller", "Unsubscribe", "World"]

GATE_SECONDS: Final = 1.0
"""Seconds after which a key that found stale data is tried again."""


class Controller(ABC):
    """The controller of one concern. Keys are strings; a key is never handled by two workers at once."""

    name: ClassVar[str]
    workers: ClassVar[int] = 1
    admission_waits: ClassVar[bool] = False
    """Whether admission waits for its first reconcile after a change of leader."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.queue: WorkQueue[str] = WorkQueue(self.name)
        self.log = structlog.get_logger(f"spillway.controllers.{self.name}")

    async def run(self) -> None:
        """Reconcile every key once, then the changed ones, until cancelled."""
        subscriptions = list(self.subscribe())
        try:
            for key in self.all_keys():
                self.queue.add(key)
            await self.queue.run(self._gated, self.workers)
        finally:
            for unsubscribe in subscriptions:
                unsubscribe()

    def add_all(self) -> None:
        """Reconcile every key again, because the resources have changed."""
        for key in self.all_keys():
            self.queue.add(key)

    @abstractmethod
    def subscribe(self) -> Iterable[Unsubscribe]:
        """Subscribe to the changes that may require a reconcile."""

    @abstractmethod
    def all_keys(self) -> Iterable[str]:
        """All keys, including those that may need nothing."""

    @abstractmethod
    async def reconcile(self, key: str) -> float | None:
        """Reconcile one key. A returned number is the seconds until the next time; an exception is retried."""

    async def _gated(self, key: str) -> float | None:
        # Most keys need nothing and would never await: without this a long queue would delay admission.
        await asyncio.sleep(0)
        return await self.reconcile(key) if self.world.fresh else GATE_SECONDS
