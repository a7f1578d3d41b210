"""What is said about objects, seen from the requests that it costs."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from spillway.kube.events import EventRecorder
from tests.support.fake_clock import FakeClock, settle

POLICY = {"apiVersion": "spillway.dev/v1alpha1", "kind": "ElasticPolicy", "name": "day", "uid": "u1"}
POD = {"apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": "shop", "uid": "u2"}


class Requests:
    """Stands where the client stands and remembers what it was asked."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Mapping[str, Any]]] = []

    async def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> bytes:
        self.sent.append((method, path, body))
        return b"{}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def requests() -> Requests:
    return Requests()


@pytest.fixture
async def recorder(clock: FakeClock, requests: Requests) -> AsyncIterator[EventRecorder]:
    recorder = EventRecorder(requests, clock=clock, sleep=clock.sleep)
    running = asyncio.create_task(recorder.run())
    yield recorder
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_an_event_of_a_cluster_scoped_object_is_in_default(recorder: EventRecorder, requests: Requests) -> None:
    recorder.record(POLICY, "Warning", "DanglingBudget", "no such budget")
    recorder.record(POD, "Normal", "Marked", "goes next")
    await settle()
    (method, path, body), (_, pod_path, _) = requests.sent
    assert (method, path) == ("POST", "/apis/events.k8s.io/v1/namespaces/default/events")
    assert body["regarding"] == POLICY
    assert (body["type"], body["reason"], body["note"]) == ("Warning", "DanglingBudget", "no such budget")
    assert body["eventTime"] == "1970-01-01T00:16:40.000000Z"
    assert pod_path == "/apis/events.k8s.io/v1/namespaces/shop/events"


async def test_one_namespace_does_not_use_up_the_events_of_others(
    recorder: EventRecorder, requests: Requests, clock: FakeClock
) -> None:
    for number in range(300):
        recorder.record(POD | {"uid": f"loud-{number}"}, "Warning", "KeptPhysical", "no pool takes it")
    recorder.record(POD | {"uid": "quiet", "namespace": "quiet"}, "Warning", "KeptPhysical", "no pool takes it")
    recorder.record(POLICY, "Warning", "DanglingBudget", "no such budget")
    await clock.advance(30)
    written = [body["regarding"].get("namespace") for _, _, body in requests.sent]
    assert written.count("shop") == 50
    assert written[-2:] == ["quiet", None]
    recorder.record(POD | {"uid": "late"}, "Warning", "KeptPhysical", "no pool takes it")
    await clock.advance(1)
    assert requests.sent[-1][2]["regarding"]["uid"] == "late"


async def test_the_same_again_is_counted_once_a_minute(
    recorder: EventRecorder, requests: Requests, clock: FakeClock
) -> None:
    for _ in range(130):
        recorder.record(POLICY, "Normal", "Same", "again")
        await clock.advance(1)
    assert [method for method, _, _ in requests.sent] == ["POST", "PATCH", "PATCH"]
    assert requests.sent[1][1].startswith("/apis/events.k8s.io/v1/namespaces/default/events/day.")
    assert [body["series"]["count"] for _, _, body in requests.sent[1:]] == [61, 121]


async def test_after_a_long_silence_it_is_news(recorder: EventRecorder, requests: Requests, clock: FakeClock) -> None:
    recorder.record(POLICY, "Normal", "Same", "again")
    await clock.advance(601)
    recorder.record(POLICY, "Normal", "Same", "again")
    await settle()
    assert [method for method, _, _ in requests.sent] == ["POST", "POST"]


async def test_one_talkative_object_does_not_silence_another(
    recorder: EventRecorder, requests: Requests, clock: FakeClock
) -> None:
    for index in range(100):
        recorder.record(POLICY, "Normal", "Chatter", f"message {index}")
    recorder.record(POD, "Normal", "Marked", "goes next")
    await clock.advance(30)
    assert len(requests.sent) == 26
    assert requests.sent[-1][2]["regarding"] == POD


async def test_different_events_of_one_reason_do_not_displace_those_of_another(
    recorder: EventRecorder, requests: Requests, clock: FakeClock
) -> None:
    for index in range(40):
        recorder.record(POD, "Normal", "ScaleDownPlanned", f"pods: web-{index} (Virtual)")
    recorder.record(POD, "Normal", "PodMoved", "to n1")
    await clock.advance(30)
    reasons = [body["reason"] for _, _, body in requests.sent]
    assert reasons == ["ScaleDownPlanned"] * 25 + ["PodMoved"]


async def test_a_long_message_is_cut(recorder: EventRecorder, requests: Requests) -> None:
    recorder.record(POLICY, "Normal", "Long", "x" * 5000)
    await settle()
    assert len(requests.sent[0][2]["note"]) == 1024


async def test_behind_the_fence_nothing_is_sent(clock: FakeClock, requests: Requests) -> None:
    recorder = EventRecorder(requests, may_write=lambda: False, clock=clock, sleep=clock.sleep)
    running = asyncio.create_task(recorder.run())
    recorder.record(POLICY, "Normal", "Any", "thing")
    await settle()
    running.cancel()
    assert requests.sent == []


@pytest.mark.parametrize(
    "involved",
    [
        {**POD, "name": "../../../../../../api/v1/namespaces/victim"},
        {**POD, "name": "p?watch=true"},
        {**POD, "namespace": "../victim"},
    ],
    ids=["another object", "a query", "another namespace"],
)
async def test_an_event_about_a_name_that_no_object_can_have_is_never_sent(
    recorder: EventRecorder, requests: Requests, clock: FakeClock, involved: Mapping[str, Any]
) -> None:
    for _ in range(3):
        recorder.record(involved, "Normal", "Marked", "goes next")
        await clock.advance(70)
    await settle()
    assert requests.sent == []


async def test_a_long_name_is_cut_to_one_that_an_event_can_have(recorder: EventRecorder, requests: Requests) -> None:
    recorder.record({**POD, "name": "a" * 199 + "-" + "b" * 20}, "Normal", "Marked", "goes next")
    await settle()
    [(_, _, body)] = requests.sent
    assert body["metadata"]["name"].startswith("a" * 199 + ".")


async def test_a_flood_of_one_namespace_makes_no_repetition_of_another_news(
    recorder: EventRecorder, requests: Requests
) -> None:
    recorder.record(POD, "Normal", "Marked", "goes next")
    for number in range(10_000):
        recorder.record(POD | {"namespace": "hostile", "uid": f"h{number}"}, "Normal", "Marked", "goes next")
    await settle()
    before = len(requests.sent)
    recorder.record(POD, "Normal", "Marked", "goes next")
    await settle()
    assert len(requests.sent) == before
