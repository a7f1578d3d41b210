"""An API server that answers GETs only, for handlers under unit test."""

import asyncio
from typing import Any

import msgspec

from spillway.kube.errors import ApiError


class GetServer:
    """Answers GETs with what a test put there, 404 else; never while `silent`."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.silent = False

    async def request(self, method: str, path: str) -> bytes:
        """As `KubeClient.request`."""
        self.asked.append(f"{method} {path}")
        if self.silent:
            await asyncio.Event().wait()
        if path not in self.objects:
            raise ApiError(404, "NotFound", path)
        return msgspec.json.encode(self.objects[path])
