"""History from a real Prometheus with a real past."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from aiohttp import web

from harness.prometheus import PushedPrometheus, prometheus_running
from localcluster.ports import free_ports
from spillway.controllers.threshold.planner import make_plan
from spillway.domain.threshold.history import History
from spillway.domain.threshold.past import past_of
from spillway.domain.threshold.request import PlanRequest, PolicyNeed, Stance, WorkloadNeed
from spillway.sources import api_client
from spillway.sources.api_client import ApiClient
from spillway.sources.connection import Connection
from spillway.sources.prometheus import (
    AnswerTooLargeError,
    BusyError,
    DeniedError,
    NotPrometheusError,
    Prometheus,
    PrometheusError,
    PrometheusUnreachableError,
    RefusedError,
    TimedOutError,
    TooManyRequestsError,
)
from spillway.sources.prometheus_replicas import HistoryRequest, histories
from spillway.sources.selectors import filled_in
from tests.support.prometheus import replicas_series

T = TypeVar("T")

DAY = 86_400.0
NOW = 1_790_000_100.0
STEP = 300.0


def day_of(times: Any, low: int, high: int) -> Any:
    """`high` for the four hours from 18:00 UTC, else `low`."""
    hour = times % DAY / 3600
    return np.where((hour >= 18) & (hour < 22), float(high), float(low))


@pytest.fixture(scope="module")
def server() -> Iterator[PushedPrometheus]:
    with prometheus_running() as running:
        minutes = np.arange(NOW - 14 * DAY, NOW, 60.0)
        young = minutes[minutes > NOW - DAY]
        cart, pay = replicas_series("Deployment/shop/cart"), replicas_series("Deployment/shop/pay.v2")
        spiky = np.where(minutes % 3600 < 60, 30.0, 2.0)
        running.push(
            [
                (cart | {"instance": "a", "job": "spillway"}, minutes, day_of(minutes, 10, 40)),
                # Another leader's last days: the same workload, other labels of the scrape.
                (cart | {"instance": "b"}, young, day_of(young, 10, 40)),
                (pay | {"namespace": "spillway-system", "exported_namespace": "shop"}, minutes, spiky),
                (replicas_series("Deployment/other/cart"), minutes, minutes * 0 + 99),
                (replicas_series("Deployment/shop/new"), young, young * 0 + 3),
                (
                    {"__name__": "kube_deployment_spec_replicas", "namespace": "shop", "deployment": "new"},
                    minutes,
                    minutes * 0 + 5,
                ),
                (
                    {"__name__": "requests", "namespace": "shop", "app": "front"},
                    minutes,
                    day_of(minutes, 1000, 4000),
                ),
            ]
        )
        # Two and a half days of a quiet weekend are known to Spillway; the working days before to kube-state-metrics.
        own = minutes[minutes > NOW - 2.5 * DAY]
        weekend = {"__name__": "kube_deployment_spec_replicas", "namespace": "shop", "deployment": "weekend"}
        running.push(
            [
                (replicas_series("Deployment/shop/weekend"), own, own * 0 + 28),
                (weekend, minutes, np.where(minutes > NOW - 2.5 * DAY, 28.0, day_of(minutes, 28, 100))),
            ]
        )
        yield running


def run(work: Callable[[Prometheus], Coroutine[Any, Any, T]], url: str, **options: Any) -> T:
    async def inside() -> T:
        async with Prometheus(Connection(url=url, **options)) as prometheus:
            return await work(prometheus)

    return asyncio.run(inside())


def fetch(url: str, *wanted: HistoryRequest) -> dict[str, History]:
    async def inside(prometheus: Prometheus) -> dict[str, History]:
        return {one.workload: one async for batch in histories(prometheus, wanted, now=NOW) for one in batch}

    return run(inside, url)


def test_the_number_of_replicas_of_several_workloads_in_one_go(server: PushedPrometheus) -> None:
    found = fetch(
        server.url,
        *(HistoryRequest(f"Deployment/shop/{name}", 14 * DAY) for name in ("cart", "pay.v2", "new", "unknown")),
        HistoryRequest("Deployment/other/cart", 14 * DAY),
    )

    cart = found["Deployment/shop/cart"]
    # The gauge of one scrape may stand a few minutes after it went: the first point is in the past's first step.
    assert 14 * DAY - 2 * STEP <= cart.seconds <= 14 * DAY
    assert set(np.diff(cart.times)) == {STEP}
    inner = (cart.times % DAY > 18 * 3600 + STEP) & (cart.times % DAY < 22 * 3600)
    assert set(cart.replicas[inner]) == {40.0}
    assert set(cart.replicas[(cart.times % DAY < 18 * 3600) | (cart.times % DAY > 22 * 3600 + STEP)]) == {10.0}
    assert set(found["Deployment/other/cart"].replicas) == {99.0}
    assert found["Deployment/shop/unknown"].times.size == 0


def test_a_spike_of_a_minute_is_not_lost(server: PushedPrometheus) -> None:
    pay = fetch(server.url, HistoryRequest("Deployment/shop/pay.v2", 14 * DAY))["Deployment/shop/pay.v2"]

    spikes = pay.times[pay.replicas == 30]
    assert len(spikes) == pytest.approx(14 * 24, abs=2)
    assert len(set(spikes % 3600)) == 1


def test_kube_state_metrics_fills_the_steps_that_spillways_own_series_lacks(server: PushedPrometheus) -> None:
    new = fetch(server.url, HistoryRequest("Deployment/shop/new", 14 * DAY))["Deployment/shop/new"]

    last_day = new.times > NOW - DAY + STEP
    assert set(new.replicas[last_day]) == {3.0}, "Spillway's own series first"
    assert set(new.replicas[new.times < NOW - DAY]) == {5.0}
    assert new.seconds == pytest.approx(14 * DAY, abs=2 * STEP)


def test_an_installation_on_saturday_knows_mondays_peak(server: PushedPrometheus) -> None:
    weekend = fetch(server.url, HistoryRequest("Deployment/shop/weekend", 14 * DAY))["Deployment/shop/weekend"]

    past = past_of(weekend, 14 * DAY)

    assert past.cycle is not None
    assert float(past.cycle.values.max()) == 100.0
    assert past.seconds > 13 * DAY


def test_the_demand_of_a_class_over_what_one_replica_carries(server: PushedPrometheus) -> None:
    query = filled_in('sum(requests{namespace="$(namespace)", app="$(workload)"})  # demand', "Deployment/shop/front")
    assert query == 'sum(requests{namespace="shop", app="front"})  # demand'
    front = fetch(
        server.url,
        HistoryRequest("Deployment/shop/front", 14 * DAY, query, 250.0),
        HistoryRequest("Deployment/shop/broken", 14 * DAY, "sum(requests{", 1.0),
        HistoryRequest("Deployment/shop/nothing", 14 * DAY, "sum(absent_metric)", 1.0),
    )

    assert set(front["Deployment/shop/front"].replicas) == {4.0, 16.0}
    problem = front["Deployment/shop/broken"].problem
    assert problem is not None
    assert problem.reason == "QueryRefused"
    assert "bad_data" in problem.message
    assert front["Deployment/shop/nothing"].times.size == 0
    assert not front["Deployment/shop/nothing"].problem


def test_a_range_of_more_points_than_prometheus_gives_at_once(server: PushedPrometheus) -> None:
    async def ask(prometheus: Prometheus) -> Any:
        return await prometheus.range('spillway_workload_replicas{namespace="other"}', NOW - 10 * DAY, NOW, 60.0)

    [series] = run(ask, server.url)

    assert series.times.size > 11_000
    assert set(np.diff(series.times)) == {60.0}


async def test_both_clients_give_the_same_series(server: PushedPrometheus) -> None:
    queries = ("spillway_workload_replicas", "vector(1) / 0 or vector(0) / 0", "absent_metric")
    connection = Connection(url=server.url)
    async with Prometheus(connection) as own, ApiClient(connection) as other:
        await other.check()
        for query in queries:
            ranges = [await one.range(query, NOW - DAY, NOW, STEP) for one in (own, other)]
            instants = [await one.instant(query, NOW) for one in (own, other)]
            for ours, theirs in (ranges, instants):
                assert [one.labels for one in ours] == [one.labels for one in theirs]
                for left, right in zip(ours, theirs, strict=True):
                    np.testing.assert_array_equal(left.times, right.times)
                    np.testing.assert_array_equal(left.values, right.values)
        with pytest.raises(RefusedError, match="refuses the query: bad_data"):
            await other.instant("up{", NOW)
        with pytest.raises(RefusedError, match="gives a scalar"):
            await other.instant("1", NOW)
    async with ApiClient(Connection(url=f"http://127.0.0.1:{free_ports(1)[0]}")) as away:
        with pytest.raises(PrometheusUnreachableError, match="cannot be reached"):
            await away.check()


async def test_an_answer_of_any_size_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "MOST_BYTES", 1000)
    async with _answering(200, "x" * 5000) as (url, _), ApiClient(Connection(url=url)) as prometheus:
        with pytest.raises(AnswerTooLargeError):
            await prometheus.instant("up", NOW)


def test_a_refused_query_is_told_from_a_prometheus_that_is_away(server: PushedPrometheus, tmp_path: Path) -> None:
    async def ask(prometheus: Prometheus, query: str = "up{") -> Any:
        return await prometheus.instant(query, NOW)

    with pytest.raises(RefusedError, match="refuses the query: bad_data"):
        run(ask, server.url)
    with pytest.raises(RefusedError, match="gives a scalar"):
        run(lambda prometheus: ask(prometheus, "1"), server.url)
    unused = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(PrometheusUnreachableError, match="cannot be reached"):
        run(ask, unused)
    with pytest.raises(DeniedError, match="token file"):
        run(ask, server.url, token_file=str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        pytest.param(503, "starting", BusyError, id="busy"),
        pytest.param(429, "slower", TooManyRequestsError, id="too many requests"),
        pytest.param(503, '{"errorType":"timeout","error":"late"}', TimedOutError, id="the server's own limit"),
        pytest.param(504, "<html>", TimedOutError, id="the limit of a proxy"),
        pytest.param(422, '{"errorType":"execution","error":"too many samples"}', RefusedError, id="samples"),
        pytest.param(414, "<html>", RefusedError, id="a proxy's limit of a URL"),
        pytest.param(401, "who are you", DeniedError, id="credentials"),
        pytest.param(404, "<html>", NotPrometheusError, id="another server"),
        pytest.param(200, "<html>", NotPrometheusError, id="no JSON"),
        pytest.param(200, '{"status":"success"}', NotPrometheusError, id="other JSON"),
    ],
)
@pytest.mark.parametrize("client", [Prometheus, ApiClient])
async def test_what_answers_in_another_way(
    client: type[Prometheus | ApiClient], status: int, body: str, error: type[PrometheusError]
) -> None:
    async with _answering(status, body) as (url, seen), client(Connection(url=f"{url}/prefix")) as prometheus:
        with pytest.raises(error) as caught:
            await prometheus.instant("up", NOW)
    assert type(caught.value) is error
    assert set(seen) == {"/prefix/api/v1/query"}
    assert len(seen) == (2 if error.passing else 1), "what may pass is tried once more"


@pytest.mark.parametrize("client", [Prometheus, ApiClient])
async def test_a_token_and_a_time_limit(client: type[Prometheus | ApiClient], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    async with (
        _answering(0, "") as (url, _),
        client(Connection(url=url, token_file=str(token)), timeout_seconds=0.2) as prometheus,
    ):
        with pytest.raises(TimedOutError, match=r"within 0\.2 s"):
            await prometheus.instant("up", NOW)


class _answering:  # noqa: N801  reads as the statement it is
    """A server that gives one answer to everything; status 0 never answers."""

    def __init__(self, status: int, body: str) -> None:
        self._status, self._body = status, body
        self._seen: list[str] = []

    async def __aenter__(self) -> tuple[str, list[str]]:
        application = web.Application()
        application.router.add_post("/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        port = free_ports(1)[0]
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        return f"http://127.0.0.1:{port}", self._seen

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self._seen.append(request.path)
        if not self._status:
            assert request.headers["Authorization"] == "Bearer secret"
            await asyncio.sleep(10)
        return web.Response(status=self._status, text=self._body)


def test_each_workload_with_impossible_demand_fails_alone(server: PushedPrometheus) -> None:
    good = 'spillway_workload_replicas{workload="cart",namespace="shop",instance="a"}'
    queries = {
        "good": (good, 1.0),
        "trillion": ("vector(1e12)", 1.0),
        "quintillion": ("vector(1e19)", 1.0),
        "overflow": ("vector(1e300)", 1e-300),
        "nan": ("vector(0) / 0", 1.0),
        "infinite": ("vector(1) / 0", 1.0),
        "negative": ("vector(-3)", 1.0),
        "unscaled": (good, 0.0),
        "refused": ("sum(", 1.0),
    }
    request = PlanRequest(
        now=NOW,
        capacity_cores=100.0,
        node_cores=10.0,
        policies=(PolicyNeed(name="online", target=1.0),),
        workloads=tuple(
            WorkloadNeed(
                workload=f"Deployment/shop/{name}",
                policy="online",
                stance=Stance.AUTO,
                replicas=2,
                request_cores=1.0,
                request_gib=0.0,
                load=1.0,
                query=query,
                per_replica=per_replica,
            )
            for name, (query, per_replica) in queries.items()
        ),
    )

    plan = run(lambda prometheus: make_plan(request, prometheus), server.url)

    found = {one.workload.rpartition("/")[2]: one for one in plan.workloads}
    assert (found["good"].threshold, found["good"].peak, found["good"].problem) == (40, 40, "")
    others = {name: one.problem_reason for name, one in found.items() if name != "good"}
    assert others == dict.fromkeys(queries.keys() - {"good", "refused"}, "InvalidDemand") | {"refused": "QueryRefused"}
    assert {one.threshold for name, one in found.items() if name != "good"} == {None}
    assert "its demand reaches 1e+12 replicas" in found["trillion"].problem
    assert plan.peak_cores == 40 + 2 * (len(queries) - 1), "the others take what they have now, and no more"
