"""The server over plain HTTP: who is answered, and what."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp
import pytest

from spillway.aggregated.metric import MetricApi
from spillway.aggregated.server import AggregatedServer, MayAll
from spillway.domain.scaling.recommend import Number
from spillway.kube.access import Access, User, Verdict

ROOT = "/apis/external.metrics.k8s.io/v1beta1"
METRIC = f"{ROOT}/namespaces/shop/spillway-recommended-replicas"
NUMBERS = {"Deployment/shop/cart": 12, "StatefulSet/shop/cart": 3, "Deployment/shop/idle": 0}


class _Gate:
    """Tokens are the names of users; `reader` may read the metric, and `root` is one of the masters."""

    def __init__(self) -> None:
        self.asked: list[Access] = []
        self.broken = False

    async def authenticate(self, token: str) -> User | Verdict:
        if self.broken:
            return Verdict.UNKNOWN
        if not token:
            return Verdict.UNAUTHENTICATED
        return User(token, groups=("system:masters",) if token == "root" else ())

    async def authorize(self, user: User, access: Access) -> Verdict:
        self.asked.append(access)
        return Verdict.ALLOWED if user.name == "reader" else Verdict.FORBIDDEN


async def _values(namespace: str, wanted: Callable[[str], bool]) -> Mapping[str, Number]:
    return {
        key: Number(value, active=value > 0) for key, value in NUMBERS.items() if namespace == "shop" and wanted(key)
    }


@pytest.fixture
def gate() -> _Gate:
    return _Gate()


@pytest.fixture
async def ask(gate: _Gate) -> AsyncIterator[Callable[..., Any]]:
    api = MetricApi(_values, now=lambda: 0.0)
    server = AggregatedServer(api, MayAll(gate), lambda: None, tls=None, port=0, host="127.0.0.1")
    await server.start()
    async with aiohttp.ClientSession() as session:

        async def get(path: str, token: str = "reader", **query: str) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            url = f"http://127.0.0.1:{server.port}{path}"
            async with session.get(url, headers=headers, params=query) as answer:
                return answer.status, await answer.json()

        yield get
    await server.stop()


async def test_the_metric_of_one_workload(ask: Callable[..., Any], gate: _Gate) -> None:
    status, found = await ask(METRIC, labelSelector="kind=Deployment,workload=cart")
    assert status == 200
    [item] = found["items"]
    assert (item["value"], item["metricLabels"]) == ("12", {"kind": "Deployment", "workload": "cart"})
    assert gate.asked == [
        Access(
            "list",
            group="external.metrics.k8s.io",
            version="v1beta1",
            resource="spillway-recommended-replicas",
            namespace="shop",
        )
    ]


async def test_zero_is_a_value_and_an_unknown_workload_has_none(ask: Callable[..., Any]) -> None:
    assert [one["value"] for one in (await ask(METRIC, labelSelector="workload=idle"))[1]["items"]] == ["0"]
    assert (await ask(METRIC, labelSelector="workload=unknown"))[1]["items"] == []
    assert len((await ask(METRIC))[1]["items"]) == len(NUMBERS)


async def test_what_is_asked_wrongly_is_refused_with_what_is_right(ask: Callable[..., Any]) -> None:
    status, found = await ask(METRIC, labelSelector="workload in cart")
    assert (status, found["kind"], found["reason"]) == (400, "Status", "BadRequest")
    status, found = await ask(f"{ROOT}/namespaces/shop/other")
    assert (status, found["reason"]) == (404, "NotFound")
    assert "the only one is spillway-recommended-replicas" in found["message"]
    status, found = await ask(f"{ROOT}/nothing/here")
    assert (status, found["kind"]) == (404, "Status")


@pytest.mark.parametrize(("token", "expected"), [("", 401), ("mallory", 403), ("reader", 200), ("root", 200)])
async def test_only_who_may_read_is_answered(ask: Callable[..., Any], token: str, expected: int) -> None:
    for path in (METRIC, ROOT, "/apis"):
        assert (await ask(path, token))[0] == expected
    assert (await ask("/healthz", token))[0] == 200


async def test_discovery_is_authorized_as_a_path(ask: Callable[..., Any], gate: _Gate) -> None:
    status, found = await ask(ROOT)
    assert (status, found["kind"]) == (200, "APIResourceList")
    assert gate.asked == [Access("get", ROOT)]
    assert (await ask("/apis"))[1]["kind"] == "APIGroupList"
    assert (await ask("/apis/external.metrics.k8s.io"))[1]["kind"] == "APIGroup"


async def test_nothing_is_shown_while_nobody_can_say_who_calls(ask: Callable[..., Any], gate: _Gate) -> None:
    gate.broken = True
    status, found = await ask(METRIC)
    assert (status, found["kind"], "items" in found) == (503, "Status", False)
