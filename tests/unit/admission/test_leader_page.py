"""The leader's page between two replicas, over their mutual TLS."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from spillway.admission import leader_page
from spillway.admission.authority import Lifetimes, begin
from spillway.admission.leader_page import FETCH_SECONDS, FRESH_SECONDS, LeaderPage
from spillway.admission.peer_server import PeerServer
from spillway.admission.tls import ServingTls
from tests.support.fake_clock import FakeClock

PATH = "/scaling/recommendations"
NAME = "spillway-webhook.spillway-system.svc"


class _Replicas:
    """A leader that serves a page, and another replica that reads it."""

    def __init__(self) -> None:
        material = begin((NAME, "localhost"), Lifetimes(), datetime.now(UTC))
        self.tls = ServingTls()
        self.tls.load(material.serving_certificate, material.serving_key, material.bundle)
        self.clock = FakeClock()
        self.says = b'{"Deployment/shop/cart":12}'
        self.reads = 0
        self.server = PeerServer(
            [], tls=self.tls.peer_context, port=0, host="127.0.0.1", client_names=(NAME,), pages={PATH: self._content}
        )
        self.address = ""
        self.page = LeaderPage(PATH, lambda: self.address, lambda: self.tls.peers, NAME, self.clock.now)

    def _content(self) -> bytes:
        self.reads += 1
        return self.says


@pytest.fixture
async def replicas() -> AsyncIterator[_Replicas]:
    made = _Replicas()
    await made.server.start()
    made.address = f"127.0.0.1:{made.server.port}"
    yield made
    await made.page.close()
    await made.server.stop()


async def test_it_is_read_when_asked_for_and_not_more_often_than_needed(replicas: _Replicas) -> None:
    assert await replicas.page.refresh()
    assert replicas.page.content == replicas.says
    replicas.says = b"{}"
    assert await replicas.page.refresh()
    assert (replicas.page.content, replicas.reads) == (b'{"Deployment/shop/cart":12}', 1)
    await replicas.clock.advance(FRESH_SECONDS)
    assert await replicas.page.refresh()
    assert (replicas.page.content, replicas.reads) == (b"{}", 2)


async def test_a_page_of_many_workloads_is_read_whole(replicas: _Replicas) -> None:
    replicas.says = b",".join(b'"Deployment/shop/cart-%d":12' % index for index in range(40_000))
    assert len(replicas.says) > 1 << 20
    assert await replicas.page.refresh()
    assert replicas.page.content == replicas.says


async def test_a_page_over_the_bound_is_not_accepted(replicas: _Replicas, monkeypatch: pytest.MonkeyPatch) -> None:
    await replicas.page.refresh()
    before, read_at = replicas.page.content, replicas.page.read_at
    monkeypatch.setattr(leader_page, "_MOST_BYTES", 1000)
    replicas.says = bytes(1001)
    await replicas.clock.advance(FRESH_SECONDS)
    await replicas.page.refresh()
    assert (replicas.page.content, replicas.page.read_at, replicas.reads) == (before, read_at, 2)


async def test_an_equal_answer_stays_the_same_object(replicas: _Replicas) -> None:
    await replicas.page.refresh()
    before, read_at = replicas.page.content, replicas.page.read_at
    await replicas.clock.advance(FRESH_SECONDS)
    await replicas.page.refresh()
    assert replicas.page.content is before
    assert replicas.page.read_at > read_at


async def test_the_last_answer_stays_while_the_leader_is_gone(replicas: _Replicas) -> None:
    await replicas.page.refresh()
    await replicas.server.stop()
    await replicas.clock.advance(FRESH_SECONDS + FETCH_SECONDS + 1)
    assert not await replicas.page.refresh()
    assert replicas.page.content == replicas.says


async def test_there_is_nothing_without_a_leader(replicas: _Replicas) -> None:
    replicas.address = ""
    assert not await replicas.page.refresh()
    assert replicas.page.content is None
