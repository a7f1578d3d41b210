"""Forwarding of requests to the leader: to decide a pod, or to report a plan. In doubt a request is allowed.

Contract: one hop. Requests are forwarded to a path of their own whose handler never forwards, so there are no cycles.
All requests of a path share one connection; the server proves by its certificate that it is a replica of this
installation. Each kind of missing answer has its own reason: the pod is then created as its user wrote it. A leader
that is silent while several requests in a row time out is not called for a while, so that pods do not wait for a leader
that is gone.
"""

import asyncio
import itertools
import ssl
from collections.abc import Callable
from typing import Final

import aiohttp
import structlog

from spillway.admission.deadline import Clock, Deadline
from spillway.admission.peer_channel import Outbox, Question, Reply, replies
from spillway.admission.review import MAX_BODY_BYTES, AdmissionRequest, Answer
from spillway.admission.server import LetGoError

log: Final = structlog.get_logger(__name__)

TIMEOUTS: Final = 3
"""The number of timeouts in a row, without any answer, after which the leader is not called for a while."""
QUIET_SECONDS: Final = 2.0
CONNECT_SECONDS: Final = 1.0
"""A connection may take this long, or a third of a request's time if that is more: requests that came after a change of
the leader do not wait for the last one."""
_HEARTBEAT_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 1.0
_SPARE_SECONDS: Final = 0.05


class _Line:
    """An open connection to a leader, until it breaks."""

    def __init__(self, address: str, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.address = address
        self.broken = False
        self.replies = 0
        """The number of replies in time."""
        self._socket = socket
        self._outbox = Outbox(socket.send_bytes)
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Reply]] = {}
        self.work = asyncio.create_task(self._run(), name=f"line to {address}")

    def leads_to(self, address: str) -> bool:
        """Whether this connection is open and leads to this leader."""
        return not self.broken and self.address == address

    async def ask(self, request: AdmissionRequest, seconds: float) -> Reply:
        """Send a question and wait for its reply. `seconds` is the time that the leader may take.

        Raises:
            OSError: the connection broke.
        """
        number = next(self._numbers)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._pending[number] = reply
        self._outbox.put(Question(number, seconds, request))
        try:
            return await reply
        finally:
            self._pending.pop(number, None)

    def hang_up(self) -> None:
        """Start to close the connection; waiting callers get an error."""
        self._break()
        self.work.cancel()

    def _break(self) -> None:
        self.broken = True
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the connection to the leader is closed"))

    async def _run(self) -> None:
        work = {asyncio.create_task(self._receive()), asyncio.create_task(self._outbox.run())}
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._break()
            for task in work:
                task.cancel()
            for error in await asyncio.gather(*work, return_exceptions=True):
                if isinstance(error, Exception):
                    log.info("the connection to the leader broke", address=self.address, error=repr(error))
            await self._socket.close()

    async def _receive(self) -> None:
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.BINARY:
                return
            for reply in replies.decode(message.data):
                waiting = self._pending.get(reply.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply)
                    self.replies += 1


class Forwarder:
    """The forwarder of requests to the leader, for one path.

    `leader` gives its `host:port`, empty while none is known; `tls` gives the trusted certificates; `count` is called
    with the result of each request: answered, no-leader, quiet, timeout, error, refused (by the leader).
    """

    def __init__(
        self,
        path: str,
        leader: Callable[[], str],
        tls: Callable[[], ssl.SSLContext | None],
        server_name: str,
        clock: Clock,
        *,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._count = count
        self._leader = leader
        self._tls = tls
        self._server_name = server_name
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._silent = 0
        self._quiet_until = 0.0

    async def close(self) -> None:
        """Close the connection to the leader."""
        self._hang_up()
        if self._ending:
            await asyncio.wait(self._ending)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __call__(self, request: AdmissionRequest, deadline: Deadline) -> Answer:
        """The leader's answer.

        Raises:
            LetGoError: there is no leader, it did not answer in time, or it let the request go.
        """
        address, tls = self._leader(), self._tls()
        if not address or tls is None:
            raise self._lost("no-leader")
        if self._clock() < self._quiet_until:
            raise self._lost("quiet")
        replies_before = self._replies()
        try:
            async with asyncio.timeout(deadline.remaining - _SPARE_SECONDS):
                line = await self._line_to(tls, max(CONNECT_SECONDS, deadline.remaining / 3))
                reply = await line.ask(request, deadline.remaining - 2 * _SPARE_SECONDS)
        except TimeoutError as error:
            self._note_timeout(replies_before)
            raise self._lost("timeout") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._lost("error") from error
        self._silent = 0
        if reply.refused:
            raise self._lost("refused")
        self._count("answered")
        return Answer("forwarded", reply.additions)

    def _replies(self) -> int:
        return self._line.replies if self._line is not None else 0

    def _note_timeout(self, replies_before: int) -> None:
        """Count a timeout; a leader that answers other requests in time is not gone."""
        self._silent = self._silent + 1 if self._replies() == replies_before else 0
        if self._silent >= TIMEOUTS:
            self._quiet_until = self._clock() + QUIET_SECONDS
            self._silent = 0
            self._hang_up()

    async def _line_to(self, tls: ssl.SSLContext, seconds: float) -> _Line:
        """The connection to the present leader."""
        if self._line is not None and self._line.leads_to(self._leader()):
            return self._line
        async with self._connecting, asyncio.timeout(seconds):
            address = self._leader()
            if self._line is not None and self._line.leads_to(address):
                return self._line
            self._hang_up()
            if self._session is None:
                self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
            socket = await self._session.ws_connect(
                f"wss://{address}{self._path}",
                ssl=tls,
                server_hostname=self._server_name,
                heartbeat=_HEARTBEAT_SECONDS,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                max_msg_size=MAX_BODY_BYTES,
            )
            self._line = _Line(address, socket)
            return self._line

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            self._ending.add(line.work)
            line.work.add_done_callback(self._ending.discard)
            line.hang_up()

    def _lost(self, result: str) -> LetGoError:
        self._count(result)
        return LetGoError(f"forward-{result}")
