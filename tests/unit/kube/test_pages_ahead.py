"""Pages that are requested before the page in front has arrived: their order, how many there are, and their end."""

import asyncio
import gc
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from spillway.kube.errors import ApiError, TooLargeError
from spillway.kube.pages_ahead import items_ahead
from spillway.kube.wire import PageMeta


class Numbers(msgspec.Struct):
    metadata: PageMeta
    items: list[int]


decode = msgspec.json.Decoder(Numbers).decode


class Server:
    """A list of so many numbers. A page is sent once it is released, after its beginning, which has the token."""

    def __init__(self, count: int, *, tells: bool = True, refuses: Mapping[int, Exception] | None = None) -> None:
        self.count = count
        self.tells = tells
        self.refuses = refuses or {}
        self.largest = 1000
        self.under_way: list[int] = []
        self.most = 0
        self.asked: list[tuple[int, int]] = []
        self.gate = asyncio.Event()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        beginning: Callable[[bytes], None] | None = None,
        **_: Any,
    ) -> bytes:
        assert (method, path) == ("GET", "/pods")
        assert params is not None
        assert beginning is not None
        limit, start = params["limit"], int(params["continue"] or 0)
        self.asked.append((start, limit))
        self.under_way.append(start)
        self.most = max(self.most, len(self.under_way))
        try:
            if start in self.refuses:
                raise self.refuses[start]
            end = min(start + limit, self.count)
            metadata = {"resourceVersion": "7", "continue": str(end) if end < self.count else ""}
            page = {"kind": "PodList", "metadata": metadata, "items": list(range(start, end))}
            if self.tells:
                beginning(msgspec.json.encode(page)[:2048])
            await self.gate.wait()
            await asyncio.sleep(0)
            if limit > self.largest:
                raise TooLargeError(self.largest)
            return msgspec.json.encode(page)
        finally:
            self.under_way.remove(start)


async def read(server: Server, limit: int = 10) -> list[int]:
    async with aclosing(items_ahead(server, "/pods", decode, limit=limit)) as found:
        return [item async for item in found]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 55])
@pytest.mark.parametrize("tells", [True, False], ids=["ahead", "one after the other"])
async def test_items_come_once_and_in_order(count: int, *, tells: bool) -> None:
    server = Server(count, tells=tells)
    server.gate.set()
    assert await read(server) == list(range(count))
    assert [start for start, _ in server.asked] == list(range(0, max(count, 1), 10))


async def test_the_next_page_is_requested_before_the_first_has_arrived_and_no_further_one() -> None:
    server = Server(100)
    reading = asyncio.create_task(read(server))
    await settle()
    assert server.under_way == [0, 10]
    server.gate.set()
    assert await reading == list(range(100))
    assert server.most == 2


async def test_without_a_beginning_one_page_is_under_way() -> None:
    server = Server(100, tells=False)
    reading = asyncio.create_task(read(server))
    await settle()
    assert server.under_way == [0]
    server.gate.set()
    await reading
    assert server.most == 1


async def test_a_page_that_is_too_large_is_asked_for_in_parts_and_what_follows_it_with_it() -> None:
    server = Server(200)
    server.largest = 20
    server.gate.set()
    assert await read(server, limit=160) == list(range(200))
    assert server.asked[0] == (0, 160)
    assert (0, 20) in server.asked
    assert server.under_way == []


async def test_an_error_of_a_page_comes_after_the_items_before_it() -> None:
    server = Server(30, refuses={10: ApiError(410, "Expired", "too old")})
    server.gate.set()
    found = items_ahead(server, "/pods", decode, limit=10)
    assert [await anext(found) for _ in range(10)] == list(range(10))
    with pytest.raises(ApiError, match="too old"):
        await anext(found)


async def test_a_reader_that_stops_leaves_no_request_behind_and_no_error_unseen() -> None:
    unseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    server = Server(100, refuses={20: ApiError(403, "Forbidden", "no")})
    server.gate.set()
    async with aclosing(items_ahead(server, "/pods", decode, limit=10)) as found:
        async for item in found:
            if item == 10:
                await settle()
                break
    await settle()
    gc.collect()
    assert (server.under_way, unseen) == ([], [])


@pytest.mark.parametrize(
    "beginning",
    [
        b'{"apiVersion":"spillway.dev/v1alpha1","items":[{"metadata":{"continue":"90"}}',
        b'{"metadata":{"continue":"90"',
        b'not JSON,"items":[',
    ],
    ids=["items come first", "cut off", "no list"],
)
async def test_a_beginning_without_a_token_before_the_items_changes_nothing(beginning: bytes) -> None:
    class Odd(Server):
        async def request(self, *args: Any, **named: Any) -> bytes:
            tell = named["beginning"]
            return await super().request(*args, **{**named, "beginning": lambda _: tell(beginning)})

    server = Odd(30)
    server.gate.set()
    assert await read(server) == list(range(30))
    assert server.most == 1
