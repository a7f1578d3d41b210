"""The pages of a list, in order, for every reader of lists.

Contract: the next page is requested while one is worked on. What a request raises is raised here: a reader that starts
again after an expired continue token (410) does so itself.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Protocol, TypeVar


class _Metadata(Protocol):
    @property
    def next(self) -> str:
        """The continue token; empty on the last page."""


class _Page(Protocol):
    @property
    def metadata(self) -> _Metadata:
        """The metadata of the list."""


P = TypeVar("P", bound=_Page)


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
