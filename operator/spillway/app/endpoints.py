"""The HTTP server of `/metrics`, `/healthz` and `/readyz`, and of further pages that other parts register.

Contract: `/healthz` answers while the event loop runs; `/readyz` answers 200 only while every named check holds,
otherwise 503 with the names of the failed checks. Neither sends a request to the API server. Paths in `guarded` are
shown only to callers with a bearer token that `authorize` allows for the path; the two probes are never guarded.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final

from aiohttp import web

from spillway.admission.http_server import HttpServer, json_page
from spillway.kube.access import Verdict, bearer_token
from spillway.telemetry.registry import CONTENT_TYPE

Check = Callable[[], bool]
Authorize = Callable[[str, str], Awaitable[Verdict]]
"""Given a bearer token, empty where there is none, and a path."""
OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})


class EndpointServer:
    """The plain HTTP server of these paths; `pages` are further paths, served as JSON."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        checks: Mapping[str, Check],
        exposition: Callable[[], bytes],
        pages: Mapping[str, Callable[[], bytes]] = MappingProxyType({}),
        guarded: Collection[str] = (),
        authorize: Authorize | None = None,
    ) -> None:
        if guarded and authorize is None:
            raise ValueError("guarded paths need an authorizer")
        self._guarded = frozenset(guarded) - OPEN_PATHS
        self._authorize = authorize
        self._server = HttpServer(host, port, shared=False)
        self._checks = checks
        self._exposition = exposition
        self._pages = pages

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
        await self._server.start(application)

    async def stop(self) -> None:
        """Close the socket."""
        await self._server.stop()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self._authorize is not None and request.path in self._guarded:
            token = bearer_token(request.headers.get("Authorization", ""))
            verdict = await self._authorize(token, request.path)
            if verdict is not Verdict.ALLOWED:
                headers = {"WWW-Authenticate": "Bearer"} if verdict is Verdict.UNAUTHENTICATED else {}
                return web.Response(status=verdict.value, text=verdict.name.lower(), headers=headers)
        return await handler(request)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _readyz(self, _: web.Request) -> web.Response:
        failing = [name for name, check in self._checks.items() if not check()]
        return web.Response(status=503 if failing else 200, text="\n".join(failing) or "ok")
