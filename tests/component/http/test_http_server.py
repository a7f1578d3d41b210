"""The bounds of the servers that are built with aiohttp: a proper client is answered, whatever others send."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from localcluster import DEFAULT_WAIT_SECONDS
from spillway.admission import acceptor, guarded_connection
from spillway.admission.authority import Lifetimes, Material, begin
from spillway.admission.http_server import CONNECTIONS_MAX, REQUEST_BYTES_MAX, HttpServer
from spillway.telemetry.registry import REGISTRY

HOST = "127.0.0.1"
HEAD = b"GET /page HTTP/1.1\r\nHost: spillway\r\n"
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


@asynccontextmanager
async def served(name: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpServer]:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="here")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(LARGE))

    application = web.Application()
    application.router.add_get("/page", page)
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


async def asked(session: aiohttp.ClientSession, url: str, **headers: str) -> str:
    async with asyncio.timeout(DEFAULT_WAIT_SECONDS), session.get(url, headers=headers) as response:
        assert response.status == 200
        return await response.text()


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


async def test_a_flood_of_half_handshakes_leaves_room_for_a_whole_one(
    name: str, sockets: Sockets, tls: ssl.SSLContext, material: Material
) -> None:
    trusting = ssl.create_default_context(cadata=material.bundle.decode())
    async with served(name, tls) as server, aiohttp.ClientSession() as session:
        sockets(2 * acceptor.HANDSHAKES_MAX, server.port)
        await until(lambda: closed(name, "handshakes") == acceptor.HANDSHAKES_MAX)
        url = f"https://localhost:{server.port}/page"
        async with asyncio.timeout(DEFAULT_WAIT_SECONDS), session.get(url, ssl=trusting) as response:
            assert await response.text() == "here"
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


@pytest.mark.parametrize("sent", [HEAD, b"\r\n", HEAD + b"\r\n" + HEAD], ids=["half", "nothing", "a second half"])
async def test_a_request_that_does_not_arrive_whole_in_time_ends_the_connection(
    name: str, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_connection, "RECEIVE_SECONDS", 0.1)
    async with served(name) as server:
        reader, writer = await asyncio.open_connection(HOST, server.port)
        whole, _, rest = sent.partition(b"\r\n\r\n")
        if rest:
            writer.write(whole + b"\r\n\r\n")
            assert (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200")
        writer.write(rest or sent)
        assert await end_of(reader) == b""
        assert closed(name, "slow-request") == 1
        writer.close()


async def test_a_client_that_asks_again_and_again_is_not_closed_for_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_connection, "RECEIVE_SECONDS", 0.1)
    async with served(name) as server, aiohttp.ClientSession() as session:
        for _ in range(3):
            assert await asked(session, f"http://{HOST}:{server.port}/page") == "here"
            await asyncio.sleep(0.2)
        assert counted("spillway_http_connections", name) == 1
        assert closed(name, "slow-request") == 0


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


async def test_answers_that_nobody_reads_are_bounded_together(name: str, sockets: Sockets) -> None:
    async with served(name) as server, aiohttp.ClientSession() as session:
        flood = sockets(20, server.port)
        for one in flood:
            await asyncio.get_running_loop().sock_sendall(one, HEAD.replace(b"/page", b"/large") + b"\r\n")
        await until(lambda: closed(name, "memory") > 0)
        assert await asked(session, f"http://{HOST}:{server.port}/page") == "here"
        assert counted("spillway_http_connections", name) > 1, "not all of them had to be closed"


async def test_a_client_that_does_not_read_its_answer_in_time_is_closed(
    name: str, sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_connection, "RECEIVE_SECONDS", 0.1)
    async with served(name) as server:
        [one] = sockets(1, server.port)
        await asyncio.get_running_loop().sock_sendall(one, HEAD.replace(b"/page", b"/large") + b"\r\n")
        await until(lambda: closed(name, "slow-reader") == 1)
        await until(lambda: counted("spillway_http_connections", name) == 0)


async def test_a_large_answer_is_read_whole(name: str) -> None:
    async with served(name) as server, aiohttp.ClientSession() as session:
        async with session.get(f"http://{HOST}:{server.port}/large") as response:
            assert await response.read() == bytes(LARGE)
        assert await asked(session, f"http://{HOST}:{server.port}/page") == "here"


async def test_the_stop_ends_handshakes_and_idle_connections(name: str, sockets: Sockets, tls: ssl.SSLContext) -> None:
    async with served(name, tls) as server:
        reader, writer = await asyncio.open_connection(HOST, server.port)
    assert await end_of(reader) == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, server.port)
