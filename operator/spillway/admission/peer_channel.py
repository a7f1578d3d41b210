"""The channel between replicas: one connection for many concurrent requests, which are sent in batches.

Contract: a WebSocket (RFC 6455) with binary messages, each a JSON array of `Question`s one way and of `Reply`s the
other. Replies come in the order in which they are ready.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import aiohttp
import msgspec
import structlog
from aiohttp import web

from spillway.admission.deadline import LONGEST_TIMEOUT_SECONDS
from spillway.admission.review import MAX_BODY_BYTES, UNDECIDED, AdmissionRequest, Answer
from spillway.domain.model.additions import Addition

log: Final = structlog.get_logger(__name__)

_FULL_BYTES: Final = 1024 * 1024
"""The size from which on no question is added to a message; a single one is at most as large as an object in etcd as
JSON."""
_HEARTBEAT_SECONDS: Final = 10.0
_DRAIN_SECONDS: Final = LONGEST_TIMEOUT_SECONDS
_CLOSE_SECONDS: Final = 1.0


class Question(msgspec.Struct, frozen=True, array_like=True):
    """A question: a number for the reply, the seconds that are left, and the request."""

    number: int
    seconds: float
    request: AdmissionRequest


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The answer to the question of this number; `refused` if the leader has no answer of its own."""

    number: int
    additions: tuple[Addition, ...] = ()
    refused: bool = False


questions: Final = msgspec.json.Decoder(tuple[Question, ...])
replies: Final = msgspec.json.Decoder(tuple[Reply, ...])


class Outbox:
    """The outbox, which sends its items in batches: while one is being sent, further items wait for the next."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: list[bytes] = []
        self._some = asyncio.Event()

    def put(self, item: Question | Reply) -> None:
        """Queue an item to send; never waits."""
        self._waiting.append(msgspec.json.encode(item))
        self._some.set()

    async def run(self) -> None:
        """Send until cancelled.

        Raises:
            OSError: the connection is gone.
        """
        while True:
            await self._some.wait()
            await self.flush()

    async def flush(self) -> None:
        """Send the waiting items."""
        while self._waiting:
            await self._send(b"[" + b",".join(self._next()) + b"]")

    def _next(self) -> list[bytes]:
        size = count = 0
        for item in self._waiting:
            if count and size + len(item) > _FULL_BYTES:
                break
            size += len(item)
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        if not self._waiting:
            self._some.clear()
        return taken


class Answering:
    """The leader's end of all channels on one path. `answer` gets a request and its seconds, and never raises."""

    def __init__(self, answer: Callable[[AdmissionRequest, float], Awaitable[Answer]]) -> None:
        self._answer = answer
        self._channels: dict[web.WebSocketResponse, Outbox] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, http_request: web.Request) -> web.StreamResponse:
        """Answer the questions of one replica until it disconnects."""
        socket = web.WebSocketResponse(
            compress=False, heartbeat=_HEARTBEAT_SECONDS, timeout=_CLOSE_SECONDS, max_msg_size=MAX_BODY_BYTES
        )
        await socket.prepare(http_request)
        outbox = self._channels[socket] = Outbox(socket.send_bytes)
        sending = asyncio.create_task(outbox.run(), name="replies")
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.BINARY:
                    break
                for question in questions.decode(message.data):
                    task = asyncio.create_task(self._reply(question, outbox), name="question")
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        except msgspec.DecodeError as error:
            log.warning("a question of another replica cannot be decoded", error=str(error))
            await socket.close(code=aiohttp.WSCloseCode.INVALID_TEXT)
        finally:
            del self._channels[socket]
            sending.cancel()
            await asyncio.wait({sending})
            if not sending.cancelled() and (gone := sending.exception()) is not None:
                log.debug("a replica disconnected before it was answered", error=repr(gone))
        return socket

    async def _reply(self, question: Question, outbox: Outbox) -> None:
        answer = await self._answer(question.request, question.seconds)
        outbox.put(Reply(question.number, answer.additions, refused=answer.outcome in UNDECIDED))

    async def close(self, _: web.Application) -> None:
        """Answer the received questions, then close every channel."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_DRAIN_SECONDS)
        for socket, outbox in tuple(self._channels.items()):
            with suppress(OSError):
                await outbox.flush()
            await socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)
