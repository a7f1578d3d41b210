"""The operator's answer as the command gets it, from a server of the API without TLS; and all the cases without one."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from spillway.admission.http_server import HttpServer
from spillway.cli import asking
from spillway.cli.asking import asked
from spillway.domain.explain.answers import PoolAnswer
from spillway.domain.explain.served import ExplainQuestion
from spillway.kube.client import KubeClient

POOL = {
    "kind": "Pool",
    "pool": "eci",
    "takesPods": True,
    "closedBecause": None,
    "cordon": "None",
    "nodes": 1,
    "nodesReady": 1,
    "pods": 0,
    "keptOutNamespaces": [],
    "policies": [],
    "workloads": [["Deployment/shop/web", 7]],
    "why": ["It takes pods."],
    "price": None,
    "changes": [],
    "keyOfANewerOperator": 1,
}
QUESTION = ExplainQuestion("pool", "eci")

Serve = Callable[[Callable[[web.Request], Any]], Any]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """A client of a server that answers each request by a function."""
    servers: list[HttpServer] = []
    clients: list[KubeClient] = []

    async def start(answer: Callable[[web.Request], Any]) -> KubeClient:
        application = web.Application()

        async def handle(request: web.Request) -> web.StreamResponse:
            found = answer(request)
            response: web.StreamResponse = await found if hasattr(found, "__await__") else found
            return response

        application.router.add_get("/{path:.*}", handle)
        server = HttpServer("test", "127.0.0.1", 0)
        await server.start(application)
        servers.append(server)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}],
            "users": [{"name": "test", "user": {"token": "t"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        client = await KubeClient.connect(str(path), patient=True)
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()
    for server in servers:
        await server.stop()


def _answer(document: object) -> web.Response:
    return web.Response(body=json.dumps(document), content_type="application/json")


async def test_the_answer_is_what_the_operator_says(serve: Serve) -> None:
    client = await serve(lambda _: _answer({"kind": "PoolExplanation", "answer": POOL}))

    found = await asked(client, QUESTION)

    assert isinstance(found, PoolAnswer)
    assert (found.pool, found.workloads) == ("eci", (("Deployment/shop/web", 7),))


@pytest.mark.parametrize(
    ("question", "path"),
    [
        (QUESTION, "/apis/explain.spillway.dev/v1alpha1/poolexplanations/eci"),
        (
            ExplainQuestion("workload", "sts/db", "shop"),
            "/apis/explain.spillway.dev/v1alpha1/namespaces/shop/workloadexplanations/db?kind=sts",
        ),
        (
            ExplainQuestion("pod", "pod/web-0", "shop"),
            "/apis/explain.spillway.dev/v1alpha1/namespaces/shop/podexplanations/web-0",
        ),
    ],
)
async def test_where_it_asks(serve: Serve, question: ExplainQuestion, path: str) -> None:
    paths: list[str] = []

    def answer(request: web.Request) -> web.Response:
        paths.append(request.path_qs)
        return _answer({"answer": POOL})

    await asked(await serve(answer), question)

    assert paths == [path]


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
async def test_a_refusal_is_no_answer(serve: Serve, status: int) -> None:
    assert await asked(await serve(lambda _: web.Response(status=status, text="no")), QUESTION) is None


@pytest.mark.parametrize(
    "body", [b"{}", b"<html>", b'{"answer": {"kind": "Unknown"}}', b'{"answer": {"kind": "Pool"}}']
)
async def test_what_cannot_be_read_is_no_answer(serve: Serve, body: bytes) -> None:
    assert await asked(await serve(lambda _: web.Response(body=body)), QUESTION) is None


@pytest.mark.parametrize(
    "question",
    [
        ExplainQuestion("pod", "deployment/web", "shop"),
        ExplainQuestion("node", "pod/web-0"),
        ExplainQuestion("pool", "a/b"),
    ],
)
async def test_a_name_of_another_kind_is_not_asked_for(serve: Serve, question: ExplainQuestion) -> None:
    def refuse(request: web.Request) -> web.Response:
        raise AssertionError(request.path)

    assert await asked(await serve(refuse), question) is None


async def test_the_answer_to_another_question_is_no_answer(serve: Serve) -> None:
    client = await serve(lambda _: _answer({"answer": POOL}))
    assert await asked(client, ExplainQuestion("node", "eci")) is None


async def test_a_busy_operator_is_asked_again(serve: Serve) -> None:
    refusals = [web.Response(status=HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": "0"})]

    client = await serve(lambda _: refusals.pop() if refusals else _answer({"answer": POOL}))

    assert isinstance(await asked(client, QUESTION), PoolAnswer)
    assert refusals == []


async def test_an_operator_that_does_not_answer_is_not_waited_for(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ASK_SECONDS", 0.05)
    asleep = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        await asleep.wait()
        return _answer({"answer": POOL})

    try:
        assert await asked(await serve(never), QUESTION) is None
    finally:
        asleep.set()


async def test_a_name_that_no_object_can_have_is_not_asked_for(serve: Serve) -> None:
    def refuse(request: web.Request) -> web.Response:
        raise AssertionError(request.path)

    assert await asked(await serve(refuse), ExplainQuestion("node", "../secrets")) is None
