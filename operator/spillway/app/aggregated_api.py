"""An aggregated API of one replica: its server, and whom it trusts.

Contract: it runs on every replica, shows the webhooks' certificate, starts once there is a certificate and the cluster
is known, and stops after the controllers have.
"""

import asyncio
from collections.abc import Awaitable, Callable

from spillway.admission.tls import ServingTls
from spillway.aggregated.front_proxy import FrontProxyFollower
from spillway.aggregated.server import AggregatedServer, Api, Gate
from spillway.kube.client import KubeClient


class AggregatedApi:
    """The server of an API. `ready` waits until there is a certificate and the cluster is known."""

    def __init__(
        self,
        api: Api,
        gate: Gate,
        client: KubeClient,
        *,
        tls: ServingTls,
        host: str,
        port: int,
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._follower = FrontProxyFollower(client, tls)
        self._ready = ready
        self.server = AggregatedServer(
            api, gate, lambda: self._follower.present, tls=tls.front_context, port=port, host=host
        )

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follower.run(), name="front-proxy")
            await self._ready()
            await self.server.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self.server.stop()
