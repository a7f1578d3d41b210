"""The writer's patience: what is tried again, how long it waits, when it stops (what it writes: component test)."""

from collections.abc import Sequence
from typing import Any

import pytest

from spillway.domain.model.names import POD_DELETION_COST, TIER
from spillway.kube.errors import ApiError, RequestError, UnreachableError
from spillway.kube.writer import Eviction, Fenced, Writer
from tests.builders import make_node, make_pod

BUDGET = {"causes": [{"reason": "DisruptionBudget"}]}
BUSY = ApiError(429, "TooManyRequests", "later", retry_after=2.0)
BROKEN = ApiError(500, "InternalError", "oops")
SCALE = "/apis/apps/v1/namespaces/shop/deployments/web"


class Server:
    """Answers as told, then well; remembers the requests."""

    def __init__(self, *answers: Exception) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, str, Any, dict[str, Any]]] = []

    async def request(self, method: str, path: str, *, body: Any = None, params: Any = None, **_: Any) -> bytes:
        self.sent.append((method, path, body, params))
        if self.answers:
            raise self.answers.pop(0)
        return b"{}"


def writer_on(server: Server, fence: Sequence[bool] = (), **settings: Any) -> tuple[Writer, list[float]]:
    pauses: list[float] = []
    open_ = iter(fence)

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    writer = Writer(
        server,
        rate=1e9,
        burst=1000,
        may_write=lambda: next(open_, True),
        sleep=sleep,
        **settings,
    )
    return writer, pauses


@pytest.mark.parametrize("fault", [BROKEN, UnreachableError("cut off"), UnreachableError("late", timed_out=True)])
async def test_what_may_pass_is_tried_again_with_growing_pauses(fault: Exception) -> None:
    server = Server(fault, fault, fault)
    writer, pauses = writer_on(server)
    assert await writer.annotate_pod(make_pod(), {"a": "1"})
    assert len(server.sent) == 4
    assert 0.1 <= pauses[0] <= 0.4
    assert 0.5 <= pauses[2] <= 1.6


async def test_the_server_may_ask_for_a_pause_but_not_for_a_long_one() -> None:
    writer, pauses = writer_on(Server(BUSY, ApiError(503, "Unavailable", "", retry_after=3600)))
    assert await writer.annotate_pod(make_pod(), {"a": "1"})
    assert pauses == [2.0, 5.0]


async def test_after_some_tries_it_raises() -> None:
    server = Server(*[BROKEN] * 10)
    writer, _ = writer_on(server, tries=3)
    with pytest.raises(ApiError, match="oops"):
        await writer.annotate_pod(make_pod(), {"a": "1"})
    assert len(server.sent) == 3


@pytest.mark.parametrize(
    "fault",
    [
        BROKEN,
        ApiError(504, "Timeout", "too long", retry_after=1.0),
        ApiError(429, "TooManyRequests", "of a load balancer"),
        UnreachableError("cut off"),
        UnreachableError("late", timed_out=True),
    ],
    ids=str,
)
async def test_a_scale_that_may_have_been_carried_out_is_not_sent_again(fault: RequestError) -> None:
    server = Server(fault)
    writer, pauses = writer_on(server)
    with pytest.raises(RequestError) as raised:
        await writer.scale("deployments", SCALE, "uid", seen=2, wanted=3)
    assert raised.value.uncertain
    assert (len(server.sent), pauses) == (1, [])


async def test_a_scale_that_the_server_turned_away_is_sent_again() -> None:
    server = Server(BUSY)
    writer, pauses = writer_on(server)
    assert await writer.scale("deployments", SCALE, "uid", seen=2, wanted=3)
    assert (len(server.sent), pauses) == (2, [2.0])
    assert not BUSY.uncertain


async def test_the_server_gives_up_a_scale_when_the_writer_does() -> None:
    server = Server()
    writer, _ = writer_on(server, timeout=1.5)
    assert await writer.scale("deployments", SCALE, "uid", seen=2, wanted=3)
    ((method, path, _, params),) = server.sent
    assert (method, path) == ("PATCH", f"{SCALE}/scale")
    assert params == {"fieldManager": "spillway", "timeout": "1500ms"}


async def test_the_fence_is_asked_before_every_try() -> None:
    server = Server(BROKEN, BROKEN)
    writer, _ = writer_on(server, fence=(True, False))
    with pytest.raises(Fenced):
        await writer.annotate_pod(make_pod(), {"a": "1"})
    assert len(server.sent) == 1


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refusal_for_good_is_not_repeated(status: int) -> None:
    server = Server(ApiError(status, "No", "no"))
    writer, pauses = writer_on(server)
    with pytest.raises(ApiError):
        await writer.annotate_pod(make_pod(), {"a": "1"})
    assert (len(server.sent), pauses) == (1, [])


@pytest.mark.parametrize("status", [404, 409])
async def test_gone_or_changed_is_an_answer(status: int) -> None:
    writer, _ = writer_on(Server(ApiError(status, "No", "no")))
    assert not await writer.annotate_pod(make_pod(), {"a": "1"})


async def test_a_budget_that_blocks_is_not_waited_for_but_a_busy_server_is() -> None:
    server = Server(ApiError(429, "TooManyRequests", "budget", details=BUDGET))
    writer, pauses = writer_on(server)
    assert await writer.evict(make_pod()) is Eviction.BLOCKED
    assert pauses == []
    assert await writer_on(Server(BUSY))[0].evict(make_pod()) is Eviction.EVICTED


async def test_an_eviction_that_is_not_wanted_any_more_when_its_turn_comes_is_not_sent() -> None:
    unwanted = Server()
    assert await writer_on(unwanted)[0].evict(make_pod(), wanted=lambda: False) is Eviction.WITHDRAWN
    assert unwanted.sent == []
    busy, wanted = Server(BUSY), iter((True, False))
    assert await writer_on(busy)[0].evict(make_pod(), wanted=lambda: next(wanted)) is Eviction.WITHDRAWN
    assert len(busy.sent) == 1, "it has changed before the next try"


async def test_only_what_differs_is_sent() -> None:
    server = Server()
    writer, _ = writer_on(server)
    pod = make_pod(deletion_cost=-7, tier="fixed")
    assert await writer.annotate_pod(pod, {POD_DELETION_COST: "-7", TIER: "fixed"})
    assert await writer.patch_node(make_node(unschedulable=True), unschedulable=True)
    assert server.sent == []
    assert await writer.annotate_pod(pod, {POD_DELETION_COST: "-7", TIER: "virtual"})
    ((method, path, body, params),) = server.sent
    assert (method, path) == ("PATCH", "/api/v1/namespaces/shop/pods/web-1")
    assert body == {"metadata": {"uid": pod.uid, "annotations": {TIER: "virtual"}}}
    assert params == {"fieldManager": "spillway"}


async def test_removing_a_cost_is_sent_even_if_no_valid_one_is_known() -> None:
    server = Server()
    writer, _ = writer_on(server)
    assert await writer.annotate_pod(make_pod(deletion_cost=None), {POD_DELETION_COST: None})
    assert len(server.sent) == 1


async def test_a_status_is_applied_whole() -> None:
    server = Server()
    writer, _ = writer_on(server)
    assert await writer.patch_status("elasticpolicies", "day", {"pods": 4})
    ((method, path, body, params),) = server.sent
    assert (method, path) == ("PATCH", "/apis/spillway.dev/v1alpha1/elasticpolicies/day/status")
    assert body["kind"] == "ElasticPolicy"
    assert body["status"] == {"pods": 4}
    assert params == {"fieldManager": "spillway", "force": True}
