"""The server of `external.metrics.k8s.io/v1beta1`, to which kube-apiserver passes requests on.

Contract: every request except for the health checks is authenticated, by the headers of kube-apiserver or by a bearer
token, and authorized by a SubjectAccessReview. The metric of a known workload is always answered, by any replica; the
list is empty for a workload without `scaling`, which an autoscaler reports as a metric that it cannot read.
"""

import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
import structlog
from aiohttp import web

from spillway.admission.http_server import HttpServer
from spillway.aggregated.documents import (
    GROUP,
    GROUPS,
    ONE_GROUP,
    RESOURCES,
    ROOT,
    VERSION,
    discovery,
    refusal,
    value_list,
)
from spillway.aggregated.front_proxy import FrontProxy
from spillway.aggregated.selector import SelectorError, parse_selector
from spillway.domain.model.owners import WorkloadKey
from spillway.domain.model.selectors import Selector
from spillway.domain.scaling.autoscalers import METRIC
from spillway.domain.scaling.recommend import Numbers
from spillway.kube.access import Access, User, Verdict, bearer_token
from spillway.telemetry import scaling as metrics

log: Final = structlog.get_logger(__name__)

MASTERS: Final = "system:masters"
"""Members of this group may do everything, as everywhere in Kubernetes."""
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/livez"})
_TEXT: Final = {
    Verdict.UNAUTHENTICATED: "Unauthorized",
    Verdict.UNKNOWN: "the API server could not be asked who calls",
}


class Gate(Protocol):
    """Authentication and authorization by the API server."""

    async def authenticate(self, token: str) -> User | Verdict:
        """Who holds this token."""

    async def authorize(self, user: User, access: Access) -> Verdict:
        """Whether the user may do so."""


class AggregatedServer:
    """The server of the metric, on one address until stopped. `tls=None` serves plain HTTP, for tests."""

    def __init__(
        self,
        values: Numbers,
        gate: Gate,
        front_proxy: Callable[[], FrontProxy | None],
        *,
        tls: ssl.SSLContext | None,
        port: int,
        host: str = "0.0.0.0",  # noqa: S104  # the API server comes from outside the pod
        now: Callable[[], float] = time.time,
    ) -> None:
        self._values = values
        self._gate = gate
        self._front_proxy = front_proxy
        self._server = HttpServer(host, port, tls=tls)
        self._now = now

    @property
    def port(self) -> int:
        """The port in use, which the system chose if port 0 was requested."""
        return self._server.port

    async def start(self) -> None:
        """Start to listen; returns once connections are accepted."""
        application = web.Application(middlewares=[self._guard])
        for path in OPEN_PATHS:
            application.router.add_get(path, _document({"status": "ok"}))
        application.router.add_get("/apis", _groups)
        application.router.add_get(f"/apis/{GROUP}", _document(ONE_GROUP))
        application.router.add_get(ROOT, _document(RESOURCES))
        application.router.add_get(f"{ROOT}/namespaces/{{namespace}}/{{metric}}", self._metric)
        await self._server.start(application)
        log.info("aggregated API listens", key=GROUP, port=self.port)

    async def stop(self) -> None:
        """Stop listening, let requests in progress end, close."""
        await self._server.stop()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path in OPEN_PATHS:
            return await handler(request)
        user = await self._user(request)
        verdict = user if isinstance(user, Verdict) else await self._authorized(user, request)
        metrics.REQUESTS.labels(verdict.name.lower()).inc()
        if verdict is Verdict.ALLOWED:
            try:
                return await handler(request)
            except web.HTTPNotFound:
                return _refused(HTTPStatus.NOT_FOUND, "the server could not find the requested resource")
        name = user.name if isinstance(user, User) else ""
        text = _TEXT.get(verdict) or f'User "{name}" cannot {request.method.lower()} path "{request.path}"'
        return _refused(HTTPStatus(verdict.value), text)

    async def _user(self, request: web.Request) -> User | Verdict:
        proxy = self._front_proxy()
        user = None if proxy is None else proxy.user(request.headers, request.get_extra_info("peercert"))
        if user is not None:
            return user
        return await self._gate.authenticate(bearer_token(request.headers.get("Authorization", "")))

    async def _authorized(self, user: User, request: web.Request) -> Verdict:
        return Verdict.ALLOWED if MASTERS in user.groups else await self._gate.authorize(user, _access(request))

    async def _metric(self, request: web.Request) -> web.Response:
        namespace, metric = request.match_info["namespace"], request.match_info["metric"]
        if metric != METRIC:
            return _refused(HTTPStatus.NOT_FOUND, f'the metric "{metric}" is not served; the only one is {METRIC}')
        try:
            selector = parse_selector(request.query.get("labelSelector", ""))
        except SelectorError as error:
            return _refused(HTTPStatus.BAD_REQUEST, str(error))
        found = await self._values(namespace, lambda workload: _selected(workload, selector))
        items = sorted((workload, number.replicas) for workload, number in found.items())
        return _json(value_list(((_labels(workload), value) for workload, value in items), self._now()))


def _labels(workload: str) -> dict[str, str]:
    key = WorkloadKey.parse(workload)
    return {"kind": key.kind, "workload": key.name}


def _selected(workload: str, selector: Selector) -> bool:
    return selector.matches(_labels(workload))


def _access(request: web.Request) -> Access:
    """As kube-apiserver reads the path: a collection of a namespace is listed."""
    metric = request.match_info.get("metric")
    if not metric:
        return Access(request.method.lower(), request.path)
    namespace = request.match_info["namespace"]
    return Access("list", group=GROUP, version=VERSION, resource=metric, namespace=namespace)


async def _groups(request: web.Request) -> web.Response:
    found = discovery(request.headers.get("Accept", ""))
    if found is None:
        return _json(GROUPS)
    content_type, document = found
    return web.Response(body=msgspec.json.encode(document), headers={"Content-Type": content_type})


def _document(document: Mapping[str, Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    body = msgspec.json.encode(document)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return answer


def _json(document: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status.value, content_type="application/json")


def _refused(status: HTTPStatus, message: str) -> web.Response:
    return _json(refusal(status, message), status)
