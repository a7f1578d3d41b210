"""The reader of unit tests: answers as a test tells it, and keeps what was read."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

from spillway.kube.errors import ApiError

Respond = Callable[[str], Any]
"""Given a path: the object, or the error to raise. None stands for an object that does not exist."""


class Lists:
    """The lists of a fake API server: those that its `get_json` answers with."""

    async def get_json(self, path: str) -> Any:
        raise NotImplementedError

    async def list_all(self, path: str) -> AsyncGenerator[dict[str, Any], None]:
        """As `KubeClient.list_all`."""
        for item in (await self.get_json(path)).get("items") or ():
            yield item


class FakeReader(Lists):
    """A `ListReader` and a `ByteReader` without an API server: what is in `objects`, else what `respond` says."""

    def __init__(self, respond: Respond = lambda _: None) -> None:
        self.objects: dict[str, Any] = {}
        """By path."""
        self.read: list[str] = []
        """Every path, in order."""
        self.answers = asyncio.Event()
        """Clear it, and nothing is answered until it is set."""
        self.answers.set()
        self.respond = respond

    async def get_json(self, path: str, **params: Any) -> Any:  # noqa: ARG002 - a test looks at the path
        """As `KubeClient.get_json`."""
        self.read.append(path)
        await self.answers.wait()
        found = self.objects[path] if path in self.objects else self.respond(path)
        if isinstance(found, Exception):
            raise found
        if found is None:
            raise ApiError(404, "NotFound", path)
        return found

    async def request(self, method: str, path: str) -> bytes:
        """As `KubeClient.request`."""
        assert method == "GET"
        return msgspec.json.encode(await self.get_json(path))
