"""The servers from which autoscalers get recommended replicas: the external metrics API, and KEDA's external scaler.

Contract: both are off unless a flag asks for them, run on every replica, and show the webhooks' certificate. They start
once there is a certificate and the cluster is known, and stop after the controllers have.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from spillway.admission.tls import ServingTls
from spillway.aggregated.front_proxy import FrontProxyFollower
from spillway.aggregated.server import AggregatedServer
from spillway.app.settings import Settings
from spillway.controllers.scaling.answers import Answers
from spillway.kube.access import DelegatedAccess
from spillway.kube.client import KubeClient
from spillway.state.board import Board

if TYPE_CHECKING:
    from spillway.keda.scaler import KedaScaler


class ScalingApis:
    """The servers of one replica. `known` waits until the cluster is known."""

    def __init__(
        self,
        settings: Settings,
        client: KubeClient,
        board: Board,
        *,
        tls: ServingTls,
        numbers: Answers,
        known: Callable[[], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._client = client
        self._board = board
        self._tls = tls
        self._known = known
        self.numbers = numbers
        self.metrics: AggregatedServer | None = None
        self.keda: KedaScaler | None = None

    def tasks(self) -> Iterator[tuple[str, Awaitable[None]]]:
        """What to run, by name."""
        if self._settings.external_metrics:
            yield "external-metrics", self._serve_metrics()
        if self._settings.keda_scaler:
            yield "keda", self._serve_keda()

    async def stop(self) -> None:
        """Stop listening."""
        if self.metrics is not None:
            await self.metrics.stop()
        if self.keda is not None:
            await self.keda.stop()

    async def _serve_metrics(self) -> None:
        settings = self._settings
        follower = FrontProxyFollower(self._client, self._tls)
        server = AggregatedServer(
            self.numbers.values,
            DelegatedAccess(self._client),
            lambda: follower.present,
            tls=self._tls.front_context,
            port=settings.external_metrics_port,
            host=settings.webhook_host,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(follower.run(), name="front-proxy")
            await self._ready()
            await server.start()
            self.metrics = server

    async def _serve_keda(self) -> None:
        from spillway.keda.scaler import KedaScaler  # noqa: PLC0415  # gRPC takes 40 MiB, only where it is wanted

        await self._ready()
        scaler = KedaScaler(
            self.numbers.find,
            self._board.recommendations_changed,
            tls=self._tls,
            port=self._settings.keda_scaler_port,
            host=self._settings.webhook_host,
        )
        await scaler.start()
        self.keda = scaler
        await asyncio.Event().wait()

    async def _ready(self) -> None:
        await self._tls.ready.wait()
        await self._known()
