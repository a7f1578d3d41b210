"""An API server that fails as told: for faults that a real one does not make when asked.

It keeps namespaces, answers lists and watches of them from a log of changes, and takes orders: answer the next requests
with an error page, end a watch with 410, stall it, cut it in the middle of a line, answer slowly, forget old versions.
Everything that works is tried against a real API server.
"""

import asyncio
import gzip
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

import msgspec
from aiohttp import web

Object = dict[str, Any]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse | None]]

GONE = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "reason": "Expired",
    "code": 410,
    "message": "too old",
}


class FakeApi:
    """One resource, `/api/v1/namespaces`, on a port of its own. Use it as an async context manager."""

    def __init__(self) -> None:
        self.version = 1
        self.objects: dict[str, Object] = {}
        self.log: list[tuple[int, str, Object]] = []
        self.oldest = 0
        """Watches from before this version are answered with 410."""
        self.lists: list[dict[str, str]] = []
        """Query of each list request."""
        self.watches: list[dict[str, str]] = []
        self.list_answers: deque[Answer] = deque()
        """What to do with the next list requests instead of (None: before) answering them."""
        self.watch_answers: deque[Answer] = deque()
        self.bookmarks = True
        self.silent = False
        """Watches stay open and say nothing, nor end."""
        self._changed = asyncio.Condition()
        self._cut: list[asyncio.Event] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/api/v1/namespaces", self._get)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    # The cluster's side

    async def put(self, name: str, **labels: str) -> None:
        kind = "MODIFIED" if name in self.objects else "ADDED"
        self.version += 1
        self.objects[name] = {
            "metadata": {"name": name, "uid": f"uid-{name}", "labels": labels, "resourceVersion": str(self.version)}
        }
        await self._tell(kind, self.objects[name])

    async def delete(self, name: str) -> None:
        self.version += 1
        gone = self.objects.pop(name)
        await self._tell("DELETED", {"metadata": {**gone["metadata"], "resourceVersion": str(self.version)}})

    async def _tell(self, kind: str, thing: Object) -> None:
        self.log.append((self.version, kind, thing))
        async with self._changed:
            self._changed.notify_all()

    def forget(self) -> None:
        """Compact: older versions cannot be watched from any more."""
        self.oldest = self.version

    async def cut(self) -> None:
        """Close every open watch in the middle of a line."""
        for event in self._cut:
            event.set()
        async with self._changed:
            self._changed.notify_all()

    # The server's side

    async def _get(self, request: web.Request) -> web.StreamResponse:
        watching = request.query.get("watch") == "true"
        (self.watches if watching else self.lists).append(dict(request.query))
        answers = self.watch_answers if watching else self.list_answers
        if answers:
            instead = await answers.popleft()(request)
            if instead is not None:
                return instead
        return await self._watch(request) if watching else self._list(request)

    def _list(self, request: web.Request) -> web.Response:
        names = sorted(self.objects)
        start, limit = int(request.query.get("continue", "0")), int(request.query.get("limit", "0")) or len(names)
        page = names[start : start + limit]
        more = {"continue": str(start + limit)} if start + limit < len(names) else {}
        body = msgspec.json.encode(
            {
                "kind": "NamespaceList",
                "metadata": {"resourceVersion": str(self.version), **more},
                "items": [self.objects[name] for name in page],
            }
        )
        return web.Response(
            body=gzip.compress(body), content_type="application/json", headers={"Content-Encoding": "gzip"}
        )

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        at = int(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if at < self.oldest:
            await response.write(_line("ERROR", GONE))
            return response
        cut = asyncio.Event()
        self._cut.append(cut)
        with suppress(ConnectionError):
            try:
                async with asyncio.timeout(float(request.query["timeoutSeconds"]) if not self.silent else None):
                    await self._follow(response, at, cut)
            except TimeoutError:
                if self.bookmarks:
                    await response.write(_line("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}}))
        return response

    async def _follow(self, response: web.StreamResponse, at: int, cut: asyncio.Event) -> None:
        sent = 0
        while True:
            for version, kind, thing in self.log[sent:]:
                sent += 1
                if version > at and not self.silent:
                    await response.write(_line(kind, thing))
            if cut.is_set():
                await response.write(b'{"type":"MODIFIED","object":{"meta')
                raise ConnectionResetError
            async with self._changed:
                while not cut.is_set() and len(self.log) == sent:
                    await self._changed.wait()


def _line(kind: str, thing: Object) -> bytes:
    return msgspec.json.encode({"type": kind, "object": thing}) + b"\n"


def page(status: int, text: str, content_type: str = "text/html", **headers: str) -> Answer:
    """Answer with this page."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, content_type=content_type, headers=headers)

    return answer


def status(code: int, reason: str) -> Answer:
    """Answer as Kubernetes refuses."""
    body = msgspec.json.encode(
        {"kind": "Status", "status": "Failure", "reason": reason, "code": code, "message": reason}
    )
    return page(code, body.decode(), "application/json")


def slow(seconds: float) -> Answer:
    """Let the request wait, then answer it."""

    async def answer(_: web.Request) -> None:
        await asyncio.sleep(seconds)

    return answer
