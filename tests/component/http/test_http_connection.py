"""The HTTP of the admission server, byte by byte: what well-behaved, careless and hostile clients send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest

from localcluster import DEFAULT_WAIT_SECONDS
from spillway.admission import http_connection, server
from spillway.admission.connections import Connections
from spillway.admission.deadline import Deadline
from spillway.admission.http_connection import HttpResponse
from spillway.admission.review import MAX_BODY_BYTES, AdmissionRequest, Answer
from spillway.admission.server import AdmissionServer, Webhook

BODY = b'{"request":{"uid":"u1"}}'
HEAD = b"POST /test HTTP/1.1\r\nHost: spillway\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


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
        async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers, body

    async def closed(self) -> bool:
        """Wait for the end; whether nothing more came before it."""
        async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
            try:
                return await self._reader.read() == b""
            except ConnectionResetError:
                return True


@asynccontextmanager
async def _connected(
    *, gate: asyncio.Event | None = None, asked: asyncio.Event | None = None
) -> AsyncIterator[tuple[AdmissionServer, Client]]:
    async def handle(request: AdmissionRequest, deadline: Deadline) -> Answer:
        if asked is not None:
            asked.set()
        if gate is not None:
            await gate.wait()
        return Answer("unchanged")

    served = AdmissionServer([Webhook("test", "/test", handle, 30.0)], tls=None, port=0, host="127.0.0.1")
    await served.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        yield served, Client(reader, writer)
    finally:
        writer.close()
        await served.stop()


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


@pytest.mark.parametrize(
    "start", [HEAD + b"X: ", b"POST /", HEAD + b"X", HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;"]
)
async def test_a_line_without_an_end_is_cut_off(start: bytes) -> None:
    """The parser keeps a line until it is complete, so nothing but the bytes that arrived bounds it."""
    async with _connected() as (_, client):
        with pytest.raises(ConnectionError):
            await client.send(start, *[b"a" * 65536] * 1000)


@pytest.mark.parametrize("body", [b'{"request":{"uid":"\xff\xfe"}}', b'{"request":' + b"[" * 200_000])
async def test_a_body_that_cannot_be_decoded_leaves_the_connection_open(body: bytes) -> None:
    async with _connected() as (_, client):
        await client.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert (await client.answer())[0] == 400
        await client.send(WHOLE)
        assert (await client.answer())[0] == 200


async def test_a_defect_of_the_server_is_answered_and_leaves_the_connection_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(uid: str, answer: Answer) -> bytes:
        raise RuntimeError("a defect")

    async with _connected() as (_, client):
        with monkeypatch.context() as patched:
            patched.setattr(server, "encode_answer", fail)
            await client.send(WHOLE)
            assert (await client.answer())[0] == 500
        await client.send(WHOLE)
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        WHOLE.replace(b"Host:", b"Connection: Upgrade\r\nUpgrade: h2c\r\nHost:"),
        b"CONNECT elsewhere:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_another_protocol_is_refused_before_anything_is_decided(sent: bytes) -> None:
    asked = asyncio.Event()
    async with _connected(asked=asked) as (_, client):
        await client.send(sent)
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (400, "close")
        assert await client.closed()
    assert not asked.is_set()


class Unread(asyncio.Transport):
    """A transport whose peer reads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = True
        self.wrote = asyncio.Event()
        self.aborted = asyncio.Event()

    def is_closing(self) -> bool:
        return self.aborted.is_set()

    def write(self, _data: bytes | bytearray | memoryview) -> None:
        self.wrote.set()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.aborted.set()


async def _nothing_here(request: http_connection.HttpRequest, transport: asyncio.Transport) -> HttpResponse:
    return HttpResponse.text(HTTPStatus.NOT_FOUND, "nothing here")


@pytest.mark.parametrize(("reads_again", "seconds"), [(False, 0.1), (True, 1.0)])
async def test_a_client_that_does_not_read_its_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch, *, reads_again: bool, seconds: float
) -> None:
    monkeypatch.setattr(http_connection, "RECEIVE_SECONDS", seconds)
    connection, transport = http_connection.HttpConnection(_nothing_here, lambda: False, Connections("test")), Unread()
    connection.connection_made(transport)
    connection.data_received(WHOLE)
    connection.pause_writing()
    assert not transport.reading
    # What is answered meanwhile gives the client no more time.
    await asyncio.wait_for(transport.wrote.wait(), DEFAULT_WAIT_SECONDS)
    if reads_again:
        connection.resume_writing()
        assert transport.reading
        await asyncio.sleep(1.5 * seconds)
        assert not transport.aborted.is_set()
    else:
        await asyncio.wait_for(transport.aborted.wait(), DEFAULT_WAIT_SECONDS)
    connection.connection_lost(None)


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


async def test_a_server_that_stops_answers_what_it_is_receiving() -> None:
    async with _connected() as (served, client):
        await client.send(WHOLE[:-5])
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(served.stop())
        await asyncio.sleep(0.1)
        await client.send(WHOLE[-5:])
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
            await stopping


async def test_a_server_that_stops_answers_what_it_has_received() -> None:
    gate = asyncio.Event()
    async with _connected(gate=gate) as (served, client):
        await client.send(WHOLE)
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(served.stop())
        await asyncio.sleep(0.1)
        gate.set()
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
            await stopping
