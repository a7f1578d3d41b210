"""The pages of a list: their order, their size, and what becomes of the request that is under way."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

import pytest

from spillway.kube.errors import TooLargeError
from spillway.kube.pages import PAGE_BYTES, PageLimit, page_of, pages


class Metadata(NamedTuple):
    next: str


class Page(NamedTuple):
    text: str
    metadata: Metadata


def decode(raw: bytes) -> Page:
    text, _, token = raw.decode().partition(">")
    return Page(text, Metadata(token))


class Server:
    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.cancelled = 0

    async def page(self, token: str) -> bytes:
        self.asked.append(token)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        answer = self.answers[token or "first"]
        if answer == "expired":
            raise RuntimeError(answer)
        return answer.encode()


async def test_pages_come_in_order_and_the_next_is_requested_meanwhile() -> None:
    server = Server(first="a>2", **{"2": "b>3", "3": "c"})
    seen = []
    async for page in pages(server.page, decode):
        await asyncio.sleep(0)
        seen.append((page.text, len(server.asked)))
    assert seen == [("a", 2), ("b", 3), ("c", 3)]


async def test_what_a_request_raises_is_raised() -> None:
    server = Server(first="a>2", **{"2": "expired"})
    with pytest.raises(RuntimeError, match="expired"):
        [page async for page in pages(server.page, decode)]


async def test_a_reader_that_stops_leaves_no_request_behind() -> None:
    server = Server(first="a>2", **{"2": "b"})
    async with aclosing(pages(server.page, decode)) as reading:
        await anext(reading)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert server.cancelled == 1


class Objects:
    """A list of so many large objects between small ones; a page holds 100 large ones at most."""

    def __init__(self, large: range) -> None:
        self.large = large
        self.limits: list[int] = []

    async def request(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, most_bytes: int = 0, **_: Any
    ) -> bytes:
        assert (method, path, most_bytes) == ("GET", "/pods", PAGE_BYTES)
        limit, start = int((params or {})["limit"]), int((params or {})["continue"] or 0)
        self.limits.append(limit)
        if len(set(range(start, start + limit)).intersection(self.large)) > 100:
            raise TooLargeError(most_bytes)
        return b"%d" % (start + limit)


async def test_a_page_that_is_too_large_is_asked_for_in_parts_and_then_in_larger_ones_again() -> None:
    objects, limit, token = Objects(range(2000, 2500)), PageLimit(2000), ""
    while int(token or 0) < 8000:
        token = (await page_of(objects, "/pods", limit, token)).decode()
    refused = sum(1 for now, then in zip(objects.limits, objects.limits[1:], strict=False) if then < now)
    assert objects.limits[:3] == [2000, 2000, 250]
    assert max(objects.limits[-2:]) == 2000
    assert refused < 10


async def test_an_object_that_is_too_large_by_itself_ends_the_list() -> None:
    class Huge(Objects):
        async def request(self, *_args: Any, **_params: Any) -> bytes:
            raise TooLargeError(PAGE_BYTES)

    with pytest.raises(TooLargeError):
        await page_of(Huge(range(0)), "/pods", PageLimit(2000), "")
