"""What is heard of Events about pods when the API server fails, and that nothing is asked while nothing is wanted."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from localcluster import DEFAULT_WAIT_SECONDS
from spillway.kube.auth import Credentials
from spillway.kube.client import KubeClient
from spillway.kube.pod_events import PodEvent, PodEvents, field_selector

STOCK = "involvedObject.kind=Pod,reason=NoStock"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def event(name: str, version: int = 5, *, age: float = 0.0, kind: str = "Pod") -> dict[str, Any]:
    return {
        "metadata": {"name": f"e-{name}", "resourceVersion": str(version)},
        "involvedObject": {"kind": kind, "namespace": "shop", "name": name, "uid": f"uid-{name}"},
        "reason": "NoStock",
        "message": "there is none",
        "lastTimestamp": datetime.fromtimestamp(NOW.timestamp() - age, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


class Server:
    """Lists `items`, two a page; each watch plays the next of `watches`, a list of lines, and then stays open."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.refusals: deque[int] = deque()
        self.watches: deque[list[Any]] = deque()
        self.asked: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        if request.query.get("watch") == "true":
            return await self._watch(request)
        if self.refusals:
            code = self.refusals.popleft()
            return web.json_response({"kind": "Status", "code": code, "reason": "X"}, status=code)
        start = int(request.query.get("continue", "0"))
        more = {"continue": str(start + 2)} if start + 2 < len(self.items) else {}
        page = {"metadata": {"resourceVersion": "9", **more}, "items": self.items[start : start + 2]}
        return web.json_response(page)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if self.watches:
            for kind, thing in self.watches.popleft():
                await response.write(msgspec.json.encode({"type": kind, "object": thing}) + b"\n")
            return response
        await asyncio.Event().wait()
        return response

    @property
    def watched_from(self) -> list[str]:
        return [query["resourceVersion"] for query in self.asked if query.get("watch")]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def start(server: Server) -> AsyncIterator[Callable[[], tuple[PodEvents, "asyncio.Queue[PodEvent]"]]]:
    app = web.Application()
    app.router.add_get("/api/v1/events", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    running: list[asyncio.Task[None]] = []

    async def hurry(_: float) -> None:
        await asyncio.sleep(0.01)

    async with KubeClient(Credentials(Configuration(host=f"http://{host}:{port}"), None)) as client:

        def begin() -> tuple[PodEvents, asyncio.Queue[PodEvent]]:
            heard: asyncio.Queue[PodEvent] = asyncio.Queue()
            events = PodEvents(client, sleep=hurry, now=NOW.timestamp)
            events.found.subscribe(heard.put_nowait)
            running.append(asyncio.create_task(events.run()))
            return events, heard

        yield begin
        for task in running:
            assert not task.done(), "it never ends by itself"
            task.cancel()
            await asyncio.wait({task})
    await runner.cleanup()


Start = Callable[[], tuple[PodEvents, "asyncio.Queue[PodEvent]"]]


async def names(heard: "asyncio.Queue[PodEvent]", count: int) -> list[str]:
    async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
        return [(await heard.get()).name for _ in range(count)]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
        while not holds():  # noqa: ASYNC110  # what is waited for happens in the server
            await asyncio.sleep(0.01)


async def test_young_ones_are_heard_from_the_list_and_the_rest_from_the_watch(server: Server, start: Start) -> None:
    server.items = [event("old", age=301.0), event("young", age=299.0), event("node", kind="Node")]
    server.watches.append([("ADDED", event("new", 12)), ("BOOKMARK", {"metadata": {"resourceVersion": "20"}})])
    events, heard = start()
    events.want(STOCK)
    assert await names(heard, 2) == ["young", "new"]
    await until(lambda: len(server.watched_from) == 2)
    assert server.watched_from == ["9", "20"], "it goes on from where it ended"
    assert {query["fieldSelector"] for query in server.asked} == {STOCK}


async def test_what_it_says_of_a_pod(server: Server, start: Start) -> None:
    server.watches.append([("MODIFIED", event("web-1"))])
    events, heard = start()
    events.want(STOCK)
    async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
        told = await heard.get()
    assert (told.uid, told.namespace, told.reason, told.message) == ("uid-web-1", "shop", "NoStock", "there is none")


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param([("ERROR", {"kind": "Status", "code": 410})], id="too old"),
        pytest.param([("ERROR", {"kind": "Status", "code": 500})], id="an error of its own"),
        pytest.param([("ADDED", {"metadata": 7})], id="no event"),
    ],
)
async def test_a_watch_that_ends_badly_is_begun_again(server: Server, start: Start, bad: list[Any]) -> None:
    server.watches.extend([bad, [("ADDED", event("after"))]])
    events, heard = start()
    events.want(STOCK)
    assert await names(heard, 1) == ["after"]


@pytest.mark.parametrize("code", [403, 429, 500])
async def test_a_refusal_is_waited_out(server: Server, start: Start, code: int) -> None:
    server.refusals.extend([code, code])
    server.watches.append([("ADDED", event("after"))])
    events, heard = start()
    events.want(STOCK)
    assert await names(heard, 1) == ["after"]


async def test_a_listener_that_fails_stops_nothing(server: Server, start: Start) -> None:
    server.watches.append([("ADDED", event("one")), ("ADDED", event("two"))])
    events, heard = start()

    def fail(_: PodEvent) -> None:
        raise RuntimeError

    events.found.subscribe(fail)
    events.want(STOCK)
    assert await names(heard, 2) == ["one", "two"]


async def test_nothing_is_asked_while_nothing_is_wanted(server: Server, start: Start) -> None:
    events, _ = start()
    await asyncio.sleep(0.05)
    assert server.asked == []
    events.want(STOCK)
    await until(lambda: bool(server.watched_from))
    events.want("involvedObject.kind=Pod,type=Warning")
    await until(lambda: len(server.watched_from) == 2)
    assert server.asked[-1]["fieldSelector"] == "involvedObject.kind=Pod,type=Warning"
    asked = len(server.asked)
    events.want("")
    await asyncio.sleep(0.05)
    assert len(server.asked) == asked


@pytest.mark.parametrize(
    ("reasons", "selector"),
    [
        ({"NoStock"}, STOCK),
        ({"NoStock", "SoldOut"}, "involvedObject.kind=Pod,type=Warning"),
        (None, "involvedObject.kind=Pod,type=Warning"),
    ],
)
def test_the_narrowest_selector(reasons: set[str] | None, selector: str) -> None:
    assert field_selector(reasons) == selector
