"""One HTTP/1.1 connection of the API server: requests are read, answered one after another, and written back.

Contract: only POST, with a body of at most `MAX_BODY_BYTES`. A connection closes after an idle time, and earlier when
a request does not arrive whole within `RECEIVE_SECONDS`, cannot be parsed, or comes before the one before it was
answered (the API server never sends one so). The parser is httptools', which is Node.js' parser; the rest of HTTP that
a webhook needs is here, because it is on the path of every pod (docs/designs/0006-admission-latency.md has figures).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

import httptools
import structlog

from spillway.admission.connections import Connections
from spillway.admission.deadline import LONGEST_TIMEOUT_SECONDS
from spillway.admission.review import MAX_BODY_BYTES

log: Final = structlog.get_logger(__name__)

KEEPALIVE_SECONDS: Final = 120.0
"""Longer than the 90 s for which the API server keeps an idle connection: the side that asks closes, and no request is
lost."""
RECEIVE_SECONDS: Final = LONGEST_TIMEOUT_SECONDS
"""The time for a request to arrive: whoever is slower than any webhook's `timeoutSeconds` is gone."""
_HEADER_BYTES_MAX: Final = 64 * 1024
_REQUEST_BYTES_MAX: Final = 2 * MAX_BODY_BYTES
"""Of a whole request: a body in chunks has a line for each."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request: its path, its query as it was sent, and its body."""

    path: str
    query: str
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One response."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"

    @classmethod
    def text(cls, status: HTTPStatus, text: str) -> "HttpResponse":
        """A response for people to read."""
        return cls(status, text.encode())


Respond = Callable[[HttpRequest, asyncio.Transport], Awaitable[HttpResponse]]
"""The answer to one request on this transport."""


