"""The pages of a list: their order, and what becomes of the request that is under way."""

import asyncio
from contextlib import aclosing
from typing import NamedTuple

import pytest

from spillway.kube.pages import pages


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
