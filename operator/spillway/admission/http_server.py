"""An aiohttp application on one address: the listening socket, its port, and the end of the requests in progress."""

import socket
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web


class HttpServer:
    """The server of one application. `tls=None` means plain HTTP."""

    def __init__(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, shared: bool = True, stop_seconds: float = 1.0
    ) -> None:
        """`shared`: whether other processes of this host may listen on the port too."""
        self.port = port
        """The port in use, which the system chose if port 0 was requested."""
        self._host = host
        self._tls = tls
        self._shared = shared
        self._stop_seconds = stop_seconds
        self._runner: web.AppRunner | None = None

    async def start(self, application: web.Application) -> None:
        """Start to listen; returns once connections are accepted.

        Raises:
            OSError: the address cannot be used.
        """
        listener = listen(self._host, self.port, shared=self._shared)
        self.port = listener.getsockname()[1]
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=self._stop_seconds)
        await runner.setup()
        await web.SockSite(runner, listener, ssl_context=self._tls).start()
        self._runner = runner

    async def stop(self) -> None:
        """Stop listening, let requests in progress end, close."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


def json_page(content: Callable[[], bytes]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of a page with this JSON."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=content(), content_type="application/json")

    return answer


def listen(host: str, port: int, *, shared: bool = True) -> socket.socket:
    """A listening socket; if it is `shared`, other processes of this host can share its port.

    Raises:
        OSError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        listener.setblocking(False)  # noqa: FBT003 - its only form
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener
