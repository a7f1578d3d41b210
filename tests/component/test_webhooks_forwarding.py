"""One replica asks another over real TLS: answered, or let go in time, and never round in circles."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest

from spillway.webhooks.certificates import service_names
from spillway.webhooks.deadline import Deadline
from spillway.webhooks.forwarding import PATH, QUIET_SECONDS, TIMEOUTS, Forwarder
from spillway.webhooks.issuing import Lifetimes, Material, begin
from spillway.webhooks.review import Answer, PatchOperation, Request
from spillway.webhooks.server import AdmissionServer, Handler, LetGoError, Webhook
from spillway.webhooks.tls import ServingTls
from tests.support.fake_clock import FakeClock

NAME = "spillway-webhook.spillway-system.svc"
POD = {"metadata": {"generateName": "web-"}}


def _material() -> Material:
    return begin(service_names("spillway-webhook", "spillway-system"), Lifetimes(), datetime.now(UTC))


def _tls(material: Material, *, authorities: bool = True) -> ServingTls:
    tls = ServingTls()
    tls.load(material.serving_certificate, material.serving_key, material.bundle if authorities else b"")
    return tls


@asynccontextmanager
async def _leader(handler: Handler, tls: ServingTls) -> AsyncIterator[str]:
    server = AdmissionServer([Webhook("peers", PATH, handler, 5.0)], tls=tls.context, port=0, host="127.0.0.1")
    await server.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.stop()


@asynccontextmanager
async def _forwarder(
    leader: Callable[[], str], tls: ServingTls, clock: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[Forwarder]:
    forwarder = Forwarder(leader, lambda: tls.peers, NAME, clock)
    try:
        yield forwarder
    finally:
        await forwarder.close()


def _request() -> Request:
    raw = msgspec.Raw(msgspec.json.encode(POD))
    return Request(uid="u1", operation="CREATE", namespace="shop", dry_run=True, object=raw)


def _deadline(seconds: float = 5.0) -> Deadline:
    return Deadline(asyncio.get_running_loop().time, seconds)


@pytest.mark.parametrize("authorities", [True, False], ids=["own authority", "somebody else's certificate"])
async def test_the_leaders_patch_comes_back_as_it_is(authorities: bool) -> None:  # noqa: FBT001
    seen: list[Request] = []

    async def decide(request: Request, deadline: Deadline) -> Answer:
        seen.append(request)
        return Answer("virtual", (PatchOperation("add", "/metadata/annotations", {"a": "b"}),))

    tls = _tls(_material(), authorities=authorities)
    async with _leader(decide, tls) as address, _forwarder(lambda: address, tls) as forward:
        answer = await forward(_request(), _deadline())
    assert answer == Answer("forwarded", (PatchOperation("add", "/metadata/annotations", {"a": "b"}),))
    (request,) = seen
    assert (request.namespace, request.operation, request.dry_run) == ("shop", "CREATE", True)
    assert msgspec.json.decode(request.object) == POD


async def test_a_leader_that_lets_go_lets_the_pod_be_as_it_is() -> None:
    async def let_go(request: Request, deadline: Deadline) -> Answer:
        raise LetGoError("not-leader")

    tls = _tls(_material())
    async with _leader(let_go, tls) as address, _forwarder(lambda: address, tls) as forward:
        assert await forward(_request(), _deadline()) == Answer("forwarded")


async def test_nobody_is_asked_while_no_leader_is_known() -> None:
    async with _forwarder(lambda: "", _tls(_material())) as forward:
        with pytest.raises(LetGoError, match="forward-no-leader"):
            await forward(_request(), _deadline())
    async with _forwarder(lambda: "127.0.0.1:1", ServingTls()) as forward:
        with pytest.raises(LetGoError, match="forward-no-leader"):
            await forward(_request(), _deadline())


async def test_a_stranger_is_not_believed() -> None:
    async def decide(request: Request, deadline: Deadline) -> Answer:
        raise AssertionError("a stranger was told of the pod")

    async with _leader(decide, _tls(_material())) as address, _forwarder(lambda: address, _tls(_material())) as forward:
        with pytest.raises(LetGoError, match="forward-error"):
            await forward(_request(), _deadline())


async def test_a_leader_that_is_gone_costs_no_time() -> None:
    async with _forwarder(lambda: "127.0.0.1:1", _tls(_material())) as forward:
        with pytest.raises(LetGoError, match="forward-error"):
            await forward(_request(), _deadline())


async def test_a_leader_that_hangs_is_left_alone_for_a_while() -> None:
    async def hang(request: Request, deadline: Deadline) -> Answer:
        await asyncio.sleep(60)
        raise AssertionError("unreachable")

    tls, clock = _tls(_material()), FakeClock()
    async with _leader(hang, tls) as address, _forwarder(lambda: address, tls, clock.now) as forward:
        for _ in range(TIMEOUTS):
            with pytest.raises(LetGoError, match="forward-timeout"):
                await forward(_request(), _deadline(0.2))
        with pytest.raises(LetGoError, match="forward-quiet"):
            await forward(_request(), _deadline(0.2))
        await clock.advance(QUIET_SECONDS)
        with pytest.raises(LetGoError, match="forward-timeout"):
            await forward(_request(), _deadline(0.2))
