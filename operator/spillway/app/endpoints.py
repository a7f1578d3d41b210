"""The HTTP server of `/metrics`, `/healthz` and `/readyz`, and of further pages that other parts register.

Contract: `/healthz` answers while the event loop runs; `/readyz` answers 200 only while every named check holds,
otherwise 503 with the names of the failed checks. Neither sends a request to the API server. Paths in `guarded` are
shown only to callers with a bearer token that `authorize` allows for the path; the two probes are never guarded. For a
path of `views`, which is for browsers, the token may also be the password of basic authentication.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final

from aiohttp import web

from spillway.admission.http_server import HttpServer, json_page
from spillway.kube.access import Verdict, bearer_token, password_token
from spillway.telemetry.registry import CONTENT_TYPE

Check = Callable[[], bool]
View = Callable[[web.Request], Awaitable[web.StreamResponse]]
Authorize = Callable[[str, str], Awaitable[Verdict]]
"""Given a bearer token, empty where there is none, and a path."""
_BASIC: Final = 'Basic realm="Spillway: any user, the token as password", charset="UTF-8"'
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})


class EndpointServer:
    """The plain HTTP server of these paths; `pages` are further paths, served as JSON, and `views` are web pages."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        checks: Mapping[str, Check],
        exposition: Callable[[], bytes],
        pages: Mapping[str, Callable[[], bytes]] = MappingProxyType({}),
        views: Mapping[str, View] = MappingProxyType({}),
        guarded: Collection[str] = (),
        authorize: Authorize | None = None,
    ) -> None:
        if guarded and authorize is None:
            raise ValueError("guarded paths need an authorizer")
        self._guarded = frozenset(guarded) - OPEN_PATHS
        self._authorize = authorize
        self._server = HttpServer("metrics", host, port, shared=False)
        self._checks = checks
        self._exposition = exposition
        self._pages = pages
        self._views = views

    @property
    def port(self) -> int:
        """The port in use, which the system chose if port 0 was requested."""
        return self._server.port

    async def start(self) -> None:
        """Start to listen."""
        application = web.Application(middlewares=[self._guard])
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        for path, content in self._pages.items():
            application.router.add_get(path, json_page(content))
        for path, view in self._views.items():
            application.router.add_get(path, view, allow_head=False)
        await self._server.start(application)

    async def stop(self) -> None:
        """Close the socket."""
        await self._server.stop()

    @web.middleware
    async def _guard(self, request: web.Request, handler: View) -> web.StreamResponse:
        if self._authorize is not None and request.path in self._guarded:
            said = request.headers.get("Authorization", "")
            viewed = request.path in self._views
            token = bearer_token(said) or (password_token(said) if viewed else "")
            verdict = await self._authorize(token, request.path)
            if verdict is not Verdict.ALLOWED:
                refusal = web.Response(status=verdict.value, text=verdict.name.lower())
                if verdict is Verdict.UNAUTHENTICATED:
                    refusal.headers.add("WWW-Authenticate", "Bearer")
                    if viewed:
                        refusal.headers.add("WWW-Authenticate", _BASIC)
                return refusal
        return await handler(request)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _readyz(self, _: web.Request) -> web.Response:
        failing = [name for name, check in self._checks.items() if not check()]
        return web.Response(status=503 if failing else 200, text="\n".join(failing) or "ok")
