"""The items of a list whose pages the API server makes two at a time, for a reader who waits for all of them.

Contract: a page is requested as soon as the token of it is known, which the API server writes at the beginning of the
page before; so it works on two pages at once, and goes on while the reader decodes. At most two pages are held that
have not been decoded. An answer whose beginning does not show a token is read as `pages` reads it: one after the other.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Final

import msgspec

from spillway.kube.pages import Item, PageClient, PageLimit, PageOf, page_of
from spillway.kube.wire import PageMeta

_ITEMS: Final = b',"items":['

Request = Callable[[str, Callable[[bytes], None]], Coroutine[Any, Any, bytes]]
"""Gets a page by its continue token, and tells the beginning of it; once more if it has to be requested again."""


class _Head(msgspec.Struct):
    """What stands in front of the items of a list."""

    metadata: PageMeta


async def items_ahead(
    client: PageClient, path: str, decode: Callable[[bytes], PageOf[Item]], *, limit: int
) -> AsyncGenerator[Item, None]:
    """Every item of the list at `path`, `limit` to a page. Close it if it is not read to its end."""
    most = PageLimit(limit)

    def request(token: str, tell: Callable[[bytes], None]) -> Coroutine[Any, Any, bytes]:
        return page_of(client, path, most, token, beginning=tell)

    current: _Page | None = _Page(request, "")
    try:
        while current is not None:
            current.go_on()
            page = decode(await current.body)
            current.next_is(page.metadata.next)
            for item in page.items or ():
                yield item
            current = current.following
    finally:
        if current is not None:
            current.cancel()


class _Page:
    """A page that was requested, and the one after it."""

    def __init__(self, request: Request, token: str) -> None:
        self.token = token
        self.body = asyncio.create_task(request(token, self._begins))
        self.body.add_done_callback(_seen)
        self.following: _Page | None = None
        self._request = request
        self._next = ""
        self._goes_on = False

    def go_on(self) -> None:
        """Request the next page as soon as its token is known."""
        self._goes_on = True
        self.next_is(self._next)

    def next_is(self, token: str) -> None:
        """Note the token of the next page; empty if there is none, or if it is not known yet."""
        self._next = token
        if self.following is not None and self.following.token != token:
            # This page was requested again with fewer objects.
            self.following.cancel()
            self.following = None
        if self._goes_on and token and self.following is None:
            self.following = _Page(self._request, token)

    def cancel(self) -> None:
        """Give up this page and the next one."""
        self.body.cancel()
        if self.following is not None:
            self.following.cancel()

    def _begins(self, beginning: bytes) -> None:
        self.next_is(_token_in(beginning))


def _seen(body: asyncio.Task[bytes]) -> None:
    """Keep asyncio from logging an error: the reader of the page gets it, and of a page that is not read it is void."""
    if not body.cancelled():
        body.exception()


def _token_in(beginning: bytes) -> str:
    """The continue token at the beginning of a list; empty if there is none, or it does not stand before the items."""
    head, found, _ = beginning.partition(_ITEMS)
    if not found:
        return ""
    try:
        return msgspec.json.decode(head + b"}", type=_Head).metadata.next
    except msgspec.DecodeError:
        return ""
