"""The bounds of the servers that are built with aiohttp: a proper client is answered, whatever others send."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from localcluster import DEFAULT_WAIT_SECONDS
from spillway.admission import acceptor, guarded_connection
from spillway.admission.authority import Lifetimes, Material, begin
from spillway.admission.guarded_connection import GuardedConnection
from spillway.admission.http_server import CONNECTIONS_MAX, REQUEST_BYTES_MAX, HttpServer
from spillway.telemetry.registry import REGISTRY

HOST = "127.0.0.1"
HEAD = b"GET /page HTTP/1.1\r\nHost: spillway\r\n"
POST = b"POST /page HTTP/1.1\r\nHost: spillway\r\nContent-Length: 6\r\n\r\n"
LARGE = 8 * 1024 * 1024
"""More than the sockets of both sides hold of an answer that is not read."""


def counted(name: str, server: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"server": server, **labels}) or 0.0


def closed(server: str, reason: str) -> float:
    return counted("spillway_http_connections_closed_total", server, reason=reason)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
        while not holds():  # noqa: ASYNC110 - metrics have no events
            await asyncio.sleep(0.01)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A server of this test alone in the metrics."""
    return str(request.node.name)


@pytest.fixture
def sockets() -> Iterator[Callable[[int, int], list[socket.socket]]]:
    """Opens this many connections to a port."""
    with ExitStack() as stack:

        def opened(count: int, port: int) -> list[socket.socket]:
            found = [stack.enter_context(socket.socket()) for _ in range(count)]
            for one in found:
                one.setblocking(False)  # noqa: FBT003 - its only form
                with pytest.raises(BlockingIOError):
                    one.connect((HOST, port))
            return found

        yield opened


Sockets = Callable[[int, int], list[socket.socket]]
BothSides = tuple[ssl.SSLContext | None, ssl.SSLContext | None]


