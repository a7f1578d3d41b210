"""The HTTP of the admission server, byte by byte: what well-behaved, careless and hostile clients send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from spillway.admission import http_connection
from spillway.admission.deadline import Deadline
from spillway.admission.review import MAX_BODY_BYTES, AdmissionRequest, Answer
from spillway.admission.server import AdmissionServer, Webhook

BODY = b'{"request":{"uid":"u1"}}'
HEAD = b"POST /test HTTP/1.1\r\nHost: spillway\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
_WAIT_SECONDS = 30.0


class Client:
    """A client that sends bytes as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The status, the headers and the body of the next response."""
        async with asyncio.timeout(_WAIT_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers, body

    async def closed(self) -> bool:
        """Wait for the end; whether nothing more came before it."""
        async with asyncio.timeout(_WAIT_SECONDS):
            try:
                return await self._reader.read() == b""
            except ConnectionResetError:
                return True


@asynccontextmanager
async def _connected(*, gate: asyncio.Event | None = None) -> AsyncIterator[tuple[AdmissionServer, Client]]:
    async def handle(request: AdmissionRequest, deadline: Deadline) -> Answer:
        if gate is not None:
            await gate.wait()
        return Answer("unchanged")

    server = AdmissionServer([Webhook("test", "/test", handle, 30.0)], tls=None, port=0, host="127.0.0.1")
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield server, Client(reader, writer)
    finally:
        writer.close()
        await server.stop()


async def test_requests_follow_each_other_on_one_connection() -> None:
    async with _connected() as (_, client):
        for _ in range(3):
            await client.send(WHOLE)
            status, headers, body = await client.answer()
            assert status == 200
            assert headers["connection"] == "keep-alive"
            assert b'"uid":"u1"' in body


async def test_a_request_in_small_pieces_is_read() -> None:
    async with _connected() as (_, client):
        for start in range(0, len(WHOLE), 7):
            await client.send(WHOLE[start : start + 7])
            await asyncio.sleep(0)
        assert (await client.answer())[0] == 200


async def test_a_chunked_body_is_read() -> None:
    async with _connected() as (_, client):
        chunks = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
        await client.send(HEAD + chunks)
        assert (await client.answer())[0] == 200


async def test_a_client_that_waits_for_continue_is_told_to_go_on() -> None:
    async with _connected() as (_, client):
        await client.send(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert (await client.answer())[0] == 100
        await client.send(BODY)
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /test HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"POST /elsewhere HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", 404),
        (b"POST /test HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", 400),
    ],
)
async def test_what_is_refused_leaves_the_connection_open(sent: bytes, status: int) -> None:
    async with _connected() as (_, client):
        await client.send(sent)
        assert (await client.answer())[0] == status
        await client.send(WHOLE)
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="not HTTP"),
        pytest.param(HEAD + b"X: " + b"a" * 100_000 + b"\r\n\r\n", id="a long header"),
        pytest.param(b"POST /" + b"a" * 100_000, id="a long path"),
        pytest.param(HEAD + b"Content-Length: nonsense\r\n\r\n", id="no length"),
        pytest.param(HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", id="two lengths"),
    ],
)
async def test_what_is_no_request_is_answered_and_ends_the_connection(sent: bytes) -> None:
    async with _connected() as (_, client):
        await client.send(sent)
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (400, "close")
        assert await client.closed()


async def test_a_body_that_is_too_long_is_refused_before_it_is_all_there() -> None:
    async with _connected() as (_, client):
        await client.send(HEAD + b"Content-Length: %d\r\n\r\n" % (4 * MAX_BODY_BYTES))
        # The server closes while the client still sends.
        with pytest.raises(ConnectionError):
            await client.send(*[b"x" * 65536] * (4 * MAX_BODY_BYTES // 65536))


async def test_a_second_request_before_the_answer_ends_the_connection() -> None:
    gate = asyncio.Event()
    async with _connected(gate=gate) as (_, client):
        await client.send(WHOLE)
        await client.send(WHOLE)
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (400, "close")
        gate.set()
        assert await client.closed()


async def test_a_request_that_does_not_arrive_whole_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "RECEIVE_SECONDS", 0.2)
    async with _connected() as (_, client):
        await client.send(WHOLE[:-5])
        assert await client.closed()


async def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "KEEPALIVE_SECONDS", 0.2)
    async with _connected() as (_, client):
        await client.send(WHOLE)
        assert (await client.answer())[0] == 200
        assert await client.closed()


async def test_a_slow_answer_is_no_idle_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "KEEPALIVE_SECONDS", 0.1)
    monkeypatch.setattr(http_connection, "RECEIVE_SECONDS", 0.1)
    gate = asyncio.Event()
    async with _connected(gate=gate) as (_, client):
        await client.send(WHOLE)
        await asyncio.sleep(0.4)
        gate.set()
        assert (await client.answer())[0] == 200


async def test_a_client_that_has_sent_everything_gets_its_answer() -> None:
    gate = asyncio.Event()
    async with _connected(gate=gate) as (_, client):
        await client.send(WHOLE)
        client.writer.write_eof()
        await asyncio.sleep(0.1)
        gate.set()
        assert (await client.answer())[0] == 200


async def test_the_older_version_of_http_is_answered_once() -> None:
    async with _connected() as (_, client):
        await client.send(WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"))
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await client.closed()


async def test_a_server_that_stops_answers_what_it_has_received() -> None:
    gate = asyncio.Event()
    async with _connected(gate=gate) as (server, client):
        await client.send(WHOLE)
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.1)
        gate.set()
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        async with asyncio.timeout(_WAIT_SECONDS):
            await stopping
