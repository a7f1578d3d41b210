"""The leader: it runs the controllers while this replica holds the Lease.

Contract: `run` returns after `stopping` is set and the writes in flight are answered, or raises the error that ended a
controller.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from spillway.app.controllers import Controllers
from spillway.app.settings import Settings
from spillway.controllers.base import Controller, World
from spillway.kube.client import KubeClient
from spillway.kube.events import EventRecorder
from spillway.state.board import Board
from spillway.state.catalog import Catalog
from spillway.state.cluster import ClusterState
from spillway.state.node_places import NodePlaces
from spillway.state.open_pools import OpenPools
from spillway.state.pool_membership import PoolMembership

LONGEST_TAKE_OVER_SECONDS: Final = 10.0
"""How long controllers wait at most for those for which admission waits."""


async def run_in_order(controller: Controller, board: Board, stopping: asyncio.Event) -> None:
    """Run a controller, once it is known what the pools have cost, if admission does not wait for it.

    All controllers take turns in one event loop. The first passes of all of them at once would make admission wait
    for what a new leader takes over as long as for all of them. A leader that is stopping before begins it no more.
    """
    if not controller.admission_waits:
        waits = [asyncio.ensure_future(event.wait()) for event in (board.spent_read, stopping)]
        try:
            await asyncio.wait(waits, timeout=LONGEST_TAKE_OVER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if stopping.is_set():
            return
    await controller.run()


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
            tasks = [
                group.create_task(run_in_order(controller, self._world.board, stopping), name=controller.name)
                for controller in controllers
            ]
            await stopping.wait()
            for controller in controllers:
                controller.queue.close()
            _, late = await asyncio.wait(tasks, timeout=self._settings.stop_seconds / 2)
            for task in (*late, recorder):
                task.cancel()
