"""The scheduler extender of one replica: its server, the loads that it answers by, and whom it trusts.

Contract: off unless a flag asks for it. It runs on every replica, shows the webhooks' certificate, starts once there is
a certificate and the cluster is known, and stops after the controllers have.
"""

import asyncio
from collections.abc import Awaitable, Callable

from spillway.admission.tls import ServingTls
from spillway.app.settings import Settings
from spillway.controllers.base import World
from spillway.extender.authority import ClientAuthorityFollower
from spillway.extender.loads import LoadFeed, LoadsOfLeader
from spillway.extender.server import ExtenderServer
from spillway.kube.client import KubeClient
from spillway.state.node_scores import NodeScores


class SchedulerExtender:
    """The extender of one replica. `page` is the leader's, and `known` waits until the cluster is known."""

    def __init__(
        self,
        settings: Settings,
        client: KubeClient,
        world: World,
        page: LoadsOfLeader,
        *,
        tls: ServingTls,
        known: Callable[[], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._known = known
        self._scores = NodeScores(
            world.state, world.now, in_pool=lambda node: world.governance.budget_of(node) is not None
        )
        self._authority = ClientAuthorityFollower(client, tls)
        self.feed = LoadFeed(world.board, lambda: world.governance, self._scores, page)
        self.server: ExtenderServer | None = None

    async def run(self) -> None:
        """Serve until cancelled."""
        server = ExtenderServer(
            self._scores.of,
            tls=self._tls.scheduler_context,
            port=self._settings.scheduler_extender_port,
            host=self._settings.webhook_host,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._authority.run(), name="client-authority")
            group.create_task(self.feed.run(), name="loads")
            await self._tls.ready.wait()
            await self._known()
            await server.start()
            self.server = server

    async def stop(self) -> None:
        """Stop listening, and stop following the state."""
        if self.server is not None:
            await self.server.stop()
        self._scores.close()
