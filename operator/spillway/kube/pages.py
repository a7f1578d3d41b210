"""The pages of a list, in order, for every reader of lists.

Contract: the next page is requested while one is worked on. What a request raises is raised here: a reader that starts
again after an expired continue token (410) does so itself. Whoever may create objects decides how large they are, up to
a megabyte and more each: a page that is larger than `PAGE_BYTES` is not read, but requested again with fewer objects.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from spillway.kube.errors import TooLargeError

PAGE_BYTES: Final = 32 << 20
"""The size of a page as JSON: 2,000 usual pods have 14 MiB. Two pages are held at a time."""
_SHRINK: Final = 8
PAGE_SECONDS: Final = 60.0


class _Metadata(Protocol):
    @property
    def next(self) -> str:
        """The continue token; empty on the last page."""


class _Page(Protocol):
    @property
    def metadata(self) -> _Metadata:
        """The metadata of the list."""


class PageClient(Protocol):
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        timeout: float = PAGE_SECONDS,  # noqa: ASYNC109 - it bounds this one request
        most_bytes: int = 0,
        beginning: Callable[[bytes], None] | None = None,
    ) -> bytes:
        """The body of the answer."""


P = TypeVar("P", bound=_Page)
Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)


class PageOf(_Page, Protocol[Item_co]):
    @property
    def items(self) -> Sequence[Item_co] | None:
        """The items of the page."""


class PageLimit:
    """The number of objects in a page: fewer after one that was too large, and then more again."""

    def __init__(self, most: int) -> None:
        self._most = self.present = most

    def shrink(self) -> None:
        """Ask for fewer objects: the last page was too large."""
        self.present = max(1, self.present // _SHRINK)

    def grow(self) -> None:
        """Ask for more again: the last page was not too large."""
        self.present = min(self._most, self.present * 2)


async def page_of(
    client: PageClient,
    path: str,
    limit: PageLimit,
    token: str,
    *,
    params: Mapping[str, Any] | None = None,
    seconds: float = PAGE_SECONDS,
    beginning: Callable[[bytes], None] | None = None,
) -> bytes:
    """The page of the list at `path` that follows `token`, as the API server sends it.

    `beginning` gets its first bytes before the rest has arrived; again if the page is requested again.

    Raises:
        TooLargeError: a single object is larger than a page may be.

    """
    while True:
        wanted = {**(params or {}), "limit": limit.present, "continue": token or None}
        try:
            raw = await client.request(
                "GET", path, params=wanted, timeout=seconds, most_bytes=PAGE_BYTES, beginning=beginning
            )
        except TooLargeError:
            if limit.present == 1:
                raise
            limit.shrink()
        else:
            limit.grow()
            return raw


async def items_of(
    client: PageClient,
    path: str,
    decode: Callable[[bytes], PageOf[Item]],
    *,
    limit: int,
    params: Mapping[str, Any] | None = None,
) -> AsyncGenerator[Item, None]:
    """Every item of the list at `path`, `limit` to a page. Close it if it is not read to its end."""
    request = partial(page_of, client, path, PageLimit(limit), params=params)
    async with aclosing(pages(request, decode)) as found:
        async for page in found:
            for item in page.items or ():
                yield item


async def pages(
    request: Callable[[str], Coroutine[Any, Any, bytes]], decode: Callable[[bytes], P]
) -> AsyncGenerator[P, None]:
    """Every page; `request` gets one by its continue token, which is empty for the first."""
    following: asyncio.Task[bytes] | None = asyncio.create_task(request(""))
    try:
        while following is not None:
            page = decode(await following)
            token = page.metadata.next
            following = asyncio.create_task(request(token)) if token else None
            yield page
    finally:
        if following is not None:
            following.cancel()
