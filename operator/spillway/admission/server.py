"""The admission server: it accepts AdmissionReviews over TLS and always answers in time.

Contract, whatever a handler does:

* an exception inside it answers "allowed" and counts in `spillway_admission_errors_total`; * its time is bounded; at
the bound it is cancelled, the request is allowed and the reason is counted; * a body that is not an AdmissionReview is
answered with 400, which the API server treats by the webhook's failure policy; * if names of clients are given, a
caller whose certificate has none of them is answered with 403.

The socket is bound with `SO_REUSEPORT`, so that two replicas on one host can share a port and an upgrade overlaps.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from aiohttp import web

from spillway.admission.deadline import Clock, Deadline, hold_seconds
from spillway.admission.peer_channel import Answering
from spillway.admission.review import (
    MAX_BODY_BYTES,
    AdmissionRequest,
    Answer,
    UnreadableReviewError,
    decode_request,
    encode_answer,
)
from spillway.telemetry import admission as metrics

log: Final = structlog.get_logger(__name__)

KEEPALIVE_SECONDS: Final = 120.0
"""Longer than the 90 s for which the API server keeps an idle connection: the side that asks closes, and no request is
lost."""

BACKSTOP_SECONDS: Final = 0.1
"""A handler that keeps its deadline ends with a reason; only one that does not is cancelled."""

Handler = Callable[[AdmissionRequest, Deadline], Awaitable[Answer]]


class LetGoError(Exception):
    """Raised by a handler that cannot do its work for this request: it is allowed, and the reason is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Webhook:
    """One path of the server. `bound_seconds` holds even if the API server would wait longer."""

    name: str
    path: str
    handle: Handler
    bound_seconds: float


async def decide(webhook: Webhook, request: AdmissionRequest, deadline: Deadline) -> Answer:
    """The answer of the webhook; it never raises, except for the cancellation of the whole server."""
    try:
        async with asyncio.timeout(deadline.remaining + BACKSTOP_SECONDS):
            return await webhook.handle(request, deadline)
    except LetGoError as let_go:
        metrics.LET_GO.labels(webhook.name, let_go.reason).inc()
        return Answer("let-go")
    except TimeoutError:
        metrics.LET_GO.labels(webhook.name, "timeout").inc()
        return Answer("let-go")
    except Exception:
        metrics.ERRORS.labels(webhook.name).inc()
        log.exception("admission handler failed, the request is allowed", webhook=webhook.name, key=request.key)
        return Answer("error")


class AdmissionServer:
    """Serves on one address until stopped: `webhooks` to the API server, `peers` to other replicas on a channel each.

    `client_names` are common names and DNS names, one of which a caller's certificate has to carry; the TLS context has
    to ask for certificates then. `tls=None` serves plain HTTP, for tests behind no API server.
    """

    def __init__(
        self,
        webhooks: Sequence[Webhook],
        *,
        peers: Sequence[Webhook] = (),
        tls: ssl.SSLContext | None,
        port: int,
        host: str = "0.0.0.0",  # noqa: S104  # the API server comes from outside the pod
        client_names: Collection[str] = (),
        clock: Clock = time.monotonic,
    ) -> None:
        self._client_names = frozenset(client_names)
        self._webhooks = tuple(webhooks)
        self._peers = tuple(peers)
        self._tls = tls
        self._host = host
        self._port = port
        self._clock = clock
        self._runner: web.AppRunner | None = None
        self._draining = False

    @property
    def port(self) -> int:
        """The port in use, which the system chose if port 0 was requested."""
        return self._port

    async def start(self) -> None:
        """Start to listen; returns once connections are accepted."""
        application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._only_known_clients])
        for webhook in self._webhooks:
            application.router.add_post(webhook.path, self._responder(webhook))
        for webhook in self._peers:
            answering = Answering(partial(self._answer_peer, webhook))
            application.router.add_get(webhook.path, answering.serve)
            application.on_shutdown.append(answering.close)
        runner = web.AppRunner(application, access_log=None, keepalive_timeout=KEEPALIVE_SECONDS, shutdown_timeout=3.0)
        await runner.setup()
        listener = _listen(self._host, self._port)
        self._port = listener.getsockname()[1]
        await web.SockSite(runner, listener, ssl_context=self._tls).start()
        self._runner = runner
        log.info("admission server listens", port=self._port, webhooks=[webhook.path for webhook in self._webhooks])

    def drain(self) -> None:
        """Close each connection after its next answer, so that the next one can reach another replica."""
        self._draining = True

    async def stop(self) -> None:
        """Stop listening, let requests in progress end, close."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _only_known_clients(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self._client_names and self._client_names.isdisjoint(_names_of_client(request)):
            metrics.REFUSED_CLIENTS.inc()
            return web.Response(status=403, text="the client's certificate is for none of the names allowed here")
        return await handler(request)

    def _responder(self, webhook: Webhook) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def respond(http_request: web.Request) -> web.Response:
            seconds = hold_seconds(webhook.bound_seconds, http_request.query.get("timeout", ""))
            deadline = Deadline(self._clock, seconds)
            try:
                request = decode_request(await http_request.read())
            except UnreadableReviewError as error:
                metrics.OUTCOMES.labels(webhook.name, "unreadable").inc()
                return web.Response(status=400, text=f"not an AdmissionReview: {error}")
            answer = await _answer(webhook, request, deadline)
            response = web.Response(body=encode_answer(request.uid, answer), content_type="application/json")
            if self._draining:
                response.force_close()
            return response

        return respond

    async def _answer_peer(self, webhook: Webhook, request: AdmissionRequest, seconds: float) -> Answer:
        return await _answer(webhook, request, Deadline(self._clock, min(seconds, webhook.bound_seconds)))


async def _answer(webhook: Webhook, request: AdmissionRequest, deadline: Deadline) -> Answer:
    answer = await decide(webhook, request, deadline)
    metrics.OUTCOMES.labels(webhook.name, answer.outcome).inc()
    metrics.HOLD_SECONDS.labels(webhook.name).observe(deadline.elapsed)
    return answer


def _names_of_client(request: web.Request) -> set[str]:
    """The common names and DNS names of the client's certificate."""
    certificate = request.get_extra_info("peercert") or {}
    names = {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    return names | {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setblocking(False)  # noqa: FBT003 - its only form
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener
