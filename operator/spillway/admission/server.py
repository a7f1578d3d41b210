"""The admission server: it accepts AdmissionReviews over TLS and always answers in time.

Contract, whatever a handler does:

* An exception inside it answers "allowed" and counts in `spillway_admission_errors_total`.
* Its time is bounded: at the bound it is cancelled, the request is allowed and the reason is counted.
* A body that is not an AdmissionReview is answered with 400, which the API server treats by the failure policy.
* If names of clients are given, a caller whose certificate has none of them is answered with 403.

The socket is bound with `SO_REUSEPORT`, so that two replicas on one host can share a port and an upgrade overlaps.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

import structlog

from spillway.admission.acceptor import Acceptor
from spillway.admission.connections import Connections
from spillway.admission.deadline import (
    USUAL_TIMEOUT_SECONDS,
    Clock,
    Deadline,
    hold_seconds,
)
from spillway.admission.http_connection import HttpConnection, HttpRequest, HttpResponse
from spillway.admission.http_server import listen
from spillway.admission.review import (
    FAILED,
    LET_GO,
    AdmissionRequest,
    Answer,
    UnreadableReviewError,
    decode_request,
    encode_answer,
)
from spillway.telemetry import admission as metrics

log: Final = structlog.get_logger(__name__)

STOP_MARGIN_SECONDS: Final = 1.0
"""When a server stops, requests in progress may take this much longer than the webhooks' timeout."""
BACKSTOP_SECONDS: Final = 0.1
"""A handler that keeps its deadline ends with a reason; only one that does not is cancelled."""
FORBIDDEN: Final = "the client's certificate is for none of the names allowed here"
"""What a caller is told whose certificate is refused."""
SERVER: Final = "webhooks"

Handler = Callable[[AdmissionRequest, Deadline], Awaitable[Answer]]


class LetGoError(Exception):
    """The error of a handler that cannot do its work for a request: that is allowed, and the reason is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Webhook:
    """One path of a server. `bound_seconds` is the longest time to hold a request.

    Where the webhooks' timeout is longer than usual, requests of the API server may be held that much longer.
    """

    name: str
    path: str
    handle: Handler
    bound_seconds: float


def expose_errors(webhooks: Iterable[Webhook]) -> None:
    """Export the errors of these webhooks from 0 on: PromQL's `increase` misses an error with which a series begins."""
    for webhook in webhooks:
        metrics.ERRORS.labels(webhook.name)


async def decide(webhook: Webhook, request: AdmissionRequest, deadline: Deadline) -> Answer:
    """The answer of the webhook; it never raises, except for the cancellation of the whole server."""
    try:
        async with asyncio.timeout(deadline.remaining + BACKSTOP_SECONDS):
            return await webhook.handle(request, deadline)
    except LetGoError as let_go:
        metrics.LET_GO.labels(webhook.name, let_go.reason).inc()
        return LET_GO
    except TimeoutError:
        metrics.LET_GO.labels(webhook.name, "timeout").inc()
        return LET_GO
    except Exception:
        metrics.ERRORS.labels(webhook.name).inc()
        log.exception("admission handler failed, the request is allowed", webhook=webhook.name, key=request.key)
        return FAILED


async def answer(webhook: Webhook, request: AdmissionRequest, deadline: Deadline) -> Answer:
    """As `decide`, counted and timed."""
    decided = await decide(webhook, request, deadline)
    metrics.OUTCOMES.labels(webhook.name, decided.outcome).inc()
    metrics.HOLD_SECONDS.labels(webhook.name).observe(deadline.elapsed)
    return decided


class AdmissionServer:
    """The server of `webhooks` for the API server, on one address until stopped.

    `client_names` are common names and DNS names, one of which a caller's certificate has to carry; the TLS context has
    to ask for certificates then. `timeout_seconds` is the `timeoutSeconds` of the webhooks. `tls=None` serves plain
    HTTP, for tests behind no API server.
    """

    def __init__(
        self,
        webhooks: Sequence[Webhook],
        *,
        tls: ssl.SSLContext | None,
        port: int,
        host: str = "0.0.0.0",  # noqa: S104  # the API server comes from outside the pod
        client_names: Collection[str] = (),
        timeout_seconds: float = USUAL_TIMEOUT_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._client_names = frozenset(client_names)
        self._webhooks = {webhook.path: webhook for webhook in webhooks}
        expose_errors(webhooks)
        self._tls = tls
        self._host = host
        self._port = port
        self._clock = clock
        self._acceptor: Acceptor | None = None
        self._connections: Connections[HttpConnection] = Connections(SERVER)
        self._draining = False

    @property
    def port(self) -> int:
        """The port in use, which the system chose if port 0 was requested."""
        return self._port

    async def start(self) -> None:
        """Start to listen; returns once connections are accepted."""
        listener = listen(self._host, self._port)
        self._port = listener.getsockname()[1]
        self._acceptor = Acceptor(
            SERVER,
            listener,
            lambda: HttpConnection(self._respond, lambda: self._draining, self._connections),
            tls=self._tls,
        )
        log.info("admission server listens", port=self._port, webhooks=list(self._webhooks))

    def drain(self) -> None:
        """Close each connection after its next answer, so that the next one can reach another replica."""
        self._draining = True

    async def stop(self) -> None:
        """Stop listening, let requests in progress end, close."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is None:
            return
        self._draining = True
        await acceptor.stop()
        for connection in tuple(self._connections):
            connection.finish()
        if closing := [connection.closed for connection in self._connections]:
            await asyncio.wait(closing, timeout=self._timeout_seconds + STOP_MARGIN_SECONDS)
        for connection in tuple(self._connections):
            connection.abort()

    async def _respond(self, http_request: HttpRequest, transport: asyncio.Transport) -> HttpResponse:
        if not is_known_client(self._client_names, transport.get_extra_info("peercert")):
            metrics.REFUSED_CLIENTS.inc()
            return HttpResponse.text(HTTPStatus.FORBIDDEN, FORBIDDEN)
        webhook = self._webhooks.get(http_request.path)
        if webhook is None:
            return HttpResponse.text(HTTPStatus.NOT_FOUND, "there is no webhook at this path")
        seconds = hold_seconds(webhook.bound_seconds, _timeout(http_request.query), self._timeout_seconds)
        deadline = Deadline(self._clock, seconds)
        try:
            request = decode_request(http_request.body)
        except UnreadableReviewError as error:
            metrics.OUTCOMES.labels(webhook.name, "unreadable").inc()
            return HttpResponse.text(HTTPStatus.BAD_REQUEST, f"not an AdmissionReview: {error}")
        body = encode_answer(request.uid, await answer(webhook, request, deadline))
        return HttpResponse(HTTPStatus.OK, body, "application/json")


def is_known_client(names: Collection[str], certificate: Mapping[str, Any] | None) -> bool:
    """Whether a client's certificate has one of these common names and DNS names; anybody is known without `names`."""
    if not names:
        return True
    certificate = certificate or {}
    shown = {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    shown |= {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}
    return not shown.isdisjoint(names)


def _timeout(query: str) -> str:
    return (parse_qs(query).get("timeout") or [""])[0]
