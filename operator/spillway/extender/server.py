"""The server of the scheduler extender: kube-scheduler asks for the scores of the nodes that a pod may run on.

Contract: the verb `prioritize` alone, with `nodeCacheCapable`, as `k8s.io/kube-scheduler/extender/v1` defines it. The
caller must show a client certificate of an authority that the TLS context trusts, with the common name `SCHEDULER`;
with another name it gets 403. Without a current load all nodes have the score 0. No request is kept, and nothing is
written.
"""

import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from spillway.admission.http_server import HttpServer
from spillway.domain.model.names import NodeName
from spillway.telemetry import extender as metrics

log: Final = structlog.get_logger(__name__)

PATH: Final = "/scheduler/prioritize"
SCHEDULER: Final = "system:kube-scheduler"
_MOST_BYTES: Final = 8 << 20
"""Of a request: a pod has at most 1.5 MiB, and the name of a node 253 bytes."""


class _Args(msgspec.Struct, frozen=True):
    """The part of `ExtenderArgs` that is read; its fields have no names of their own in JSON."""

    node_names: list[NodeName] | None = msgspec.field(name="NodeNames", default=None)


class _HostPriority(msgspec.Struct, frozen=True, gc=False):
    host: NodeName = msgspec.field(name="Host")
    score: int = msgspec.field(name="Score")


_args: Final = msgspec.json.Decoder(_Args)
_encoder: Final = msgspec.json.Encoder()
Scores = Callable[[Sequence[NodeName]], Sequence[int] | None]
"""The scores of nodes, in their order; None while no load is known."""


class ExtenderServer:
    """The server of the extender, on one address until stopped."""

    def __init__(
        self,
        scores: Scores,
        *,
        tls: ssl.SSLContext,
        port: int,
        host: str = "0.0.0.0",  # noqa: S104  # the scheduler comes from outside the pod
    ) -> None:
        self._scores = scores
        self._server = HttpServer("scheduler-extender", host, port, tls=tls, request_bytes=None)

    @property
    def port(self) -> int:
        """The port in use, which the system chose if port 0 was requested."""
        return self._server.port

    async def start(self) -> None:
        """Start to listen; returns once connections are accepted."""
        application = web.Application(middlewares=[_only_the_scheduler], client_max_size=_MOST_BYTES)
        application.router.add_post(PATH, self._prioritize)
        await self._server.start(application)
        log.info("scheduler extender listens", port=self.port)

    async def stop(self) -> None:
        """Stop listening, let requests in progress end, close."""
        await self._server.stop()

    async def _prioritize(self, request: web.Request) -> web.Response:
        body = await request.read()
        begun = time.perf_counter()
        try:
            names = _args.decode(body).node_names
        except msgspec.MsgspecError as error:
            return _invalid(f"not an ExtenderArgs: {error}")
        if names is None:
            return _invalid("without NodeNames; the extender's configuration needs nodeCacheCapable: true")
        scores = self._scores(names)
        found = zip(names, [0] * len(names) if scores is None else scores, strict=True)
        answer = _encoder.encode([_HostPriority(name, score) for name, score in found])
        metrics.SECONDS.observe(time.perf_counter() - begun)
        metrics.REQUESTS.labels("equal" if scores is None else "scored").inc()
        return web.Response(body=answer, content_type="application/json")


def common_name(certificate: Mapping[str, Any] | None) -> str:
    """The name by which Kubernetes knows the holder of a client certificate: its last common name."""
    subject = (certificate or {}).get("subject", ())
    return next((value for part in reversed(subject) for key, value in part if key == "commonName"), "")


@web.middleware
async def _only_the_scheduler(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if common_name(request.get_extra_info("peercert")) != SCHEDULER:
        metrics.REQUESTS.labels("refused").inc()
        return web.Response(status=HTTPStatus.FORBIDDEN, text=f"only {SCHEDULER} is answered\n")
    return await handler(request)


def _invalid(message: str) -> web.Response:
    metrics.REQUESTS.labels("invalid").inc()
    return web.Response(status=HTTPStatus.BAD_REQUEST, text=message + "\n")
