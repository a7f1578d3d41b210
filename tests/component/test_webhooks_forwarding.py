"""One replica asks another over real TLS: answered, or let go in time, and never round in circles."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
import msgspec
import pytest
from cryptography import x509

from spillway.admission.authority import Lifetimes, Material, _load_key, _new_serving, begin
from spillway.admission.certificates import service_names
from spillway.admission.deadline import Deadline
from spillway.admission.peer_server import PeerServer
from spillway.admission.peers import QUIET_SECONDS, TIMEOUTS, Forwarder
from spillway.admission.review import AdmissionRequest, Answer
from spillway.admission.server import Handler, LetGoError, Webhook
from spillway.admission.tls import ServingTls
from spillway.domain.model.additions import Addition
from tests.support.fake_clock import FakeClock

PATH = "/forwarded/questions"
NAME = "spillway-webhook.spillway-system.svc"
PATIENCE_SECONDS = 60.0
"""The time for an answer where a test is not about it."""
POD = {"metadata": {"generateName": "web-"}}


def _material() -> Material:
    return begin(service_names("spillway-webhook", "spillway-system"), Lifetimes(), datetime.now(UTC))


def next_serving(material: Material, names: Sequence[str]) -> Material:
    """Another serving certificate of the same authority."""
    certificate, key = _new_serving(
        x509.load_pem_x509_certificate(material.authorities[0]),
        _load_key(material.authority_key),
        names,
        timedelta(days=1),
        datetime.now(UTC),
    )
    return replace(material, serving_certificate=certificate, serving_key=key)


def _tls(material: Material, *, authorities: bool = True) -> ServingTls:
    tls = ServingTls()
    tls.load(material.serving_certificate, material.serving_key, material.bundle if authorities else b"")
    return tls


@asynccontextmanager
async def _leader(handler: Handler, tls: ServingTls) -> AsyncIterator[str]:
    server = PeerServer(
        [Webhook("peers", PATH, handler, PATIENCE_SECONDS)],
        tls=tls.peer_context,
        port=0,
        host="127.0.0.1",
        client_names=(NAME,),
    )
    await server.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.stop()


@asynccontextmanager
async def _forwarder(
    leader: Callable[[], str], tls: ServingTls, clock: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[Forwarder]:
    forwarder = Forwarder(PATH, leader, lambda: tls.peers, NAME, clock)
    try:
        yield forwarder
    finally:
        await forwarder.close()


def _request(uid: str = "u1", pod: object = POD) -> AdmissionRequest:
    raw = msgspec.Raw(msgspec.json.encode(pod))
    return AdmissionRequest(uid=uid, operation="CREATE", namespace="shop", dry_run=True, object=raw)


def _deadline(seconds: float = PATIENCE_SECONDS) -> Deadline:
    return Deadline(asyncio.get_running_loop().time, seconds)


@pytest.mark.parametrize("authorities", [True, False], ids=["own authority", "another certificate"])
async def test_the_leaders_patch_comes_back_as_it_is(authorities: bool) -> None:  # noqa: FBT001
    seen: list[AdmissionRequest] = []

    async def decide(request: AdmissionRequest, deadline: Deadline) -> Answer:
        seen.append(request)
        return Answer("virtual", (Addition(("metadata", "annotations"), {"a": "b"}),))

    tls = _tls(_material(), authorities=authorities)
    async with _leader(decide, tls) as address, _forwarder(lambda: address, tls) as forward:
        answer = await forward(_request(), _deadline())
    assert answer == Answer("forwarded", (Addition(("metadata", "annotations"), {"a": "b"}),))
    (request,) = seen
    assert (request.namespace, request.operation, request.dry_run) == ("shop", "CREATE", True)
    assert msgspec.json.decode(request.object) == POD


@pytest.mark.parametrize("error", [LetGoError("not-leader"), ValueError("a fault")])
async def test_what_the_leader_cannot_decide_may_be_decided_by_the_replica_that_asked(error: Exception) -> None:
    async def undecided(request: AdmissionRequest, deadline: Deadline) -> Answer:
        raise error

    tls = _tls(_material())
    async with _leader(undecided, tls) as address, _forwarder(lambda: address, tls) as forward:
        with pytest.raises(LetGoError, match="forward-refused"):
            await forward(_request(), _deadline())


async def test_many_questions_share_one_connection_and_each_gets_its_own_answer() -> None:
    """Slow answers do not hold up quick ones, and a big pod does not keep small ones from their place."""

    async def decide(request: AdmissionRequest, deadline: Deadline) -> Answer:
        await asyncio.sleep(0.02 if request.uid.endswith("7") else 0)
        return Answer("virtual", (Addition(("metadata", "name"), request.uid),))

    tls = _tls(_material())
    big = {"metadata": {"generateName": "web-", "annotations": {"a": "x" * 900_000}}}
    async with _leader(decide, tls) as address, _forwarder(lambda: address, tls) as forward:
        asked = [_request(f"u{index}", big if index % 50 == 0 else POD) for index in range(200)]
        answers = await asyncio.gather(*(forward(request, _deadline()) for request in asked))
    assert [answer.additions[0].value for answer in answers] == [request.uid for request in asked]


async def test_a_leader_at_another_address_is_asked_from_then_on() -> None:
    def named(name: str) -> Handler:
        async def decide(request: AdmissionRequest, deadline: Deadline) -> Answer:
            return Answer("virtual", (Addition(("metadata", "name"), name),))

        return decide

    tls, leader = _tls(_material()), [""]
    async with _leader(named("a"), tls) as a, _leader(named("b"), tls) as b, _forwarder(lambda: leader[0], tls) as ask:
        for leader[0], name in ((a, "a"), (b, "b"), (b, "b"), (a, "a")):
            assert (await ask(_request(), _deadline())).additions[0].value == name


async def test_a_leader_that_cannot_be_reached_does_not_hold_up_requests_to_the_next_one() -> None:
    async def decide(request: AdmissionRequest, deadline: Deadline) -> Answer:
        return Answer("virtual")

    tls = _tls(_material())
    silent = socket.create_server(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{silent.getsockname()[1]}"]
    async with _leader(decide, tls) as next_leader, _forwarder(lambda: addresses[0], tls) as forward:
        late = asyncio.create_task(forward(_request(), _deadline(3.0)))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(forward(_request(), _deadline(20.0)))
        await asyncio.sleep(0.05)
        addresses[0] = next_leader
        assert await waiting == Answer("forwarded")
        with pytest.raises(LetGoError, match="forward-timeout"):
            await late
    silent.close()


async def test_a_leader_that_ends_answers_first_what_it_was_asked() -> None:
    begun = asyncio.Event()

    async def decide(request: AdmissionRequest, deadline: Deadline) -> Answer:
        begun.set()
        await asyncio.sleep(0.1)
        return Answer("virtual", (Addition(("metadata", "name"), "late"),))

    tls = _tls(_material())
    leader = _leader(decide, tls)
    address = await leader.__aenter__()
    async with _forwarder(lambda: address, tls) as forward:
        asking = asyncio.create_task(forward(_request(), _deadline()))
        await begun.wait()
        await leader.__aexit__(None, None, None)
        assert (await asking).additions[0].value == "late"
        with pytest.raises(LetGoError, match="forward-error"):
            await forward(_request(), _deadline())


async def test_a_leader_that_comes_back_is_asked_again() -> None:
    async def decide(request: AdmissionRequest, deadline: Deadline) -> Answer:
        return Answer("virtual")

    tls, addresses = _tls(_material()), [""]
    async with _forwarder(lambda: addresses[0], tls) as forward:
        for _ in range(2):
            async with _leader(decide, tls) as addresses[0]:
                assert await forward(_request(), _deadline()) == Answer("forwarded")


async def test_a_leader_that_is_slow_for_some_is_not_left_alone() -> None:
    async def decide(request: AdmissionRequest, deadline: Deadline) -> Answer:
        if request.uid == "slow":
            await asyncio.sleep(60)
        return Answer("virtual")

    tls = _tls(_material())
    async with _leader(decide, tls) as address, _forwarder(lambda: address, tls) as forward:
        for _ in range(TIMEOUTS + 1):
            asking = asyncio.create_task(forward(_request("slow"), _deadline(0.3)))
            await asyncio.sleep(0.01)
            assert await forward(_request(), _deadline()) == Answer("forwarded")
            with pytest.raises(LetGoError, match="forward-timeout"):
                await asking


async def test_nobody_is_asked_while_no_leader_is_known() -> None:
    async with _forwarder(lambda: "", _tls(_material())) as forward:
        with pytest.raises(LetGoError, match="forward-no-leader"):
            await forward(_request(), _deadline())
    async with _forwarder(lambda: "127.0.0.1:1", ServingTls()) as forward:
        with pytest.raises(LetGoError, match="forward-no-leader"):
            await forward(_request(), _deadline())


async def test_a_stranger_is_not_believed() -> None:
    async def decide(request: AdmissionRequest, deadline: Deadline) -> Answer:
        raise AssertionError("a stranger was told of the pod")

    async with _leader(decide, _tls(_material())) as address, _forwarder(lambda: address, _tls(_material())) as forward:
        with pytest.raises(LetGoError, match="forward-error"):
            await forward(_request(), _deadline())


async def _refuse(request: AdmissionRequest, deadline: Deadline) -> Answer:
    raise AssertionError("a stranger was answered")


@pytest.mark.parametrize("shows", ["nothing", "a certificate of another authority"])
async def test_a_caller_that_is_no_replica_is_refused_by_tls(shows: str) -> None:
    plans = msgspec.json.encode([(1, 1.0, {"uid": "u", "object": [["o", f"invented-{n}", 1.0, []] for n in range(9)]})])
    calling = ssl.create_default_context()
    calling.check_hostname, calling.verify_mode = False, ssl.CERT_NONE
    if shows != "nothing":
        stranger = _tls(_material()).peers
        assert stranger is not None
        calling = stranger
        calling.check_hostname, calling.verify_mode = False, ssl.CERT_NONE
    async with _leader(_refuse, _tls(_material())) as address, aiohttp.ClientSession() as session:

        async def tell() -> None:
            async with session.ws_connect(f"wss://{address}{PATH}", ssl=calling) as socket:
                await socket.send_bytes(plans)
                await socket.receive_bytes(timeout=5)

        with pytest.raises((aiohttp.ClientError, OSError)):
            await tell()


async def test_a_certificate_of_the_same_authority_for_another_name_is_refused() -> None:
    """With cert-manager the authority may sign certificates of others."""
    material = _material()
    other = replace(material, serving_key=b"", serving_certificate=b"")
    other = next_serving(other, ["shop.default.svc"])
    async with _leader(_refuse, _tls(material)) as address, _forwarder(lambda: address, _tls(other)) as forward:
        with pytest.raises(LetGoError, match="forward-error"):
            await forward(_request(), _deadline())


async def test_a_replica_with_the_renewed_certificate_is_trusted_by_one_with_the_old() -> None:
    async def decide(request: AdmissionRequest, deadline: Deadline) -> Answer:
        return Answer("virtual")

    material = _material()
    renewed = next_serving(material, service_names("spillway-webhook", "spillway-system"))
    assert renewed.serving_key != material.serving_key
    addresses = [""]
    for leader, asking in ((material, renewed), (renewed, material)):
        async with (
            _leader(decide, _tls(leader)) as addresses[0],
            _forwarder(lambda: addresses[0], _tls(asking)) as forward,
        ):
            assert await forward(_request(), _deadline()) == Answer("forwarded")


async def test_a_leader_that_is_gone_costs_no_time() -> None:
    async with _forwarder(lambda: "127.0.0.1:1", _tls(_material())) as forward:
        with pytest.raises(LetGoError, match="forward-error"):
            await forward(_request(), _deadline())


async def test_a_leader_that_hangs_is_left_alone_for_a_while() -> None:
    async def hang(request: AdmissionRequest, deadline: Deadline) -> Answer:
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
