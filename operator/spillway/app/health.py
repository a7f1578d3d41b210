"""The HTTP server of `/metrics`, `/healthz` and `/readyz`, and of further pages that other parts register.

Contract: `/healthz` answers while the event loop runs; `/readyz` answers 200 only while every named check holds,
otherwise 503 with the names of the failed checks. Neither sends a request to the API server.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from aiohttp import web

from spillway.telemetry.registry import CONTENT_TYPE

Check = Callable[[], bool]


class HealthServer:
    """A plain HTTP server for these paths; `pages` are further paths, served as JSON."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        checks: Mapping[str, Check],
        exposition: Callable[[], bytes],
        pages: Mapping[str, Callable[[], bytes]] = MappingProxyType({}),
    ) -> None:
        self._host = host
        self._port = port
        self._checks = checks
        self._exposition = exposition
        self._pages = pages
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port in use, which the system chose if port 0 was requested."""
        return self._port

    async def start(self) -> None:
        """Start to listen."""
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        for path, content in self._pages.items():
            application.router.add_get(path, _page(content))
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the socket."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _readyz(self, _: web.Request) -> web.Response:
        failing = [name for name, check in self._checks.items() if not check()]
        return web.Response(status=503 if failing else 200, text="\n".join(failing) or "ok")


def _page(content: Callable[[], bytes]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=content(), content_type="application/json")

    return answer
