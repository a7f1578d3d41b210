"""What every controller stands on: the world it looks at, the gate before it acts, and its queue.

Contract: level-triggered. An event only says which key to look at again; what is to be done follows from what stands
now, and at the start every key is looked at once, so a restart or a change of leader loses nothing. Nothing is done
on data that is not whole and fresh: a key that meets a closed gate is looked at again a little later.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

import structlog

from spillway.domain.model.owners import Owner, owner_of
from spillway.domain.model.places import Claim
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.policies.governance import Governance
from spillway.kube.queue import WorkQueue
from spillway.state.board import Board
from spillway.state.catalog import Catalog
from spillway.state.claims import claim_of
from spillway.state.cluster import ClusterState
from spillway.state.node_places import NodePlaces
from spillway.state.pool_membership import PoolMembership
from spillway.state.signal import Unsubscribe

__all__ = ["Controller", "Unsubscribe", "World"]

GATE_SECONDS: Final = 1.0
"""How soon a key is tried again that found the data stale."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything a controller reads. `now` is Unix seconds."""

    state: ClusterState
    catalog: Catalog
    places: NodePlaces
    """Shared with admission, so that their answers cannot differ."""
    now: Callable[[], float]
    board: Board
    membership: PoolMembership

    @property
    def governance(self) -> Governance:
        return self.catalog.governance

    @property
    def fresh(self) -> bool:
        """Whether the data is whole and young enough to act on."""
        return self.catalog.loaded and not self.state.stale()

    def claim_of(self, replicaset: ReplicaSetRecord) -> Claim | None:
        """Who governs this ReplicaSet's pods."""
        return claim_of(self.state, self.governance, replicaset)

    def owner_of(self, pod: PodRecord) -> Owner:
        """What a user knows this pod by: its Deployment where it has one."""
        return owner_of(pod, self.state.replicasets.get(pod.owner_uid))


class Controller(ABC):
    """One concern. Keys are strings; a key is never handled by two workers at once."""

    name: ClassVar[str]
    workers: ClassVar[int] = 1

    def __init__(self, world: World) -> None:
        self.world = world
        self.queue: WorkQueue[str] = WorkQueue(self.name)
        self.log = structlog.get_logger(f"spillway.controllers.{self.name}")

    async def run(self) -> None:
        """Look at every key once, then at what changes, until cancelled."""
        subscriptions = list(self.subscribe())
        try:
            for key in self.all_keys():
                self.queue.add(key)
            await self.queue.run(self._gated, self.workers)
        finally:
            for unsubscribe in subscriptions:
                unsubscribe()

    def add_all(self) -> None:
        """Look at every key again: what the resources ask for has changed."""
        for key in self.all_keys():
            self.queue.add(key)

    @abstractmethod
    def subscribe(self) -> Iterable[Unsubscribe]:
        """Ask to hear of what may call for another look."""

    @abstractmethod
    def all_keys(self) -> Iterable[str]:
        """Every key that there is, also of things that may need nothing."""

    @abstractmethod
    async def reconcile(self, key: str) -> float | None:
        """Make one key right. A number asks for another look in so many seconds; an exception is tried again."""

    async def _gated(self, key: str) -> float | None:
        # Most keys need nothing and would never wait: without this a long queue would hold up admission.
        await asyncio.sleep(0)
        return await self.reconcile(key) if self.world.fresh else GATE_SECONDS
