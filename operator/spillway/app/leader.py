"""The leader: it runs the controllers while this replica holds the Lease.

Contract: `run` returns after `stopping` is set and the writes in flight are answered, or raises the error that ended a
controller.
"""

import asyncio
import time
from collections.abc import Callable

from spillway.app.controllers import Controllers
from spillway.app.settings import Settings
from spillway.controllers.base import World
from spillway.kube.client import KubeClient
from spillway.kube.events import EventRecorder
from spillway.state.board import Board
from spillway.state.catalog import Catalog
from spillway.state.cluster import ClusterState
from spillway.state.node_places import NodePlaces
from spillway.state.open_pools import OpenPools
from spillway.state.pool_membership import PoolMembership


class Leader:
    """The leader of one replica; it may run more than once."""

    def __init__(
        self,
        settings: Settings,
        client: KubeClient,
        state: ClusterState,
        catalog: Catalog,
        places: NodePlaces,
        *,
        board: Board,
        membership: PoolMembership,
        open_pools: OpenPools,
        may_write: Callable[[], bool],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._client = client
        self._may_write = may_write
        self._open_pools = open_pools
        self._world = World(state=state, catalog=catalog, places=places, now=now, board=board, membership=membership)

    async def run(self, stopping: asyncio.Event) -> None:
        """Run every controller until asked to stop."""
        events = EventRecorder(self._client, may_write=self._may_write)
        controllers = Controllers(
            self._settings, self._client, self._world, self._open_pools, events, may_write=self._may_write
        ).all
        async with asyncio.TaskGroup() as group:
            recorder = group.create_task(events.run(), name="events")
            tasks = [group.create_task(controller.run(), name=controller.name) for controller in controllers]
            await stopping.wait()
            for controller in controllers:
                controller.queue.close()
            _, late = await asyncio.wait(tasks, timeout=self._settings.stop_seconds / 2)
            for task in (*late, recorder):
                task.cancel()
