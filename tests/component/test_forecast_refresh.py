"""Demand and forecasts from a real Prometheus with a real past, in the process that the operator starts."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
import pytest
import yaml

from harness.chart import CHART
from harness.prometheus import Labels, PushedPrometheus, prometheus_running
from localcluster.ports import free_ports
from spillway.controllers.forecast.process import ForecastProcess, RefreshFailedError
from spillway.controllers.forecast.reading import Reading, identity_of
from spillway.controllers.forecast.refresher import Refresher
from spillway.domain.forecast.occasions import Occasion
from spillway.domain.forecast.refresh import DemandNeed, DemandSource, Refreshed, RefreshRequest, WorkloadDemand
from spillway.domain.forecast.spec import DAY_STEPS, STEP_SECONDS, Floats
from spillway.sources.api_client import ApiClient
from spillway.sources.connection import Connection
from spillway.sources.prometheus import Prometheus, PrometheusUnreachableError
from spillway.sources.prometheus_use import USED

T = TypeVar("T")

DAY = 86_400.0
NOW = 1_790_000_100.0
"""The end of a step."""
SCRAPES = np.arange(NOW - 3 * DAY, NOW + 1800, 30.0)
"""Also half an hour of the future."""
GIB = float(2**30)
CART, PAY, DB, LEGACY = "Deployment/shop/cart", "Deployment/shop/pay", "StatefulSet/shop/db", "ReplicaSet/shop/legacy"
LONG = f"Deployment/shop/{'long-' * 10}name"


def container(pod: str, *, namespace: str = "shop", name: str = "main", **more: str) -> dict[str, str]:
    return {"namespace": namespace, "pod": pod, "container": name, **more}


def used_cpu(labels: Labels, times: Floats, cores: Floats) -> tuple[Labels, Floats, Floats]:
    """The counter of a container that uses so many cores."""
    counted = np.asarray(np.cumsum(cores * 30.0), dtype=np.float64)
    return {"__name__": "container_cpu_usage_seconds_total", **labels}, times, counted


def day_of(times: Floats, low: float, high: float) -> Floats:
    hour = times % DAY / 3600
    return np.where((hour > 18) & (hour <= 22), high, low)


@pytest.fixture(scope="module")
def server() -> Iterator[PushedPrometheus]:
    with prometheus_running() as running:
        series: list[tuple[Labels, Floats, Floats]] = []
        half = SCRAPES < NOW - DAY
        pods = [("cart-5d6f7b8c9d-2xk8p", half), ("cart-5d6f7b8c9d-2xk8q", half), ("cart-76b95c48bf-9w2zv", ~half)]
        for pod, lives in pods:
            times = SCRAPES[lives]
            cores = day_of(times, 1.0, 4.0) if lives is half else day_of(times, 2.0, 8.0)
            series += [used_cpu(container(pod, job=job), times, cores) for job in ("cadvisor", "resource")]
            # The pod as a whole, and what holds its network: they would count twice.
            series.append(used_cpu({"namespace": "shop", "pod": pod, "job": "cadvisor"}, times, cores))
            series.append(used_cpu(container(pod, name="POD"), times, cores))
        # A minute of nine cores every hour, and other workloads of almost the same name.
        spiky = np.asarray(np.where(SCRAPES % 3600 < 60, 9.0, 1.0), dtype=np.float64)
        series.append(used_cpu(container("pay-5d6f7b8c9d-2xk8p"), SCRAPES, spiky))
        series.append(used_cpu(container("ruled-5d6f7b8c9d-2xk8p"), SCRAPES, spiky))
        series.append(used_cpu(container("pay-api-5d6f7b8c9d-2xk8p"), SCRAPES, spiky * 0 + 100))
        series.append(used_cpu(container("cart-5d6f7b8c9d-2xk8p", namespace="test"), SCRAPES, spiky * 0 + 100))
        # A counter that begins again every hour, as with a restart.
        restarted = np.asarray(60.0 * (1 + np.arange(SCRAPES.size) % 120), dtype=np.float64)
        legacy = {"__name__": "container_cpu_usage_seconds_total", **container("legacy-2xk8p")}
        series.append((legacy, SCRAPES, restarted))
        series.append(used_cpu(container(f"{'long-' * 10}name-5d62xk8p"), SCRAPES, SCRAPES * 0 + 4))
        for ordinal in range(3):
            memory = {"__name__": "container_memory_working_set_bytes", **container(f"db-{ordinal}")}
            series.append((memory, SCRAPES, SCRAPES * 0 + GIB))
        quiet = (SCRAPES < NOW - DAY) | (SCRAPES > NOW - DAY / 2)
        nothing = np.where(SCRAPES % 600 < 300, np.nan, 50.0)
        series.append(({"__name__": "queue", "app": "gap"}, SCRAPES[quiet], SCRAPES[quiet] * 0 + 50))
        series.append(({"__name__": "queue", "app": "nan"}, SCRAPES, nothing))
        series.append(({"__name__": "queue", "app": "ended"}, SCRAPES[:1000], SCRAPES[:1000] * 0 + 50))
        young = SCRAPES[SCRAPES > NOW - 1200]
        series.append(({"__name__": "queue", "app": "young"}, young, young * 0 + 50))
        running.push(series)
        yield running


def cpu(workload: str, per_replica: float = 0.5, **more: Any) -> DemandNeed:
    return DemandNeed(workload, DemandSource.CPU, per_replica, history_seconds=3 * DAY, **more)


def query(app: str, promql: str | None = None, per_replica: float = 10.0) -> DemandNeed:
    text = promql if promql is not None else f'queue{{app="{app}"}}'
    return DemandNeed(f"Deployment/shop/{app}", DemandSource.QUERY, per_replica, text, history_seconds=3 * DAY)


def run(work: Callable[[Refresher], Coroutine[Any, Any, T]], url: str, **options: Any) -> T:
    async def inside() -> T:
        connection = Connection(url=url, **options)
        async with Prometheus(connection) as prometheus, ApiClient(connection) as business:
            return await work(Refresher(Reading(prometheus, business)))

    return asyncio.run(inside())


def read(server: PushedPrometheus, *needs: DemandNeed) -> list[Floats]:
    """The last three days of each workload, from memory."""

    async def inside(refresher: Refresher) -> list[Floats]:
        found = await refresher.refresh(RefreshRequest(NOW, needs))
        assert not found.problems
        assert found.backlog == 0
        grid = refresher.reading.grid
        return [grid.history([identity_of(one)], 3 * DAY_STEPS)[1][0, -3 * DAY_STEPS + 1 :] for one in needs]

    return run(inside, server.url)


def by_name(found: Refreshed) -> dict[str, WorkloadDemand]:
    return {one.workload.rpartition("/")[2]: one for one in found.forecasts}


def test_the_cores_that_a_deployment_uses_over_a_rollout_and_once_however_often_it_is_scraped(
    server: PushedPrometheus,
) -> None:
    [cart] = read(server, cpu(CART))

    ends = NOW - np.arange(cart.size - 1, -1, -1) * STEP_SECONDS
    hour = ends % DAY / 3600
    inside = (hour > 18.2) & (hour <= 22)
    rollout = np.abs(ends - (NOW - DAY)) < 2 * STEP_SECONDS
    assert np.isfinite(cart).all()
    np.testing.assert_allclose(cart[inside & ~rollout], 8.0, rtol=1e-3)
    np.testing.assert_allclose(cart[(hour < 18) & ~rollout], 2.0, rtol=1e-3)


def test_a_spike_of_a_minute_is_as_high_as_it_was(server: PushedPrometheus) -> None:
    [pay] = read(server, cpu(PAY))

    spikes = pay > 5
    np.testing.assert_allclose(pay[spikes], 9.0, rtol=1e-3)
    np.testing.assert_allclose(pay[~spikes], 1.0, rtol=1e-3)
    assert spikes.sum() == pytest.approx(72, abs=2)


def test_pods_of_other_kinds_and_a_name_that_is_cut(server: PushedPrometheus) -> None:
    memory = DemandNeed(DB, DemandSource.MEMORY, GIB, history_seconds=3 * DAY)
    db, long = read(server, memory, cpu(LONG))

    assert set(db[np.isfinite(db)]) == {3 * GIB}
    np.testing.assert_allclose(long, 4.0, rtol=1e-3)


def test_a_counter_that_begins_again_is_no_use_of_its_own(server: PushedPrometheus) -> None:
    [legacy] = read(server, cpu(LEGACY))

    np.testing.assert_allclose(legacy[np.isfinite(legacy)], 2.0, rtol=1e-3)


def test_the_rules_of_the_chart_come_first_and_the_containers_fill_their_gaps(server: PushedPrometheus) -> None:
    rule = {"__name__": "namespace_workload:spillway_used_cpu_cores:sum", "namespace": "shop"}
    since = SCRAPES[SCRAPES > NOW - DAY / 2]
    server.push([(rule | {"workload": "Deployment/ruled"}, since, since * 0 + 7)])

    ruled, legacy = read(server, cpu(PAY.replace("pay", "ruled")), cpu(LEGACY))

    assert set(ruled[-DAY_STEPS // 2 + 2 :]) == {7.0}
    assert np.isfinite(ruled).all()
    assert ruled[:DAY_STEPS].max() == pytest.approx(9.0, rel=1e-3)
    assert np.isfinite(legacy).any()


def test_the_rules_say_what_the_operator_reads_by_container(server: PushedPrometheus) -> None:
    groups = yaml.safe_load((CHART / "files" / "monitoring" / "rules.yaml").read_text())["groups"]
    rules = {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}

    async def inside() -> dict[str, float]:
        async with Prometheus(Connection(url=server.url)) as prometheus:
            answers = [await prometheus.instant(rules[one.rule], NOW) for one in USED.values()]
        return {
            one.labels["workload"]: float(one.values[-1])
            for answer in answers
            for one in answer
            if one.labels.get("namespace") == "shop" and "workload" in one.labels
        }

    found = asyncio.run(inside())

    low = 2.0 if NOW % DAY / 3600 < 18 else 8.0
    wanted = {"Deployment/cart": low, "Deployment/pay": 1.0, "Deployment/pay-api": 100.0, "ReplicaSet/legacy": 2.0}
    wanted |= {"Deployment/ruled": 1.0, "StatefulSet/db": 3 * GIB}
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-3)


def test_each_workload_is_forecast_in_replicas_and_those_that_cannot_fail_alone(server: PushedPrometheus) -> None:
    needs = (
        cpu(CART, startup_seconds=300.0, window_seconds=3600.0),
        query("gap"),
        query("nan"),
        query("ended"),
        query("young"),
        query("broken", "sum("),
        query("huge", "vector(1e12)"),
        cpu("Deployment/shop/absent"),
    )

    async def inside(refresher: Refresher) -> list[Refreshed]:
        return [await refresher.refresh(RefreshRequest(NOW + later, needs)) for later in (0, 900)]

    first, later = run(inside, server.url)

    found = by_name(first)
    assert set(found) == {"cart", "gap", "nan", "young"}
    assert found["cart"].made == NOW
    assert found["cart"].present == pytest.approx(2.0 / 0.5 if NOW % DAY / 3600 < 18 else 8.0 / 0.5, rel=1e-3)
    assert [found[one].present for one in ("gap", "nan", "young")] == [5.0, 5.0, 5.0]
    assert all(one.highest >= one.present for one in found.values())
    problems = {one.workload.rpartition("/")[2]: one.reason for one in first.problems}
    assert problems == {"broken": "QueryRefused", "huge": "InvalidDemand"}, "the others may just have begun"
    problems = {one.workload.rpartition("/")[2]: one.reason for one in later.problems}
    assert problems == {
        "broken": "QueryRefused",
        "huge": "InvalidDemand",
        "ended": "NoSamples",
        "absent": "NoSamples",
    }
    assert by_name(later)["cart"].made == NOW + 900


def test_samples_of_the_future_are_ignored(server: PushedPrometheus) -> None:
    """The operator's clock is half an hour behind: what is later than its now counts at later refreshes alone."""

    async def inside(refresher: Refresher) -> list[Refreshed]:
        need = query("ahead", f"vector(time() - {NOW}) > 0 or vector(1)")
        return [await refresher.refresh(RefreshRequest(NOW + later, (need,))) for later in (0, 299, 300)]

    now, same_step, next_step = (by_name(one)["ahead"] for one in run(inside, server.url))

    assert (now.made, now.present) == (NOW, 0.1)
    assert same_step == now
    assert next_step.made == NOW + 300
    assert next_step.present == 30.0


