"""The APIs that a replica serves besides admission: recommended replicas for autoscalers, and the answers of `explain`.

Contract: each is off unless a flag asks for it, runs on every replica, and shows the webhooks' certificate. They start
once there is a certificate and the cluster is known, and stop after the controllers have.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from spillway.admission.tls import ServingTls
from spillway.aggregated.explanations import ExplainApi
from spillway.aggregated.front_proxy import FrontProxyFollower
from spillway.aggregated.metric import MetricApi
from spillway.aggregated.server import AggregatedServer, Api, Gate, MayAll
from spillway.app.explain.serving import OperatorAnswers
from spillway.app.settings import Settings
from spillway.controllers.base import World
from spillway.controllers.scaling.answers import Answers
from spillway.domain.explain import served
from spillway.domain.scaling.autoscalers import METRICS_API_SERVICE
from spillway.kube.access import DelegatedAccess
from spillway.kube.client import KubeClient

if TYPE_CHECKING:
    from spillway.keda.scaler import KedaScaler


class ServedApis:
    """The servers of one replica. `known` waits until the cluster is known."""

    def __init__(
        self,
        settings: Settings,
        client: KubeClient,
        world: World,
        *,
        tls: ServingTls,
        numbers: Answers,
        known: Callable[[], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._client = client
        self._world = world
        self._tls = tls
        self._known = known
        self.numbers = numbers
        self._front_proxy = FrontProxyFollower(client, tls)
        self._aggregated: list[AggregatedServer] = []
        self.keda: KedaScaler | None = None

    def tasks(self) -> Iterator[tuple[str, Awaitable[None]]]:
        """What to run, by name."""
        settings = self._settings
        if settings.external_metrics or settings.explain_api:
            yield "front-proxy", self._front_proxy.run()
        # Each API has a gate of its own: questions about callers of the one delay none of the other.
        if settings.external_metrics:
            gate = MayAll(DelegatedAccess(self._client))
            api = MetricApi(self.numbers.values)
            yield "external-metrics", self._serve(api, gate, settings.external_metrics_port)
        if settings.explain_api:
            gate = MayAll(DelegatedAccess(self._client))
            answers = OperatorAnswers(self._world, self._client, gate)
            yield "explain", self._serve(ExplainApi(answers), gate, settings.explain_api_port)
        if settings.keda_scaler:
            yield "keda", self._serve_keda()

    async def stop(self) -> None:
        """Stop listening."""
        for server in self._aggregated:
            await server.stop()
        if self.keda is not None:
            await self.keda.stop()

    async def _serve(self, api: Api, gate: Gate, port: int) -> None:
        server = AggregatedServer(
            api,
            gate,
            lambda: self._front_proxy.present,
            tls=self._tls.front_context,
            port=port,
            host=self._settings.webhook_host,
        )
        self._aggregated.append(server)
        await self._ready()
        await server.start()
        await asyncio.Event().wait()

    async def _serve_keda(self) -> None:
        from spillway.keda.scaler import KedaScaler  # noqa: PLC0415  # gRPC takes 40 MiB, only where it is wanted

        await self._ready()
        scaler = KedaScaler(
            self.numbers.find,
            self._world.board.recommendations_changed,
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


def api_services(settings: Settings) -> tuple[str, ...]:
    """The APIServices that lead to a process with these settings."""
    wanted = {METRICS_API_SERVICE: settings.external_metrics, served.API_SERVICE: settings.explain_api}
    return tuple(name for name, here in wanted.items() if here)
