"""What metrics.k8s.io says of the pods of a namespace, and what becomes of one that cannot be read."""

from typing import Any

import msgspec
import pytest

from spillway.api.zonalbalance import Load
from spillway.controllers.balance.readings import KEPT_SECONDS, SHARED_SECONDS, UNREAD_SECONDS, MetricsError, Readings
from spillway.kube.errors import ApiError, RequestError, TooLargeError, UnreachableError
from spillway.kube.pages import PAGE_BYTES
from spillway.kube.resource_metrics import NODE_METRICS, POD_METRICS, PodMetrics
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world

NODES, SHOP, EVIL = NODE_METRICS.everywhere, POD_METRICS.within("shop"), POD_METRICS.within("evil")
USE = {"containers": [{"usage": {"cpu": "2", "memory": "1Gi"}}]}
WEB = PodMetrics(2000.0, float(2**30))


class Server:
    """A metrics.k8s.io with one pod in each namespace."""

    def __init__(self) -> None:
        self.errors: dict[str, RequestError] = {}
        self.labels = ""
        self.asked: list[str] = []

    async def request(self, method: str, path: str, *, most_bytes: int = 0, **_: Any) -> bytes:
        assert method == "GET"
        self.asked.append(path)
        if path in self.errors:
            raise self.errors[path]
        items = [{"metadata": {"name": "web-1", "labels": {"note": self.labels}}, **USE}]
        body = msgspec.json.encode({"items": [] if path == NODES else items})
        if most_bytes and len(body) > most_bytes:
            raise TooLargeError(most_bytes)
        return body


def scene() -> tuple[Server, Readings, FakeClock]:
    server, clock = Server(), FakeClock(1000.0)
    return server, Readings(make_world([], [], clock), server, None), clock


@pytest.mark.parametrize(
    "error", [TooLargeError(1), UnreachableError("no answer in time"), ApiError(503, "ServiceUnavailable", "")]
)
async def test_a_namespace_that_alone_has_no_answer_counts_as_not_measured(error: RequestError) -> None:
    server, readings, clock = scene()
    server.errors[EVIL] = error
    once = isinstance(error, TooLargeError)
    if not once:
        with pytest.raises(MetricsError):
            await readings.pods("evil", Load())
        assert not readings.unread("evil"), "it may have been metrics.k8s.io as a whole, for a moment"
        await clock.advance(SHARED_SECONDS)
    assert await readings.pods("evil", Load()) == {}
    assert await readings.pods("shop", Load()) == {"web-1": WEB}
    assert (readings.unread("evil"), readings.unread("shop")) == (True, False)
    readings.check(["evil", "shop"])
    with pytest.raises(MetricsError, match="no namespace"):
        readings.check(["evil"])

    server.errors.clear()
    assert await readings.pods("evil", Load()) == {}
    assert server.asked.count(EVIL) == (1 if once else 2), "it is not waited for again at once"
    await clock.advance(UNREAD_SECONDS)
    assert await readings.pods("evil", Load()) == {"web-1": WEB}


async def test_an_outage_just_after_the_nodes_were_read_is_not_one_of_a_namespace() -> None:
    server, readings, _ = scene()
    await readings.nodes()
    server.errors = dict.fromkeys((EVIL, NODES), UnreachableError("connection refused"))
    for _ in range(3):
        with pytest.raises(MetricsError, match="connection refused"):
            await readings.pods("evil", Load())
    server.errors.clear()
    assert await readings.pods("evil", Load()) == {"web-1": WEB}


async def test_one_failure_that_several_ask_about_ends_no_reading() -> None:
    server, readings, clock = scene()
    server.errors[EVIL] = UnreachableError("connection reset")
    for _ in range(3):
        with pytest.raises(MetricsError, match="connection reset"):
            await readings.pods("evil", Load())
        await clock.advance(SHARED_SECONDS / 3)
    server.errors.clear()
    assert await readings.pods("evil", Load()) == {"web-1": WEB}


async def test_single_failures_with_answers_in_between_end_no_reading() -> None:
    server, readings, clock = scene()
    for _ in range(3):
        server.errors[EVIL] = UnreachableError("connection reset")
        with pytest.raises(MetricsError):
            await readings.pods("evil", Load())
        server.errors.clear()
        assert await readings.pods("evil", Load()) == {"web-1": WEB}
        await clock.advance(SHARED_SECONDS)


async def test_a_namespace_that_is_too_large_counts_as_not_measured() -> None:
    server, readings, _ = scene()
    server.labels = "x" * PAGE_BYTES
    assert await readings.pods("evil", Load()) == {}
    assert readings.unread("evil")


async def test_without_an_answer_for_the_nodes_either_there_is_no_reading() -> None:
    server, readings, _ = scene()
    server.errors = dict.fromkeys((EVIL, NODES), UnreachableError("connection refused"))
    with pytest.raises(MetricsError, match="connection refused"):
        await readings.pods("evil", Load())
    assert not readings.unread("evil")


async def test_a_refusal_says_nothing_about_a_namespace() -> None:
    server, readings, _ = scene()
    server.errors[SHOP] = ApiError(403, "Forbidden", "pods.metrics.k8s.io")
    with pytest.raises(MetricsError, match="Forbidden"):
        await readings.pods("shop", Load())


async def test_what_a_pod_used_last_is_known_for_a_while_after_the_pod_is_gone() -> None:
    _, readings, clock = scene()
    await readings.pods("shop", Load())
    await clock.advance(KEPT_SECONDS - 1.0)
    assert (readings.last_use("shop", "web-1"), readings.last_use("shop", "web-2")) == (WEB, None)
    assert readings.last_use("evil", "web-1") is None
    await clock.advance(1.0)
    assert readings.last_use("shop", "web-1") is None
    await readings.pods("evil", Load())
    assert list(readings._pods) == ["evil"], "and then it is not kept"


async def test_a_kept_reading_is_not_answered_again() -> None:
    server, readings, clock = scene()
    for seconds in (0.0, SHARED_SECONDS - 1.0, 1.0):
        await clock.advance(seconds)
        await readings.pods("shop", Load())
    assert server.asked == [SHOP, SHOP]