def test_only_what_is_new_is_read_after_the_first_time(server: PushedPrometheus) -> None:
    needs = (*(cpu(CART.replace("cart", f"cart-{index}")) for index in range(150)), cpu(CART), query("gap"))

    async def inside(refresher: Refresher) -> list[int]:
        found = [await refresher.refresh(RefreshRequest(NOW + later, needs)) for later in (0, 300, 600)]
        return [one.requests for one in found]

    first, second, third = run(inside, server.url)

    assert first == 3 * (2 + 1), "two batches of workloads and one of queries for each of three days"
    assert second == third == 3


def test_older_history_waits_when_time_is_up_and_the_next_refresh_goes_on(server: PushedPrometheus) -> None:
    async def inside(refresher: Refresher) -> list[Refreshed]:
        needs = (cpu(CART), cpu(PAY), query("gap"))
        return [await refresher.refresh(RefreshRequest(NOW, needs, seconds=limit)) for limit in (0.0, 60.0)]

    short, whole = run(inside, server.url)

    assert (short.backlog, whole.backlog) == (3, 0)
    assert len(short.forecasts) == 3, "a day is enough to begin with"


def test_a_changed_request_changes_the_unit_and_keeps_the_history(server: PushedPrometheus) -> None:
    async def inside(refresher: Refresher) -> list[Refreshed]:
        found = [await refresher.refresh(RefreshRequest(NOW, (cpu(CART, each),))) for each in (0.5, 2.0)]
        assert found[1].requests == 1
        return found

    before, after = (by_name(one)["cart"] for one in run(inside, server.url))

    assert after.present == pytest.approx(before.present / 4)
    assert after.highest == pytest.approx(before.highest / 4)


