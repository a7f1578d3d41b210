"""One connection of an aiohttp server, within bounds that aiohttp does not have.

Contract: a request has to arrive within `RECEIVE_SECONDS`, and its answer has to be read as fast; together with what a
client sends while it is answered, it may have `request_bytes`. All answers that are not read hold `UNSENT_BYTES_MAX`
together: beyond that the connection is closed that has not read for the longest time. aiohttp itself closes idle
connections.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, cast

from aiohttp import web

from spillway.admission.connections import Connections
from spillway.admission.http_connection import RECEIVE_SECONDS
from spillway.telemetry import http as metrics

UNSENT_BYTES_MAX: Final = 32 * 1024 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """The bounds of one server, and its connections."""

    def __init__(
        self, server: str, *, connections: int, request_bytes: int | None, unsent_bytes: int = UNSENT_BYTES_MAX
    ) -> None:
        """`request_bytes=None` does not bound requests."""
        self.server = server
        self.request_bytes = request_bytes
        self.connections: Connections[GuardedConnection] = Connections(server, most=connections)
        self._unsent_most = unsent_bytes
        self._unsent: dict[GuardedConnection, None] = {}
        """Whose clients do not read, in the order in which they began not to."""
        self._by_protocol: dict[asyncio.BaseProtocol, GuardedConnection] = {}

    def protocol(self, inner: web.RequestHandler) -> "GuardedConnection":
        """The guarded form of a protocol of aiohttp."""
        return GuardedConnection(inner, self)

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Take note that a request has arrived, and that it was answered; to be the outermost middleware."""
        connection = self._by_protocol.get(request.protocol)
        if connection is None:  # it is closed already
            return await handler(request)
        connection.begin()
        try:
            return await _sent(request, await handler(request))
        finally:
            connection.end()

    def add(self, connection: "GuardedConnection") -> None:
        """A connection was opened."""
        self._by_protocol[connection.inner] = connection
        self.connections.add(connection)

    def discard(self, connection: "GuardedConnection") -> None:
        """A connection was closed."""
        self._by_protocol.pop(connection.inner, None)
        self._unsent.pop(connection, None)
        self.connections.discard(connection)

    def unread(self, connection: "GuardedConnection") -> None:
        """A client does not read its answer."""
        self._unsent[connection] = None
        while sum(one.unsent_bytes for one in self._unsent) > self._unsent_most:
            self.close(next(iter(self._unsent)), "memory")

    def read(self, connection: "GuardedConnection") -> None:
        """A client has read what was sent."""
        self._unsent.pop(connection, None)

    def close(self, connection: "GuardedConnection", reason: str) -> None:
        """Close a connection for a reason that is counted."""
        metrics.CLOSED.labels(self.server, reason).inc()
        self.discard(connection)
        connection.abort()


class GuardedConnection(asyncio.Protocol):
    """The connection of one client, whose requests `inner` answers."""

    def __init__(self, inner: web.RequestHandler, guard: Guard) -> None:
        self.inner = inner
        self._guard = guard
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._answering = False
        self._received = 0
        """Bytes since the request before was answered."""

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)  # as a server for TCP always gets
        self._guard.add(self)
        self.inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._transport = None
        self._stop_timer()
        self._guard.discard(self)
        self.inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on what has arrived, while it is within the bounds."""
        if self._transport is None or self._transport.is_closing():
            return
        most = self._guard.request_bytes
        self._received += len(data)
        if most is not None and self._received > most:
            self._guard.close(self, "too-large")
            return
        if self._timer is None and not self._answering:
            self._close_in(RECEIVE_SECONDS, "slow-request")
        self.inner.data_received(data)

    def eof_received(self) -> None:
        """Close: the client sends nothing more."""
        self.inner.eof_received()

    def pause_writing(self) -> None:
        """The client does not read."""
        self.inner.pause_writing()
        self._stop_timer()
        self._close_in(RECEIVE_SECONDS, "slow-reader")
        self._guard.unread(self)

    def resume_writing(self) -> None:
        """The client reads."""
        self._stop_timer()
        self._guard.read(self)
        self.inner.resume_writing()

    # Called by the guard

    def begin(self) -> None:
        """A request has arrived."""
        self._answering = True
        self._stop_timer()

    def end(self) -> None:
        """It was answered."""
        self._answering = False
        self._received = 0
        self._guard.connections.answered(self)

    @property
    def busy(self) -> bool:
        """Whether a request arrives or is being answered."""
        return self._answering or self._received > 0 or self.unsent_bytes > 0

    @property
    def unsent_bytes(self) -> int:
        """What the client has not read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    # Time

    def _close_in(self, seconds: float, reason: str) -> None:
        self._timer = self._loop.call_later(seconds, self._guard.close, self, reason)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _sent(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """The response, sent and without its body: aiohttp keeps the last response of each connection."""
    if isinstance(response, web.Response):
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:  # aiohttp finds out too
            return response
        response.body = None
    return response
