"""The server of an aggregated API, to which kube-apiserver passes requests on.

Contract: every request except for the health checks is authenticated, by the headers of kube-apiserver or by a bearer
token, and authorized by a SubjectAccessReview.
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
import structlog
from aiohttp import web

from spillway.admission.http_server import HttpServer
from spillway.aggregated.documents import ApiGroup, refusal
from spillway.aggregated.front_proxy import FrontProxy
from spillway.kube.access import Access, User, Verdict, bearer_token

log: Final = structlog.get_logger(__name__)

MASTERS: Final = "system:masters"
"""Members of this group may do everything, as everywhere in Kubernetes."""
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/livez"})
_TEXT: Final = {
    Verdict.UNAUTHENTICATED: "Unauthorized",
    Verdict.UNKNOWN: "the API server could not be asked who calls",
}
_USER: Final = web.RequestKey("user", User)
_NO_SUCH: Final = "the server could not find the requested resource"

Handler = Callable[[web.Request, User], Awaitable[web.Response]]
"""Answers a request of a user who is allowed to make it."""


class Gate(Protocol):
    """Authentication and authorization by the API server."""

    async def authenticate(self, token: str) -> User | Verdict:
        """Who holds this token."""

    async def authorize(self, user: User, access: Access) -> Verdict:
        """Whether the user may do so."""


class Api(Protocol):
    """An aggregated API."""

    name: str
    """The name of its server in metrics."""

    @property
    def group(self) -> ApiGroup:
        """Its group and resources."""

    def routes(self) -> Mapping[str, Handler]:
        """Its paths below `group.root`."""

    def access(self, request: web.Request) -> Access | None:
        """What a request asks for, as kube-apiserver reads its path; None for a path that is no resource."""

    def count(self, verdict: str) -> None:
        """Count a request."""


class MayAll:
    """A gate by which members of `MASTERS` may do everything, and others what `gate` allows."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def authenticate(self, token: str) -> User | Verdict:
        """Who holds this token."""
        return await self._gate.authenticate(token)

    async def authorize(self, user: User, access: Access) -> Verdict:
        """Whether the user may do so."""
        return Verdict.ALLOWED if MASTERS in user.groups else await self._gate.authorize(user, access)


class AggregatedServer:
    """The server of one API, on one address until stopped. `tls=None` serves plain HTTP, for tests."""

    def __init__(
        self,
        api: Api,
        gate: Gate,
        front_proxy: Callable[[], FrontProxy | None],
        *,
        tls: ssl.SSLContext | None,
        port: int,
        host: str = "0.0.0.0",  # noqa: S104  # the API server comes from outside the pod
    ) -> None:
        self._api = api
        self._gate = gate
        self._front_proxy = front_proxy
        self._server = HttpServer(api.name, host, port, tls=tls)

    @property
    def port(self) -> int:
        """The port in use, which the system chose if port 0 was requested."""
        return self._server.port

    async def start(self) -> None:
        """Start to listen; returns once connections are accepted."""
        application, group = web.Application(middlewares=[self._guard]), self._api.group
        for path in OPEN_PATHS:
            application.router.add_get(path, _document({"status": "ok"}))
        application.router.add_get("/apis", self._groups)
        application.router.add_get(f"/apis/{group.name}", _document(group.one_group))
        application.router.add_get(group.root, _document(group.resource_list))
        for path, handler in self._api.routes().items():
            application.router.add_get(f"{group.root}{path}", _by_user(handler))
        await self._server.start(application)
        log.info("aggregated API listens", key=group.name, port=self.port)

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
        self._api.count(verdict.name.lower())
        if verdict is Verdict.ALLOWED and isinstance(user, User):
            request[_USER] = user
            try:
                return await handler(request)
            except web.HTTPNotFound:
                return refused(HTTPStatus.NOT_FOUND, _NO_SUCH)
        name = user.name if isinstance(user, User) else ""
        text = _TEXT.get(verdict) or f'User "{name}" cannot {request.method.lower()} path "{request.path}"'
        return refused(HTTPStatus(verdict.value), text)

    async def _user(self, request: web.Request) -> User | Verdict:
        proxy = self._front_proxy()
        user = None if proxy is None else proxy.user(request.headers, request.get_extra_info("peercert"))
        if user is not None:
            return user
        return await self._gate.authenticate(bearer_token(request.headers.get("Authorization", "")))

    async def _authorized(self, user: User, request: web.Request) -> Verdict:
        access = self._api.access(request) or Access(request.method.lower(), request.path)
        return await self._gate.authorize(user, access)

    async def _groups(self, request: web.Request) -> web.Response:
        found = self._api.group.discovery(request.headers.get("Accept", ""))
        if found is None:
            return answered(self._api.group.groups)
        content_type, document = found
        return web.Response(body=msgspec.json.encode(document), headers={"Content-Type": content_type})


def answered(document: object, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """A document as JSON."""
    return web.Response(body=msgspec.json.encode(document), status=status.value, content_type="application/json")


def refused(status: HTTPStatus, message: str, *, retry_after: int | None = None) -> web.Response:
    """A Status; `retry_after` is when the request may be sent again, in seconds."""
    response = answered(refusal(status, message), status)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _by_user(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        return await handler(request, request[_USER])

    return answer


def _document(document: Mapping[str, Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    body = msgspec.json.encode(document)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return answer