def test_another_query_or_another_name_is_another_history(server: PushedPrometheus) -> None:
    async def inside(refresher: Refresher) -> None:
        await refresher.refresh(RefreshRequest(NOW, (query("gap"), cpu(CART))))
        renamed = cpu(CART.replace("cart", "basket"))
        found = await refresher.refresh(RefreshRequest(NOW, (query("gap", "vector(20)"), renamed)))
        assert {name: one.present for name, one in by_name(found).items()} == {"gap": 2.0}

    run(inside, server.url)


def test_an_occasion_that_is_named_is_served(server: PushedPrometheus) -> None:
    sale = Occasion(NOW, NOW + 3600, like_days_before=1, factor=3.0)

    async def inside(refresher: Refresher) -> Refreshed:
        return await refresher.refresh(RefreshRequest(NOW, (query("gap"), cpu(PAY, occasions=(sale,)))))

    found = by_name(run(inside, server.url))

    assert found["gap"].highest < 3 * found["gap"].present
    assert found["pay"].highest >= 3 * found["pay"].present * 0.999


async def test_the_process_answers_restarts_and_ends(server: PushedPrometheus) -> None:
    process = ForecastProcess(Connection(url=server.url))
    try:
        first = await process.refresh(RefreshRequest(NOW, (query("gap"),)))
        pid = process.pid
        assert pid is not None
        assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
        second = await process.refresh(RefreshRequest(NOW + 300, (query("gap"),)))
        assert process.pid == pid
        assert (first.requests, second.requests) == (3, 1), "it remembers"

        os.kill(pid, signal.SIGKILL)
        _wait_gone(pid)
        again = await _refreshed(process)
        assert again.requests == 3
        assert process.pid not in {None, pid}
    finally:
        last = process.pid
        await process.close()
    assert last is not None
    _wait_gone(last)


