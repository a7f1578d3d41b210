"""What the informer does when the API server fails: each fault, and the state that stands after it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from localcluster import DEFAULT_WAIT_SECONDS
from spillway.domain.model.records import NamespaceRecord
from spillway.kube import decode, pages
from spillway.kube.auth import Credentials
from spillway.kube.client import KubeClient
from spillway.kube.errors import TooLargeError
from spillway.kube.informer import reflector
from spillway.kube.reflector import WatchSettings
from spillway.state.cluster import ClusterState
from tests.builders import make_state
from tests.support.fake_api import FakeApi, page, slow, status


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as api:
        for name in "abcde":
            await api.put(name)
        yield api


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[KubeClient]:
    async with KubeClient(Credentials(Configuration(host=api.url), None)) as client:
        yield client


@pytest.fixture
def state() -> ClusterState:
    return make_state()


@pytest.fixture
async def start(client: KubeClient, state: ClusterState) -> AsyncIterator[Callable[..., None]]:
    """Start the informer with settings of a hurry."""
    running: list[asyncio.Task[None]] = []

    def begin(**settings: float) -> None:
        wanted: dict[str, Any] = {
            "page_size": 2,
            "watch_seconds": 2,
            "silence_seconds": 3,
            "backoff_seconds": 0.02,
        } | settings
        watch = reflector(
            client,
            state,
            NamespaceRecord,
            "/api/v1/namespaces",
            decode.NAMESPACES,
            settings=WatchSettings(**wanted),
        )
        running.append(asyncio.create_task(watch.run()))

    yield begin
    for task in running:
        assert not task.done(), "the informer never ends by itself"
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - also what no event tells of
            await asyncio.sleep(0.01)


def holds(state: ClusterState, names: str) -> Callable[[], bool]:
    return lambda: set(state.namespaces) == set(names)


async def test_a_paged_list_then_changes(api: FakeApi, state: ClusterState, start: Callable[..., None]) -> None:
    start()
    await until(holds(state, "abcde"))
    assert [query.get("continue") for query in api.lists] == [None, "2", "4"]
    await until(lambda: bool(api.watches))
    assert api.watches[0]["resourceVersion"] == "6"
    assert api.watches[0]["allowWatchBookmarks"] == "true"
    await api.put("f")
    await api.delete("a")
    await api.put("b", team="x")
    await until(holds(state, "bcdef"))
    await until(lambda: state.namespaces["b"].labels == {"team": "x"})


async def test_a_page_that_is_too_large_is_read_in_parts(
    api: FakeApi, state: ClusterState, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", 1000)
    await api.put("large", text="v" * 600)
    start(page_size=8)
    await until(lambda: set(state.namespaces) == {*"abcde", "large"})
    assert {query["limit"] for query in api.lists} >= {"8", "1"}


@pytest.mark.parametrize("size", [500, 500_000], ids=["at once", "in pieces"])
async def test_an_answer_that_is_too_large_is_not_read(client: KubeClient, api: FakeApi, size: int) -> None:
    await api.put("large", text="v" * size)
    with pytest.raises(TooLargeError):
        await client.request("GET", "/api/v1/namespaces", most_bytes=1000)
    assert await client.request("GET", "/api/v1/namespaces", most_bytes=1_000_000)


async def test_a_watch_that_ends_is_resumed_where_it_was(
    api: FakeApi, state: ClusterState, start: Callable[..., None]
) -> None:
    start(watch_seconds=1)
    await until(lambda: len(api.watches) >= 1)
    await api.put("f")
    await until(lambda: len(api.watches) >= 3)
    assert api.watches[1]["resourceVersion"] == "7"
    assert len(api.lists) == 3, "nothing was listed again"
    await api.put("g")
    await until(holds(state, "abcdefg"))


async def test_a_stream_cut_in_a_line_loses_nothing(
    api: FakeApi, state: ClusterState, start: Callable[..., None]
) -> None:
    start()
    await until(lambda: len(api.watches) == 1)
    await asyncio.sleep(0.05)
    for round_ in range(5):
        await api.put(f"cut{round_}")
        await api.cut()
        await api.put(f"after{round_}")
        await until(lambda count=round_: f"after{count}" in state.namespaces and f"cut{count}" in state.namespaces)  # type: ignore[misc]
    assert len(api.lists) == 3


async def test_gone_in_the_middle_lists_again_and_removes_what_is_not_there_any_more(
    api: FakeApi, state: ClusterState, start: Callable[..., None]
) -> None:
    heard: list[tuple[str | None, str | None]] = []
    start(watch_seconds=1)
    await until(lambda: len(api.watches) == 1)
    state.subscribe(
        NamespaceRecord, lambda old, new: heard.append((old.name if old else None, new.name if new else None))
    )
    api.watch_answers.append(status(410, "Expired"))
    await api.cut()
    await until(lambda: len(api.lists) == 6)
    assert state.synced is False, "the other resources were never listed here"
    await until(lambda: len(api.watches) >= 3)
    assert heard == [], "a list of what is known already is no news"

    api.silent = True  # what changes now is not heard
    await api.cut()
    await until(lambda: len(api.watches) >= 4)
    await api.delete("a")
    await api.put("b", team="y")
    await api.put("z")
    api.forget()
    api.silent = False
    await api.cut()
    await until(holds(state, "bcdez"))
    assert sorted(heard, key=str) == sorted([("b", "b"), (None, "z"), ("a", None)], key=str)


async def test_a_silent_watch_is_given_up(api: FakeApi, state: ClusterState, start: Callable[..., None]) -> None:
    start(watch_seconds=0.5, silence_seconds=0.7)
    await until(lambda: len(api.watches) == 1)
    api.silent = True
    await until(lambda: len(api.watches) >= 2)
    await api.put("f")
    assert "f" not in state.namespaces
    api.silent = False
    await until(holds(state, "abcdef"))


@pytest.mark.parametrize(
    "answer",
    [
        page(500, "<html>oops</html>"),
        page(200, "<html>a captive portal</html>"),
        page(200, '{"kind":"Namespa', "application/json"),
        status(429, "TooManyRequests"),
        status(403, "Forbidden"),
        status(410, "Expired"),
        page(503, "", "text/plain", **{"Retry-After": "1"}),
    ],
    ids=["500", "html-200", "half", "429", "403", "410", "503"],
)
async def test_a_list_that_fails_is_tried_until_it_works(
    api: FakeApi, state: ClusterState, start: Callable[..., None], answer: object
) -> None:
    api.list_answers.extend([answer] * 3)  # type: ignore[list-item]
    start()
    await until(holds(state, "abcde"))
    await api.put("f")
    await until(holds(state, "abcdef"))


async def test_a_page_in_the_middle_that_fails_is_asked_for_again(
    api: FakeApi, state: ClusterState, start: Callable[..., None]
) -> None:
    api.list_answers.extend([slow(0), status(500, "InternalError"), status(504, "Timeout")])
    start()
    await until(holds(state, "abcde"))
    assert [query.get("continue") for query in api.lists] == [None, "2", "2", "2", "4"]


async def test_an_expired_token_starts_the_list_again(
    api: FakeApi, state: ClusterState, start: Callable[..., None]
) -> None:
    api.list_answers.extend([slow(0), status(410, "Expired")])
    start()
    await until(holds(state, "abcde"))
    assert [query.get("continue") for query in api.lists] == [None, "2", None, "2", "4"]


async def test_a_slow_page_is_given_up_and_asked_for_again(
    api: FakeApi, state: ClusterState, start: Callable[..., None]
) -> None:
    api.list_answers.append(slow(30))
    start(page_seconds=0.2)
    await until(holds(state, "abcde"))


@pytest.mark.parametrize(
    "answer", [page(200, ""), page(200, "<html>\n"), status(500, "InternalError"), status(403, "Forbidden")]
)
async def test_a_watch_that_fails_is_opened_again_without_a_list(
    api: FakeApi, state: ClusterState, start: Callable[..., None], answer: object
) -> None:
    api.watch_answers.extend([answer] * 3)  # type: ignore[list-item]
    start()
    await until(lambda: len(api.watches) >= 4)
    await api.put("f")
    await until(holds(state, "abcdef"))
    assert len(api.lists) == 3


async def test_failing_watches_are_opened_less_and_less_often(
    api: FakeApi, state: ClusterState, start: Callable[..., None]
) -> None:
    opened: list[float] = []
    empty = page(200, "")

    async def answer(request: web.Request) -> web.StreamResponse | None:
        opened.append(asyncio.get_running_loop().time())
        return await empty(request)

    api.watch_answers.extend([answer] * 1000)
    start(backoff_seconds=0.05)
    await until(lambda: len(opened) >= 5)
    pauses = [later - earlier for earlier, later in pairwise(opened[:5])]
    # Jitter takes up to half of a pause; a busy machine makes it longer, never shorter.
    assert all(pause >= 0.05 / 2 * 2**number for number, pause in enumerate(pauses)), pauses


async def test_a_listener_that_raises_does_not_end_the_watch(
    api: FakeApi, state: ClusterState, start: Callable[..., None]
) -> None:
    def broken(_: NamespaceRecord | None, __: NamespaceRecord | None) -> None:
        raise RuntimeError("no")

    state.subscribe(NamespaceRecord, broken)
    start()
    await until(holds(state, "abcde"))
    await api.put("f")
    await until(holds(state, "abcdef"))


async def test_changes_of_one_object_come_in_order(
    api: FakeApi, state: ClusterState, start: Callable[..., None]
) -> None:
    heard: list[int] = []
    state.subscribe(NamespaceRecord, lambda _, new: heard.append(int(new.labels["n"])) if new and new.labels else None)
    start()
    await until(lambda: len(api.watches) == 1)
    await asyncio.sleep(0.05)
    for number in range(300):
        await api.put("a", n=str(number))
        if number % 100 == 50:
            await api.cut()
    await until(lambda: bool(heard) and heard[-1] == 299)
    assert heard == list(range(300))


def test_a_silence_shorter_than_a_watch_is_refused() -> None:
    with pytest.raises(ValueError, match="silence_seconds"):
        WatchSettings(watch_seconds=30, silence_seconds=30)
