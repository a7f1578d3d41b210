"""One connection of an aiohttp server, within bounds that aiohttp does not have.

Contract: a request has to arrive within `RECEIVE_SECONDS`, and its answer has to be read as fast; together with what a
client sends while it is answered, it may have `request_bytes`. All answers that are not read hold `UNSENT_BYTES_MAX`
together: beyond that the connection is closed that has not read for the longest time. aiohttp itself closes idle
connections.

An answer that fits into the buffers of a connection and of the system is not counted and has no time: the former are
`PIECE_BYTES`, and under TLS three times that, as the transport below has its own, of which it does not tell.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from spillway.admission.arrival import RequestArrival
from spillway.admission.connections import Connections
from spillway.admission.http_connection import RECEIVE_SECONDS
from spillway.telemetry import http as metrics

UNSENT_BYTES_MAX: Final = 32 * 1024 * 1024
PIECE_BYTES: Final = 64 * 1024
"""Answers are written in pieces of this size: a TLS transport pauses only between the writes of its caller."""

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
            response = await handler(request)
            if isinstance(response, web.Response):
                await connection.send(request, response)
            return response
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
        """A client has read its answer."""
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
        self._timers: dict[str, asyncio.TimerHandle] = {}
        """Those that run, by the reason for which they close the connection."""
        self._arrival = RequestArrival()
        self._received = 0
        """Bytes since the request before was answered."""
        self._answering = False
        self._sending = 0
        """Bytes of the body that is being sent: it is in memory until the last piece is written."""
        self._paused = False

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)  # as a server for TCP always gets
        self._transport.set_write_buffer_limits(high=PIECE_BYTES)  # of TLS it would be 512 KiB
        self._guard.add(self)
        self.inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._transport = None
        for reason in tuple(self._timers):
            self._stop_timer(reason)
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
        self._arrival.feed(data)
        self._time_request()
        self.inner.data_received(data)

    def eof_received(self) -> None:
        """Close: the client sends nothing more."""
        self.inner.eof_received()

    def pause_writing(self) -> None:
        """The client does not read."""
        self._paused = True
        self.inner.pause_writing()
        self._start_timer("slow-reader")
        self._guard.unread(self)

    def resume_writing(self) -> None:
        """The client reads."""
        self._paused = False
        self._time_answer()
        self.inner.resume_writing()

    # Called by the guard

    def begin(self) -> None:
        """A request has arrived, apart from its body."""
        self._answering = True

    async def send(self, request: web.Request, response: web.Response) -> None:
        """Send an answer, and take its body from it: aiohttp keeps the last answer of each connection."""
        body = response.body
        if isinstance(body, bytes | bytearray) and body:
            self._sending = len(body)
            response.body = _Pieces(body, content_type=response.content_type)
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:  # aiohttp finds out too
            pass
        finally:
            response.body = None
            self._sending = 0
            self._time_answer()

    def end(self) -> None:
        """It was answered."""
        self._answering = False
        self._received = 0
        self._arrival.answered()
        self._time_request()
        self._guard.connections.answered(self)

    @property
    def busy(self) -> bool:
        """Whether a request arrives or is being answered."""
        return self._answering or self._arrival.partly or self._received > 0 or self.unsent_bytes > 0

    @property
    def handled(self) -> bool:
        """Whether a request has arrived whole, and it is not the client whom its answer waits for."""
        return self._answering and not self._arrival.partly and not self._paused

    @property
    def unsent_bytes(self) -> int:
        """What is held of answers that the client has not read."""
        return 0 if self._transport is None else self._sending + self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    # Time

    def _time_request(self) -> None:
        if self._arrival.partly:
            self._start_timer("slow-request")
        else:
            self._stop_timer("slow-request")

    def _time_answer(self) -> None:
        """The time is that of the whole answer, however often the client makes it pause."""
        if not self._paused and not self._sending:
            self._stop_timer("slow-reader")
            self._guard.read(self)

    def _start_timer(self, reason: str) -> None:
        if reason not in self._timers and self._transport is not None:
            self._timers[reason] = self._loop.call_later(RECEIVE_SECONDS, self._guard.close, self, reason)

    def _stop_timer(self, reason: str) -> None:
        if timer := self._timers.pop(reason, None):
            timer.cancel()


class _Pieces(Payload):
    """A body that is written piece by piece, each once the ones before it are not held back."""

    def __init__(self, body: bytes | bytearray, *, content_type: str) -> None:
        super().__init__(body, content_type=content_type)
        self._size = len(body)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all pieces."""
        for start in range(0, len(self._value), PIECE_BYTES):
            # A copy: uvloop keeps what it has not sent, and a view would keep the whole body.
            await writer.write(bytes(self._value[start : start + PIECE_BYTES]))
            await writer.drain()