async def test_the_process_dies_with_the_operator(server: PushedPrometheus) -> None:
    process = ForecastProcess(Connection(url=server.url))
    await process.refresh(RefreshRequest(NOW, (query("gap"),)))
    pid, pipes = process.pid, process._process
    assert pid is not None
    assert pipes is not None
    assert pipes.stdin is not None

    pipes.stdin.close()

    assert await asyncio.wait_for(pipes.wait(), 30) == 0
    await process.close()


async def test_a_prometheus_that_is_away_is_told_and_comes_back_without_a_new_start(server: PushedPrometheus) -> None:
    unused = f"http://127.0.0.1:{free_ports(1)[0]}"
    process = ForecastProcess(Connection(url=unused))
    try:
        for _ in range(2):
            with pytest.raises(RefreshFailedError, match="cannot be reached") as caught:
                await process.refresh(RefreshRequest(NOW, (query("gap"),)))
            assert caught.value.reason == PrometheusUnreachableError.reason
        pid = process.pid
        assert pid is not None
    finally:
        await process.close()


async def test_a_process_that_takes_too_long_is_ended(server: PushedPrometheus) -> None:
    process = ForecastProcess(Connection(url=server.url), seconds=0.0)
    with pytest.raises(RefreshFailedError) as caught:
        await process.refresh(RefreshRequest(NOW, (query("gap"),), seconds=0.0))
    assert caught.value.reason == "ForecastTooSlow"
    assert process.pid is None


async def _refreshed(process: ForecastProcess) -> Refreshed:
    """The answer; that the process has died may be noticed only when the answer to one request does not come."""
    request = RefreshRequest(NOW + 300, (query("gap"),))
    with suppress(RefreshFailedError):
        return await process.refresh(request)
    return await process.refresh(request)


def _wait_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} still runs")
