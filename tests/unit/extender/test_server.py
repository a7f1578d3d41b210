"""The server of the extender over TLS: who is answered, and what."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from localcluster.certificates import Authority
from spillway.admission.authority import Lifetimes, begin
from spillway.admission.tls import ServingTls
from spillway.domain.model.names import NodeName
from spillway.extender.authority import ClientAuthorityFollower
from spillway.extender.server import PATH, SCHEDULER, ExtenderServer
from spillway.kube.errors import ApiError
from spillway.telemetry.registry import REGISTRY
from tests.support.fake_reader import FakeReader

SERVED = "spillway-webhook.spillway-system.svc"
ARGS = {"Pod": {"metadata": {"name": "p"}}, "Nodes": None, "NodeNames": ["a", "b"]}

Ask = Callable[..., Awaitable[tuple[int, Any]]]


class _Known:
    """The scores that the server has."""

    def __init__(self) -> None:
        self.scores: dict[str, int] | None = {"a": 3, "b": 10}

    def of(self, names: Sequence[NodeName]) -> list[int] | None:
        return None if self.scores is None else [self.scores[name] for name in names]


@pytest.fixture(scope="module")
def clients() -> Authority:
    """The authority of the API server's clients."""
    return Authority("clients")


@pytest.fixture
def known() -> _Known:
    return _Known()


@pytest.fixture
async def ask(clients: Authority, known: _Known, tmp_path: Path) -> AsyncIterator[Ask]:
    tls, serving = ServingTls(), begin([SERVED], Lifetimes(), datetime.now(UTC))
    tls.load(serving.serving_certificate, serving.serving_key)
    data = {"client-ca-file": clients.pair.certificate.decode()}
    assert await ClientAuthorityFollower(FakeReader(lambda _: {"data": data}), tls).turn()
    server = ExtenderServer(known.of, tls=tls.scheduler_context, port=0, host="127.0.0.1")
    await server.start()

    async def post(body: Any = ARGS, *, name: str = SCHEDULER, authority: Authority = clients) -> tuple[int, Any]:
        calling = ssl.create_default_context(cadata=serving.bundle.decode())
        if name:
            pair = authority.client(name)
            pair.write(tmp_path, "client")
            calling.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
        url = f"https://127.0.0.1:{server.port}{PATH}"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=BytesIO(json.dumps(body).encode()), ssl=calling, server_hostname=SERVED) as answer,
        ):
            is_json = answer.content_type == "application/json"
            return answer.status, await (answer.json() if is_json else answer.text())

    yield post
    await server.stop()


def counted(result: str) -> float:
    return REGISTRY.get_sample_value("spillway_extender_requests_total", {"result": result}) or 0.0


async def test_the_scheduler_gets_the_score_of_each_node_that_it_names(ask: Ask) -> None:
    before = counted("scored")
    assert await ask() == (200, [{"Host": "a", "Score": 3}, {"Host": "b", "Score": 10}])
    assert counted("scored") == before + 1


async def test_without_a_current_load_all_nodes_are_equal(ask: Ask, known: _Known) -> None:
    known.scores = None
    before = counted("equal")
    assert await ask() == (200, [{"Host": "a", "Score": 0}, {"Host": "b", "Score": 0}])
    assert counted("equal") == before + 1


@pytest.mark.parametrize("name", ["system:kube-controller-manager", "mallory"])
async def test_nobody_else_is_answered(ask: Ask, name: str) -> None:
    before = counted("refused")
    status, text = await ask(name=name)
    assert (status, "only system:kube-scheduler" in text) == (403, True)
    assert counted("refused") == before + 1


async def test_a_certificate_of_another_authority_gets_no_connection(ask: Ask) -> None:
    with pytest.raises(aiohttp.ClientError):
        await ask(authority=Authority("mallory"))


async def test_without_a_certificate_there_is_no_connection(ask: Ask) -> None:
    with pytest.raises((aiohttp.ClientError, OSError)):
        await ask(name="")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param({**ARGS, "NodeNames": None}, "nodeCacheCapable", id="whole nodes"),
        pytest.param({**ARGS, "NodeNames": "a"}, "not an ExtenderArgs", id="no list"),
        pytest.param([], "not an ExtenderArgs", id="no object"),
    ],
)
async def test_what_is_no_request_of_a_scheduler_is_refused_with_what_is_wrong(ask: Ask, body: Any, text: str) -> None:
    status, found = await ask(body)
    assert status == 400
    assert text in found


async def test_thousands_of_nodes_are_answered_in_one_request(ask: Ask, known: _Known) -> None:
    names = [f"ip-10-0-{number // 256}-{number % 256}.eu-central-1.compute.internal" for number in range(5000)]
    known.scores = dict.fromkeys(names, 7)
    status, found = await ask(
        {**ARGS, "NodeNames": names, "Pod": {"metadata": {"annotations": {"a": "x" * 1_500_000}}}}
    )
    assert (status, [one["Host"] for one in found]) == (200, names)


async def test_the_authority_is_followed_and_kept_while_it_cannot_be_read(clients: Authority) -> None:
    tls, data = ServingTls(), {"client-ca-file": clients.pair.certificate.decode()}
    answers = iter([ApiError(403, "Forbidden", "no"), {"data": data}, {"data": data}, {"data": {}}, {}])
    follower = ClientAuthorityFollower(FakeReader(lambda _: next(answers)), tls)
    assert [await follower.turn() for _ in range(5)] == [False, True, True, False, False]
    assert len(tls.scheduler_context.get_ca_certs()) == 1
    nonsense = ClientAuthorityFollower(FakeReader(lambda _: {"data": {"client-ca-file": "nonsense"}}), ServingTls())
    assert not await nonsense.turn()