class HttpConnection(asyncio.Protocol):
    """The connection of one client. `last` says whether it should close after its next answer."""

    def __init__(self, respond: Respond, last: Callable[[], bool], connections: Connections["HttpConnection"]) -> None:
        self._respond = respond
        self._last = last
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._work: asyncio.Task[None] | None = None
        self.closed: asyncio.Future[None] = self._loop.create_future()
        """Done once the connection is closed."""
        self._refusal: HttpResponse | None = None
        self._url = b""
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._received = 0
        """Bytes of the present request, those that the parser still holds included."""
        self._in_headers = True
        self._header_bytes = 0
        self._aborting = False
        """Whether the timer ends the connection, because the client does not read."""

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)  # as a server for TCP always gets
        self._connections.add(self)
        self._close_in(KEEPALIVE_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - its signature
        """Forget the client. A request that is being answered is worked on to its end: it may be half done."""
        self._transport = None
        self._body.clear()
        self._connections.discard(self)
        self._stop_timer()
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        if self._transport is None or self._transport.is_closing():
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._refuse(f"not a request to a webhook: {error}")
            return
        # The parser keeps a header, or a line of chunks, until it is complete.
        if self._received > (_HEADER_BYTES_MAX if self._in_headers else _REQUEST_BYTES_MAX):
            self._refuse("the request is too large")

    def eof_received(self) -> bool:
        """Close, unless a request is still to be answered. Under TLS the transport closes in any case."""
        transport = self._transport
        return self._work is not None and transport is not None and transport.get_extra_info("sslcontext") is None

    def pause_writing(self) -> None:
        """Read no further requests of a client that does not read its answers, and give it up after a while."""
        if self._transport is not None:
            self._transport.pause_reading()
            self._abort_in(RECEIVE_SECONDS)

    def resume_writing(self) -> None:
        """Go on, because the client reads."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._aborting = False
            self._close_in(KEEPALIVE_SECONDS)

    # Called by the parser

    def on_message_begin(self) -> None:
        if self._work is not None:
            raise _RefusedError("a request came before the one before it was answered")
        self._url, self._header_bytes, self._body_bytes, self._refusal = b"", 0, 0, None
        self._body.clear()
        self._close_in(RECEIVE_SECONDS)

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_header(len(name) + len(value))
        if name.lower() == b"expect" and value.lower() == b"100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_headers_complete(self) -> None:
        if self._parser.should_upgrade():
            raise _RefusedError("only HTTP/1.1 is spoken")
        self._in_headers = False
        if self._parser.get_method() != b"POST":
            self._refusal = HttpResponse.text(HTTPStatus.METHOD_NOT_ALLOWED, "only POST is allowed")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY_BYTES:
            raise _RefusedError(f"a body may have {MAX_BODY_BYTES} bytes")
        self._body.append(body)
        self._connections.receive(self, len(body))

    def on_message_complete(self) -> None:
        if not self._aborting:
            self._stop_timer()
        path, _, query = self._url.partition(b"?")
        request = HttpRequest(path.decode("latin-1"), query.decode("latin-1"), b"".join(self._body))
        self._body.clear()
        self._received, self._in_headers = 0, True
        if not self._connections.answer(self):
            request = HttpRequest(request.path, request.query, b"")
            self._refusal = HttpResponse.text(HTTPStatus.SERVICE_UNAVAILABLE, "too many large requests")
        self._work = self._loop.create_task(self._answer(request, keep_alive=self._parser.should_keep_alive()))

    def _count_header(self, count: int) -> None:
        self._header_bytes += count
        if self._header_bytes > _HEADER_BYTES_MAX:
            raise _RefusedError(f"headers may have {_HEADER_BYTES_MAX} bytes")

    # Answering

    async def _answer(self, request: HttpRequest, *, keep_alive: bool) -> None:
        transport = self._transport
        try:
            if transport is None:
                return
            response = self._refusal or await self._respond(request, transport)
        except Exception:
            log.exception("a request to a webhook could not be answered", key=request.path)
            response = HttpResponse.text(HTTPStatus.INTERNAL_SERVER_ERROR, "the request could not be answered")
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._work = None
            self._connections.answered(self)
        self._write(response, close=not keep_alive or self._last())

    def _refuse(self, why: str) -> None:
        """Answer what is no proper request, and close."""
        self._write(HttpResponse.text(HTTPStatus.BAD_REQUEST, why), close=True)

    def _write(self, response: HttpResponse, *, close: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        head = (
            f"HTTP/1.1 {response.status.value} {response.status.phrase}\r\n"
            f"Content-Type: {response.content_type}\r\n"
            f"Content-Length: {len(response.body)}\r\n"
            f"{'Connection: close' if close else 'Connection: keep-alive'}\r\n\r\n"
        )
        if not close:
            self._close_in(KEEPALIVE_SECONDS)
        self._transport.write(head.encode() + response.body)  # may call pause_writing
        if close:
            self._transport.close()
            # A client that does not read its answer keeps the transport from closing.
            self._abort_in(RECEIVE_SECONDS)

    def finish(self) -> None:
        """Close at once if nothing of a request has arrived; otherwise after its answer (`last` has to say so)."""
        if not self.busy and self._transport is not None:
            self._transport.close()

    @property
    def busy(self) -> bool:
        """Whether a request arrives or is being answered."""
        return self._work is not None or self._received > 0

    @property
    def handled(self) -> bool:
        """Whether a request that has arrived whole is being answered."""
        return self._work is not None

    def abort(self) -> None:
        """Close at once, whatever is being received or answered."""
        self._body.clear()
        if self._transport is not None:
            self._transport.abort()

    # Time

    def _close_in(self, seconds: float) -> None:
        if not self._aborting:
            self._stop_timer()
            self._timer = self._loop.call_later(seconds, self._close)

    def _abort_in(self, seconds: float) -> None:
        if not self._aborting:
            self._stop_timer()
            self._aborting = True
            self._timer = self._loop.call_later(seconds, self.abort)

    def _close(self) -> None:
        if self._work is None and self._transport is not None:
            self._transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _RefusedError(Exception):
    """The error of a callback of the parser, which then reports the request as one that cannot be parsed."""
