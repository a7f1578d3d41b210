"""The connections of a listening socket, from their beginning: TLS handshakes are bounded in number and time.

Contract: a connection has no protocol until its handshake has ended, so whoever only connects to the port would be seen
by nothing else. Beyond `HANDSHAKES_MAX` the oldest handshake is given up: that of a proper client takes milliseconds.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

import structlog

from spillway.admission.deadline import LONGEST_TIMEOUT_SECONDS
from spillway.telemetry import http as metrics

log: Final = structlog.get_logger(__name__)

HANDSHAKES_MAX: Final = 256
HANDSHAKE_SECONDS: Final = LONGEST_TIMEOUT_SECONDS
"""The time for a TLS handshake: whoever is slower than any webhook's `timeoutSeconds` is gone."""
_PAUSE_SECONDS: Final = 0.5
"""After an error of the system, such as too many open files."""


class Acceptor:
    """What accepts the connections of one server; `protocol` makes the protocol of each. `tls=None` means plain TCP."""

    def __init__(
        self,
        server: str,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        *,
        tls: ssl.SSLContext | None,
        handshakes: int = HANDSHAKES_MAX,
    ) -> None:
        self._server = server
        self._listener = listener
        self._protocol = protocol
        self._tls = tls
        self._most = handshakes
        self._loop = asyncio.get_running_loop()
        self._opening: dict[asyncio.Task[None], None] = {}
        """Oldest first."""
        self._accepting = self._loop.create_task(self._accept(), name=f"accept {server}")

    async def stop(self) -> None:
        """Stop listening, and give up handshakes. Connections that are open stay open."""
        tasks = (self._accepting, *self._opening)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._listener.close()

    async def _accept(self) -> None:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(self._listener)
            except OSError as error:
                log.warning("a connection cannot be accepted", key=self._server, error=str(error))
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if len(self._opening) >= self._most:
                oldest = next(iter(self._opening))
                del self._opening[oldest]
                oldest.cancel()
                metrics.CLOSED.labels(self._server, "handshakes").inc()
            task = self._loop.create_task(self._open(connection))
            self._opening[task] = None
            task.add_done_callback(self._opened)
            # asyncio's own loop accepts what waits without a break, and no connection would be opened meanwhile.
            await asyncio.sleep(0)

    async def _open(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(
                self._protocol,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else HANDSHAKE_SECONDS,
            )
        except OSError as error:  # of TLS too, and a client that has gone
            log.debug("a connection was not opened", key=self._server, error=str(error))
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.pop(task, None)
