"""One application on one address: its port, who else may listen there, and its end."""

import aiohttp
import pytest
from aiohttp import web

from spillway.admission.http_server import HttpServer, json_page, listen

HOST = "127.0.0.1"


def application() -> web.Application:
    found = web.Application()
    found.router.add_get("/page", json_page(lambda: b'{"a":1}'))
    return found


async def read(port: int) -> object:
    async with aiohttp.ClientSession() as session, session.get(f"http://{HOST}:{port}/page") as response:
        return await response.json()


async def test_the_system_chooses_a_port_that_is_served_until_the_stop() -> None:
    server = HttpServer("test", HOST, 0)
    await server.start(application())
    assert server.port > 0
    assert await read(server.port) == {"a": 1}
    await server.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await read(server.port)
    await server.stop()


async def test_a_port_has_two_servers_only_if_both_share_it() -> None:
    first = HttpServer("test", HOST, 0)
    await first.start(application())
    second = HttpServer("test", HOST, first.port)
    await second.start(application())
    with pytest.raises(OSError, match="in use"):
        await HttpServer("test", HOST, first.port, shared=False).start(application())
    await first.stop()
    assert await read(second.port) == {"a": 1}
    await second.stop()


def test_a_port_that_is_not_shared_is_refused_to_others() -> None:
    with listen(HOST, 0, shared=False) as alone, pytest.raises(OSError, match="in use"):
        listen(HOST, alone.getsockname()[1])
