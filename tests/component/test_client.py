"""The client against answers of every sort, and tokens that change while it runs."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from aiohttp import web
from kubernetes.aio.client import Configuration

from spillway.kube import auth
from spillway.kube import client as client_module
from spillway.kube.auth import Credentials
from spillway.kube.client import KubeClient
from spillway.kube.decode import NAMESPACES
from spillway.kube.errors import ApiError, UnreachableError
from spillway.kube.pages_ahead import items_ahead
from tests.support.fake_api import FakeApi, page, slow, status
from tests.support.fake_clock import FakeClock

PATH = "/api/v1/namespaces"


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as api:
        for name in "abc":
            await api.put(name)
        yield api


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[KubeClient]:
    async with KubeClient(Credentials(Configuration(host=api.url), None)) as client:
        yield client


async def test_a_list_page_by_page(client: KubeClient, api: FakeApi) -> None:
    assert [item["metadata"]["name"] async for item in client.list_all(PATH, limit=2)] == ["a", "b", "c"]
    assert len(api.lists) == 2


@pytest.mark.parametrize(
    ("answer", "code", "reason", "words", "after"),
    [
        (status(409, "Conflict"), 409, "Conflict", "Conflict", None),
        (page(502, "<html>bad gateway</html>"), 502, "Bad Gateway", "bad gateway", None),
        (page(429, "slow down", "text/plain", **{"Retry-After": "3"}), 429, "Too Many Requests", "slow down", 3.0),
        (page(500, ""), 500, "Internal Server Error", "", None),
    ],
)
async def test_every_refusal_is_one_error(
    client: KubeClient, api: FakeApi, *, answer: Any, code: int, reason: str, words: str, after: float | None
) -> None:
    api.list_answers.append(answer)
    with pytest.raises(ApiError) as caught:
        await client.get_json(PATH)
    assert (caught.value.status, caught.value.reason, caught.value.retry_after) == (code, reason, after)
    assert words in caught.value.message


async def test_two_pages_are_under_way_at_a_time() -> None:
    """A page is sent to its end only after the next one was requested, so that a reader who waited would hang."""
    requested = [asyncio.Event() for _ in range(3)]

    async def answer(request: web.Request) -> web.StreamResponse:
        number = int(request.query.get("continue", 0))
        requested[number].set()
        token = f',"continue":"{number + 1}"' if number < 2 else ""
        items = ",".join(f'{{"metadata":{{"name":"{number}-{index:04}"}}}}' for index in range(500))
        body = f'{{"kind":"NamespaceList","metadata":{{"resourceVersion":"7"{token}}},"items":[{items}]}}'.encode()
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"})
        await response.prepare(request)
        pack = zlib.compressobj(1, wbits=31)
        await response.write(pack.compress(body[:4096]) + pack.flush(zlib.Z_SYNC_FLUSH))
        if token:
            await requested[number + 1].wait()
        await response.write(pack.compress(body[4096:]) + pack.flush())
        return response

    app = web.Application()
    app.router.add_get(PATH, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with (
            asyncio.timeout(30),
            KubeClient(Credentials(Configuration(host=url), None)) as client,
            aclosing(items_ahead(client, PATH, NAMESPACES.page, limit=500)) as found,
        ):
            names = [item.metadata.name async for item in found]
    finally:
        await runner.cleanup()
    assert names == [f"{number}-{index:04}" for number in range(3) for index in range(500)]


@pytest.fixture
async def pauses(api: FakeApi) -> AsyncIterator[tuple[KubeClient, list[float]]]:
    """A patient client, and the pauses that it made without waiting for them."""
    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)

    credentials = Credentials(Configuration(host=api.url), None)
    async with KubeClient(credentials, patient=True, sleep=sleep) as client:
        yield client, made


async def test_a_patient_client_asks_again_when_the_server_asks_for_it(
    pauses: tuple[KubeClient, list[float]], api: FakeApi
) -> None:
    client, made = pauses
    starting = page(429, "storage is (re)initializing", "text/plain", **{"Retry-After": "1"})
    api.list_answers.extend([starting, page(503, "busy", "text/plain", **{"Retry-After": "0"}), starting])

    found = await client.get_json(PATH)

    assert [item["metadata"]["name"] for item in found["items"]] == ["a", "b", "c"]
    assert made == [1.0, 0.25, 1.0]


@pytest.mark.parametrize(
    ("code", "headers"),
    [(429, {}), (500, {}), (403, {"Retry-After": "1"}), (429, {"Retry-After": "31"})],
)
async def test_what_is_refused_for_good_or_for_longer_than_the_timeout_is_not_asked_again(
    pauses: tuple[KubeClient, list[float]], api: FakeApi, code: int, headers: dict[str, str]
) -> None:
    client, made = pauses
    api.list_answers.append(page(code, "no", "text/plain", **headers))
    with pytest.raises(ApiError) as caught:
        await client.get_json(PATH)
    assert caught.value.status == code
    assert not made


async def test_what_is_to_be_sent_once_is_sent_again_only_if_it_was_turned_away(
    pauses: tuple[KubeClient, list[float]], api: FakeApi
) -> None:
    client, made = pauses
    after = {"Retry-After": "1"}
    api.list_answers.extend([page(429, "busy", "text/plain", **after), page(503, "oops", "text/plain", **after)])
    with pytest.raises(ApiError, match="oops"):
        await client.request("GET", PATH, once=True)
    assert made == [1.0]


async def test_patience_ends_with_the_timeout_of_the_request(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(client_module, "time", SimpleNamespace(monotonic=clock.now))

    async def sleep(seconds: float) -> None:
        clock.forward(seconds)

    api.list_answers.extend([page(429, "later", "text/plain", **{"Retry-After": "20"})] * 5)
    async with KubeClient(Credentials(Configuration(host=api.url), None), patient=True, sleep=sleep) as client:
        with pytest.raises(ApiError, match="later"):
            await client.request("GET", PATH, timeout=39.0)
    assert len(api.lists) == 2


async def test_a_slow_answer_is_a_timeout(client: KubeClient, api: FakeApi) -> None:
    api.list_answers.append(slow(30))
    with pytest.raises(UnreachableError) as caught:
        await client.request("GET", PATH, timeout=0.1)
    assert caught.value.timed_out


@pytest.fixture
def kubeconfig(api: FakeApi, tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("first")
    path = tmp_path / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": api.url}}],
                "users": [{"name": "u", "user": {"tokenFile": str(tmp_path / "token")}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            }
        )
    )
    return path


async def test_a_token_that_was_replaced_is_read_again_after_a_refusal(
    api: FakeApi, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "_RELOAD_AFTER_REFUSAL_SECONDS", 0.0)
    tokens: list[str] = []

    async def check(request: web.Request) -> web.StreamResponse | None:
        tokens.append(request.headers["Authorization"])
        return None if tokens[-1] == "Bearer second" else web.Response(status=401, text="no")

    api.list_answers.extend([check] * 4)
    async with await KubeClient.connect(str(kubeconfig)) as client:
        (kubeconfig.parent / "token").write_text("second")
        await client.get_json(PATH)
        assert tokens == ["Bearer first", "Bearer second"]
        (kubeconfig.parent / "token").write_text("third")
        await client.get_json(PATH)
        assert tokens[-1] == "Bearer second", "what works is kept"


async def test_a_token_that_is_refused_for_good_is_an_error(api: FakeApi, kubeconfig: Path) -> None:
    api.list_answers.extend([status(401, "Unauthorized")] * 2)
    async with await KubeClient.connect(str(kubeconfig)) as client:
        with pytest.raises(ApiError) as caught:
            await client.get_json(PATH)
        assert caught.value.status == 401
        assert len(api.lists) == 1, "the account is not tried over and over"