@asynccontextmanager
async def served(name: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpServer]:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="here")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(LARGE))

    async def read(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    application = web.Application()
    application.router.add_get("/page", page)
    application.router.add_post("/page", read)
    application.router.add_get("/large", large)
    server = HttpServer(name, HOST, 0, tls=tls)
    await server.start(application)
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
def material() -> Material:
    return begin(["localhost"], Lifetimes(), datetime.now(UTC))


@pytest.fixture
def tls(material: Material, tmp_path: Path) -> ssl.SSLContext:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(material.serving_certificate)
    key.write_bytes(material.serving_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.fixture
def trusting(material: Material) -> ssl.SSLContext:
    """Of a client that knows the server of `tls`."""
    return ssl.create_default_context(cadata=material.bundle.decode())


async def asked(session: aiohttp.ClientSession, url: str, tls: ssl.SSLContext | None = None) -> str:
    async with asyncio.timeout(DEFAULT_WAIT_SECONDS), session.get(url, ssl=tls or True) as response:
        assert response.status == 200
        return await response.text()


async def at_rest(server: HttpServer) -> GuardedConnection:
    """The only connection, once nothing goes on there."""
    [connection] = server._guard.connections
    await until(lambda: not connection.busy)
    return connection


async def half_asked(stack: ExitStack, port: int) -> None:
    """A connection that was answered, and on which half of the next request has arrived."""
    reader, writer = await asyncio.open_connection(HOST, port)
    stack.callback(writer.close)
    writer.write(HEAD + b"\r\n")
    await reader.readuntil(b"here")
    writer.write(HEAD)


def abort(writer: asyncio.StreamWriter) -> None:
    """Close although the answer was not read."""
    writer.transport.abort()


async def unread(stack: ExitStack, port: int, tls: ssl.SSLContext | None) -> None:
    """A connection on which a large answer is not read."""
    # The reader keeps the transport from reading once it holds more than twice its limit.
    _, writer = await asyncio.open_connection(
        HOST, port, limit=1024, ssl=tls, server_hostname="localhost" if tls else None
    )
    stack.callback(abort, writer)
    writer.write(HEAD.replace(b"/page", b"/large") + b"\r\n")


async def end_of(reader: asyncio.StreamReader) -> bytes:
    """What comes before the end of a connection."""
    async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def test_a_flood_of_connections_closes_none_that_is_in_use_and_leaves_room_for_new_ones(
    name: str, sockets: Sockets
) -> None:
    async with served(name) as server, aiohttp.ClientSession() as early, aiohttp.ClientSession() as late:
        url = f"http://{HOST}:{server.port}/page"
        assert await asked(early, url) == "here"
        sockets(3 * CONNECTIONS_MAX, server.port)
        await until(lambda: closed(name, "too-many") == 2 * CONNECTIONS_MAX + 1)
        assert counted("spillway_http_connections", name) == CONNECTIONS_MAX
        assert await asked(late, url) == "here"
        # A second connection would be a third in use.
        assert await asked(early, url) == "here"
        assert closed(name, "too-many") == 2 * CONNECTIONS_MAX + 2
    await until(lambda: counted("spillway_http_connections", name) == 0)


async def test_connections_that_were_answered_do_not_push_out_new_ones(name: str) -> None:
    """The kubelet opens a connection for each probe."""
    async with served(name) as server:

        def exceeded(times: int) -> bool:
            return closed(name, "too-many") == times

        with ExitStack() as stack:
            for _ in range(CONNECTIONS_MAX):
                await half_asked(stack, server.port)
            for number in range(5):
                reader, writer = await asyncio.open_connection(HOST, server.port)
                await until(partial(exceeded, 2 * number + 1))
                await half_asked(stack, server.port)
                assert exceeded(2 * number + 2)
                writer.write(HEAD + b"Connection: close\r\n\r\n")
                assert (await end_of(reader)).startswith(b"HTTP/1.1 200")
                writer.close()
                await half_asked(stack, server.port)


async def test_a_flood_of_half_handshakes_leaves_room_for_a_whole_one(
    name: str, sockets: Sockets, tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async with served(name, tls) as server, aiohttp.ClientSession() as session:
        sockets(2 * acceptor.HANDSHAKES_MAX, server.port)
        await until(lambda: closed(name, "handshakes") == acceptor.HANDSHAKES_MAX)
        assert await asked(session, f"https://localhost:{server.port}/page", trusting) == "here"
        assert counted("spillway_http_connections", name) == 1


async def test_a_handshake_that_takes_too_long_ends(
    name: str, sockets: Sockets, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "HANDSHAKE_SECONDS", 0.1)
    async with served(name, tls) as server:
        reader, writer = await asyncio.open_connection(HOST, server.port)
        assert await end_of(reader) == b""
        writer.close()


async def test_what_is_no_tls_ends_the_connection(name: str, tls: ssl.SSLContext) -> None:
    async with served(name, tls) as server:
        reader, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(HEAD + b"\r\n")
        assert b"here" not in await end_of(reader)
        writer.close()


@pytest.mark.parametrize(
    ("whole", "rest"),
    [
        (b"", HEAD),
        (b"", b"\r\n"),
        (b"", POST + b"half"),
        (HEAD + b"\r\n", HEAD),
        (POST + b"a body", HEAD),
        (HEAD + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", HEAD),
    ],
    ids=["half", "nothing", "half a body", "a second half", "a second half after a body", "after another protocol"],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "one after the other"])
async def test_a_request_that_does_not_arrive_whole_in_time_ends_the_connection(
    name: str, whole: bytes, rest: bytes, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    # The time of a second half begins with its arrival, and the whole request before it is to be answered meanwhile.
    monkeypatch.setattr(guarded_connection, "RECEIVE_SECONDS", 0.5)
    async with served(name) as server:
        reader, writer = await asyncio.open_connection(HOST, server.port)
        answer = b""
        if whole and not at_once:
            writer.write(whole)
            answer = await reader.readuntil(b"\r\n\r\n")
        writer.write(rest if answer else whole + rest)
        answer += await end_of(reader)
        assert answer.count(b"HTTP/1.1 200") == (1 if whole else 0)
        assert closed(name, "slow-request") == 1
        writer.close()


async def test_a_client_that_asks_again_and_again_is_not_closed_for_it(name: str) -> None:
    async with served(name) as server, aiohttp.ClientSession() as session:
        for _ in range(3):
            assert await asked(session, f"http://{HOST}:{server.port}/page") == "here"
            connection = await at_rest(server)
            assert not connection._timers
        async with session.post(f"http://{HOST}:{server.port}/page", data=b"a body") as response:
            assert await response.read() == b"a body"
        assert await at_rest(server) is connection
        assert not connection._timers


@pytest.mark.parametrize(
    "part",
    [b"X-%d: " + b"a" * 4000 + b"\r\n", b"X-%d: a\r\n"],
    ids=["long headers", "many headers"],
)
async def test_headers_are_bounded_together(name: str, part: bytes) -> None:
    async with served(name) as server:
        reader, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(HEAD + b"".join(part % number for number in range(2 * REQUEST_BYTES_MAX // len(part))))
        assert b"200 OK" not in await end_of(reader)
        writer.close()


async def test_a_body_that_nobody_wants_is_bounded(name: str) -> None:
    async with served(name) as server:
        reader, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(2 * REQUEST_BYTES_MAX))
        await end_of(reader)
        assert closed(name, "too-large") == 1
        writer.close()


async def test_a_user_of_many_groups_is_answered(name: str) -> None:
    async with served(name) as server:
        reader, writer = await asyncio.open_connection(HOST, server.port)
        groups = b"".join(b"X-Remote-Group: oidc:team-%d\r\n" % number for number in range(800))
        writer.write(HEAD + groups + b"Connection: close\r\n\r\n")
        assert (await end_of(reader)).startswith(b"HTTP/1.1 200")
        writer.close()


@pytest.fixture(params=["plain", "TLS"])
def both_sides(request: pytest.FixtureRequest) -> BothSides:
    """The contexts of a server and of its clients."""
    if request.param == "plain":
        return None, None
    return request.getfixturevalue("tls"), request.getfixturevalue("trusting")


async def test_answers_that_nobody_reads_are_bounded_together(name: str, both_sides: BothSides) -> None:
    server_side, client_side = both_sides
    async with served(name, server_side) as server, aiohttp.ClientSession() as session:
        with ExitStack() as stack:
            for _ in range(20):
                await unread(stack, server.port, client_side)
            await until(lambda: closed(name, "memory") > 0)
            held = [one.unsent_bytes for one in server._guard.connections]
            assert sum(held) <= guarded_connection.UNSENT_BYTES_MAX
            assert max(held) > guarded_connection.PIECE_BYTES, "not all of them had to be closed"
            page = f"{'https' if server_side else 'http'}://localhost:{server.port}/page"
            assert await asked(session, page, client_side) == "here"


async def test_a_client_that_does_not_read_its_answer_in_time_is_closed(
    name: str, both_sides: BothSides, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_connection, "RECEIVE_SECONDS", 0.1)
    server_side, client_side = both_sides
    async with served(name, server_side) as server:
        with ExitStack() as stack:
            await unread(stack, server.port, client_side)
            await until(lambda: closed(name, "slow-reader") == 1)
            await until(lambda: counted("spillway_http_connections", name) == 0)


async def test_a_large_answer_is_read_whole(name: str, both_sides: BothSides) -> None:
    server_side, client_side = both_sides
    async with served(name, server_side) as server, aiohttp.ClientSession() as session:
        url = f"{'https' if server_side else 'http'}://localhost:{server.port}"
        async with session.get(f"{url}/large", ssl=client_side or True) as response:
            assert response.content_length == LARGE
            assert await response.read() == bytes(LARGE)
        assert await asked(session, f"{url}/page", client_side) == "here"
        async with session.head(f"{url}/page", ssl=client_side or True) as response:
            assert (response.content_length, await response.read()) == (4, b"")
        assert not (await at_rest(server))._timers


async def test_the_stop_ends_handshakes_and_idle_connections(name: str, sockets: Sockets, tls: ssl.SSLContext) -> None:
    async with served(name, tls) as server:
        reader, writer = await asyncio.open_connection(HOST, server.port)
    assert await end_of(reader) == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, server.port)
