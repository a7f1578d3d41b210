"""The server as the API server sees it: over TLS, whatever its handlers do."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from spillway.admission.authority import Lifetimes, Material, begin
from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer, Denial
from spillway.admission.server import AdmissionServer, Handler, LetGoError, Webhook
from spillway.admission.tls import ServingTls
from spillway.telemetry import admission as metrics

REVIEW = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u1", "name": "web"}}


def _material() -> Material:
    return begin(("localhost", "127.0.0.1"), Lifetimes(), datetime.now(UTC))


@asynccontextmanager
async def _served(handler: Handler, *, bound_seconds: float = 1.0) -> AsyncIterator[str]:
    server = AdmissionServer([Webhook("test", "/test", handler, bound_seconds)], tls=None, port=0, host="127.0.0.1")
    await server.start()
    try:
        yield f"http://127.0.0.1:{server.port}/test"
    finally:
        await server.stop()


async def _ask(url: str, **arguments: Any) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.post(url, json=REVIEW, **arguments) as answer:
        assert answer.status == 200
        response: dict[str, Any] = (await answer.json())["response"]
        return response


async def _raise(request: AdmissionRequest, deadline: Deadline) -> Answer:
    raise RuntimeError("a defect")


async def _hang(request: AdmissionRequest, deadline: Deadline) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def _let_go(request: AdmissionRequest, deadline: Deadline) -> Answer:
    raise LetGoError("no-idea")


async def _refuse(request: AdmissionRequest, deadline: Deadline) -> Answer:
    return Answer("refused", denials=(Denial("is wrong, for example right", "spec.a"),))


async def test_an_exception_inside_is_allowed_and_counted() -> None:
    errors = metrics.ERRORS.labels("test")
    before = errors._value.get()
    async with _served(_raise) as url:
        assert await _ask(url) == {"uid": "u1", "allowed": True}
    assert errors._value.get() == before + 1


async def test_a_handler_that_hangs_is_let_go_in_time() -> None:
    timeouts = metrics.LET_GO.labels("test", "timeout")
    before = timeouts._value.get()
    async with _served(_hang, bound_seconds=0.1) as url:
        assert await _ask(url) == {"uid": "u1", "allowed": True}
    assert timeouts._value.get() == before + 1


async def test_the_api_servers_own_patience_bounds_too() -> None:
    async with asyncio.timeout(10), _served(_hang, bound_seconds=3600.0) as url:
        assert (await _ask(f"{url}?timeout=300ms"))["allowed"]


async def test_why_a_request_was_let_go_is_counted() -> None:
    reasons = metrics.LET_GO.labels("test", "no-idea")
    before = reasons._value.get()
    async with _served(_let_go) as url:
        assert (await _ask(url))["allowed"]
    assert reasons._value.get() == before + 1


async def test_a_refusal_reaches_the_user() -> None:
    async with _served(_refuse) as url:
        answer = await _ask(url)
    assert not answer["allowed"]
    assert answer["status"]["message"] == "spec.a: is wrong, for example right"


async def test_what_is_no_review_is_a_bad_request() -> None:
    async with (
        _served(_refuse) as url,
        aiohttp.ClientSession() as session,
        session.post(url, data=b"nonsense") as answer,
    ):
        assert answer.status == 400


async def test_two_servers_share_a_port() -> None:
    """What lets two replicas run on one host, and an upgrade overlap."""
    asked: list[str] = []

    def named(name: str) -> Handler:
        async def handle(request: AdmissionRequest, deadline: Deadline) -> Answer:
            asked.append(name)
            return Answer("unchanged")

        return handle

    first = AdmissionServer([Webhook("test", "/test", named("first"), 1.0)], tls=None, port=0, host="127.0.0.1")
    await first.start()
    second = AdmissionServer(
        [Webhook("test", "/test", named("second"), 1.0)], tls=None, port=first.port, host="127.0.0.1"
    )
    await second.start()
    url = f"http://127.0.0.1:{first.port}/test"
    try:
        for _ in range(50):
            await _ask(url)
        assert set(asked) == {"first", "second"}
        await first.stop()
        asked.clear()
        for _ in range(20):
            await _ask(url)
        assert set(asked) == {"second"}
    finally:
        await first.stop()
        await second.stop()


async def test_a_draining_server_answers_and_ends_each_connection() -> None:
    """A kept connection would stay with this replica until it stops, and the last request on it could be lost."""
    server = AdmissionServer([Webhook("test", "/test", _refuse, 1.0)], tls=None, port=0, host="127.0.0.1")
    await server.start()
    url = f"http://127.0.0.1:{server.port}/test"
    try:
        async with aiohttp.ClientSession() as session:
            async with session.post(url, json=REVIEW) as kept:
                assert kept.headers.get("Connection", "keep-alive") == "keep-alive"
            server.drain()
            async with session.post(url, json=REVIEW) as last:
                assert (await last.json())["response"]["allowed"] is False
                assert last.headers["Connection"] == "close"
        assert (await _ask(url))["allowed"] is False
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("names", "shows", "expected"),
    [
        pytest.param((), None, None, id="no certificate"),
        pytest.param((), "another", None, id="another authority's"),
        pytest.param((), "own", 200, id="any name of the authority"),
        pytest.param(("localhost",), "own", 200, id="a name that is allowed"),
        pytest.param(("apiserver",), "own", 403, id="a name that is not"),
    ],
)
async def test_with_a_clients_authority_nobody_else_is_answered(
    names: tuple[str, ...], shows: str | None, expected: int | None
) -> None:
    async def allow(request: AdmissionRequest, deadline: Deadline) -> Answer:
        return Answer("unchanged")

    serving, clients = _material(), _material()
    tls = ServingTls(client_authorities=clients.bundle.decode())
    tls.load(serving.serving_certificate, serving.serving_key)
    calling = ServingTls()
    shown = clients if shows == "own" else _material()
    calling.load(shown.serving_certificate, shown.serving_key, serving.bundle)
    context = calling.peers if shows else ssl.create_default_context(cadata=serving.bundle.decode())
    assert context is not None
    webhook = Webhook("test", "/test", allow, 1.0)
    server = AdmissionServer([webhook], tls=tls.context, port=0, host="127.0.0.1", client_names=names)
    await server.start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            asking = session.post(f"https://localhost:{server.port}/test", json=REVIEW)
            if expected is None:
                with pytest.raises((aiohttp.ClientError, OSError)):
                    await asking
            else:
                async with asking as answer:
                    assert answer.status == expected
    finally:
        await server.stop()


async def test_a_new_certificate_is_shown_while_old_connections_stand() -> None:
    async def allow(request: AdmissionRequest, deadline: Deadline) -> Answer:
        return Answer("unchanged")

    tls = ServingTls()
    old, new = _material(), _material()
    tls.load(old.serving_certificate, old.serving_key)
    server = AdmissionServer([Webhook("test", "/test", allow, 1.0)], tls=tls.context, port=0, host="127.0.0.1")
    await server.start()
    url = f"https://localhost:{server.port}/test"

    def trusting(material: Material) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=material.bundle.decode()))

    try:
        async with aiohttp.ClientSession(connector=trusting(old)) as standing:
            async with standing.post(url, json=REVIEW) as answer:
                assert answer.status == 200
            assert tls.load(new.serving_certificate, new.serving_key)
            async with standing.post(url, json=REVIEW) as answer:
                assert answer.status == 200
        async with aiohttp.ClientSession(connector=trusting(new)) as fresh, fresh.post(url, json=REVIEW) as answer:
            assert answer.status == 200
        async with aiohttp.ClientSession(connector=trusting(old)) as late:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await late.post(url, json=REVIEW)
    finally:
        await server.stop()
