"""An aiohttp application on one address: the listening socket, its port, its bounds, and the end of its requests.

Contract: anybody who reaches the port may connect and send. Connections, requests and answers that are not read are
bounded in number, size and time, and a connection that is in use is not closed for one that is not.
"""

import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, cast

from aiohttp import web

from spillway.admission.acceptor import Acceptor
from spillway.admission.guarded_connection import Guard
from spillway.admission.http_connection import KEEPALIVE_SECONDS

CONNECTIONS_MAX: Final = 128
"""Of a server: an API server keeps 25 idle ones, and Prometheus one for each replica of it."""
REQUEST_BYTES_MAX: Final = 64 * 1024
"""Of a request without a body. kube-apiserver sends a header for each group of a user."""
HEADERS_MAX: Final = 1024
KNOWN_HEADERS_MAX: Final = 32
"""Where a request is not bounded as a whole: of a header aiohttp takes 16 KiB at most."""


class HttpServer:
    """The server of one application, with this name in metrics. `tls=None` means plain HTTP."""

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        shared: bool = True,
        stop_seconds: float = 1.0,
        connections: int = CONNECTIONS_MAX,
        request_bytes: int | None = REQUEST_BYTES_MAX,
    ) -> None:
        """`shared`: whether other processes of this host may listen on the port too.

        `request_bytes` bounds what arrives of each request; None is for clients that the application knows.
        """
        self.port = port
        """The port in use, which the system chose if port 0 was requested."""
        self._name = name
        self._host = host
        self._tls = tls
        self._shared = shared
        self._stop_seconds = stop_seconds
        self._guard = Guard(name, connections=connections, request_bytes=request_bytes)
        self._headers = HEADERS_MAX if request_bytes is not None else KNOWN_HEADERS_MAX
        self._runner: web.AppRunner | None = None
        self._acceptor: Acceptor | None = None

    async def start(self, application: web.Application) -> None:
        """Start to listen; returns once connections are accepted.

        Raises:
            OSError: the address cannot be used.
        """
        listener = listen(self._host, self.port, shared=self._shared)
        self.port = listener.getsockname()[1]
        application.middlewares.insert(0, self._guard.watch)
        runner = web.AppRunner(
            application,
            access_log=None,
            shutdown_timeout=self._stop_seconds,
            keepalive_timeout=KEEPALIVE_SECONDS,
            max_headers=self._headers,
        )
        await runner.setup()
        inner = cast("web.Server", runner.server)  # as the runner is set up
        self._acceptor = Acceptor(self._name, listener, lambda: self._guard.protocol(inner()), tls=self._tls)
        self._runner = runner

    async def stop(self) -> None:
        """Stop listening, let requests in progress end, close."""
        if self._acceptor is not None:
            await self._acceptor.stop()
            self._acceptor = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        # aiohttp lets a connection stay whose client does not read its answer.
        for connection in tuple(self._guard.connections):
            connection.abort()


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
