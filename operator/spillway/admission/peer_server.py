"""The server for other replicas: what they forward to the leader, a channel for each path and replica, and its pages.

Contract: a caller has to show a certificate with one of `client_names`; others are answered with 403.
"""

import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

import structlog
from aiohttp import web

from spillway.admission.deadline import USUAL_TIMEOUT_SECONDS, Clock, Deadline
from spillway.admission.http_server import HttpServer, json_page
from spillway.admission.peer_channel import Answering
from spillway.admission.review import AdmissionRequest, Answer
from spillway.admission.server import FORBIDDEN, STOP_MARGIN_SECONDS, Webhook, answer, expose_errors, is_known_client
from spillway.telemetry import admission as metrics

log: Final = structlog.get_logger(__name__)


class PeerServer:
    """The server of `webhooks` for other replicas, on one address until stopped. `tls=None` means plain HTTP."""

    def __init__(
        self,
        webhooks: Sequence[Webhook],
        *,
        tls: ssl.SSLContext | None,
        port: int,
        host: str = "0.0.0.0",  # noqa: S104  # replicas come from other pods
        client_names: Collection[str] = (),
        pages: Mapping[str, Callable[[], bytes]] = MappingProxyType({}),
        timeout_seconds: float = USUAL_TIMEOUT_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        """`pages` are paths whose JSON any replica may read; `timeout_seconds` is that of the webhooks."""
        self._client_names = frozenset(client_names)
        self._webhooks = tuple(webhooks)
        expose_errors(self._webhooks)
        self._pages = pages
        self._server = HttpServer(
            "peers",
            host,
            port,
            tls=tls,
            stop_seconds=timeout_seconds + STOP_MARGIN_SECONDS,
            request_bytes=None,
        )
        self._clock = clock

    @property
    def port(self) -> int:
        """The port in use, which the system chose if port 0 was requested."""
        return self._server.port

    async def start(self) -> None:
        """Start to listen; returns once connections are accepted."""
        application = web.Application(middlewares=[self._only_known_clients])
        for webhook in self._webhooks:
            answering = Answering(partial(self._answer, webhook))
            application.router.add_get(webhook.path, answering.serve)
            application.on_shutdown.append(answering.close)
        for path, content in self._pages.items():
            application.router.add_get(path, json_page(content))
        await self._server.start(application)
        log.info("server for other replicas listens", port=self.port)

    async def stop(self) -> None:
        """Stop listening, let requests in progress end, close."""
        await self._server.stop()

    @web.middleware
    async def _only_known_clients(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not is_known_client(self._client_names, request.get_extra_info("peercert")):
            metrics.REFUSED_CLIENTS.inc()
            return web.Response(status=403, text=FORBIDDEN)
        return await handler(request)

    async def _answer(self, webhook: Webhook, request: AdmissionRequest, seconds: float) -> Answer:
        return await answer(webhook, request, Deadline(self._clock, min(seconds, webhook.bound_seconds)))
