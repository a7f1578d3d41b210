"""The base of every controller: the world that it reads, the gate before it acts, and its queue.

Contract: level-triggered. An event only names a key to reconcile; the action follows from the present state, and at the
start every key is reconciled once, so a restart or a change of leader loses nothing. Nothing is done on data that is
not complete and fresh: such a key is tried again a little later.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

import structlog

from spillway.domain.model.owners import Owner, owner_of
from spillway.domain.model.places import Claim
from spillway.domain.model.records import OwnerRecord, PodRecord, ReplicaSetRecord
from spillway.domain.policies.governance import Governance
from spillway.domain.scale_down.rollout import is_outgoing
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
"""Seconds after which a key that found stale data is tried again."""


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
        """Whether the data is complete and fresh enough to act on."""
        return self.catalog.loaded and not self.state.stale()

    def claim_of(self, owner: OwnerRecord) -> Claim | None:
        """The claim on this owner's pods."""
        return claim_of(self.state, self.governance, owner)

    def is_outgoing(self, replicaset: ReplicaSetRecord) -> bool:
        """Whether a newer ReplicaSet of the same owner is wanted beside this one."""
        return is_outgoing(replicaset, self.state.siblings_of(replicaset))

    def only_recommends(self, owner: OwnerRecord) -> bool:
        """Whether a policy that is not in force governs this owner's pods."""
        claim = self.claim_of(owner)
        return claim is not None and not claim.enforced

    def owner_of(self, pod: PodRecord) -> Owner:
        """The workload of this pod: its Deployment if it has one."""
        return owner_of(pod, self.state.owner(pod.owner_uid))


class Controller(ABC):
    """The controller of one concern. Keys are strings; a key is never handled by two workers at once."""

    name: ClassVar[str]
    workers: ClassVar[int] = 1

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
