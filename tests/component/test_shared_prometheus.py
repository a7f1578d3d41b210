"""A real Prometheus that several clusters share, that asks for credentials, or that gives up on a query."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from harness.prometheus import PushedPrometheus, prometheus_running
from localcluster.ports import free_ports
from spillway.domain.threshold.history import History
from spillway.sources.api_client import ApiClient
from spillway.sources.batches import Patience
from spillway.sources.connection import Connection
from spillway.sources.prometheus import DeniedError, Prometheus, PrometheusUnreachableError
from spillway.sources.prometheus_replicas import HistoryRequest, histories
from spillway.sources.prometheus_workloads import known_workloads
from tests.support.certificates import write_certificates
from tests.support.prometheus import PASSWORD, WebConfig, replicas_series

DAY = 86_400.0
NOW = 1_790_000_100.0
CART = "Deployment/shop/cart"
NAME = "prometheus.test"
KUBE_STATE_METRICS = {"__name__": "kube_deployment_spec_replicas", "namespace": "shop"}


def two_clusters(server: PushedPrometheus) -> None:
    """The same names in both: 10 replicas in the first cluster, 90 in the second."""
    minutes = np.arange(NOW - 3 * DAY, NOW, 60.0)
    young = minutes[minutes > NOW - DAY]
    server.push(
        [
            series
            for cluster, replicas in (("prod-1", 10), ("prod-2", 90))
            for series in (
                (replicas_series(CART) | {"cluster": cluster}, young, young * 0 + replicas),
                (KUBE_STATE_METRICS | {"deployment": "cart", "cluster": cluster}, minutes, minutes * 0 + replicas),
                (KUBE_STATE_METRICS | {"deployment": cluster, "cluster": cluster}, minutes, minutes * 0 + 1),
                ({"__name__": "rps", "app": "cart", "cluster": cluster}, minutes, minutes * 0 + replicas * 100),
            )
        ]
    )


@pytest.fixture(scope="module")
def shared() -> Iterator[PushedPrometheus]:
    # Prometheus gives up on a query after a second.
    with prometheus_running(flags=["--query.timeout=1s", "--query.max-samples=2000000000"]) as running:
        two_clusters(running)
        yield running


async def read(connection: Connection, *wanted: HistoryRequest, patience: Patience | None = None) -> dict[str, History]:
    async with Prometheus(connection) as prometheus:
        found = histories(prometheus, wanted, now=NOW, patience=patience)
        return {one.workload: one async for batch in found for one in batch}


@pytest.mark.parametrize(("cluster", "replicas"), [("prod-1", 10.0), ("prod-2", 90.0)])
async def test_workloads_of_the_same_name_are_told_apart_by_matchers(
    shared: PushedPrometheus, cluster: str, replicas: float
) -> None:
    connection = Connection(url=shared.url, matchers={"cluster": cluster})

    found = await read(connection, HistoryRequest(CART, 3 * DAY))

    assert set(found[CART].replicas) == {replicas}
    assert found[CART].seconds > 2.9 * DAY, "both sources are of this cluster"
    async with Prometheus(connection) as prometheus:
        assert await known_workloads(prometheus, NOW) == [CART, f"Deployment/shop/{cluster}"]


async def test_a_users_query_has_the_matchers_where_it_names_them(shared: PushedPrometheus) -> None:
    named, whole = "Deployment/shop/named", "Deployment/shop/whole"
    wanted = [
        HistoryRequest(named, 3 * DAY, 'sum(rps{$(matchers),app="cart"})', 100.0),
        HistoryRequest(whole, 3 * DAY, 'sum(rps{app="cart"})', 100.0),
    ]

    one_cluster = await read(Connection(url=shared.url, matchers={"cluster": "prod-1"}), *wanted)
    no_matchers = await read(Connection(url=shared.url), *wanted)

    assert set(one_cluster[named].replicas) == {10.0}
    assert set(one_cluster[whole].replicas) == {100.0}, "sent as written"
    assert set(no_matchers[named].replicas) == {100.0}


@pytest.mark.parametrize(
    "patience", [pytest.param(Patience(), id="Prometheus' limit"), pytest.param(Patience(longest=0.8), id="own limit")]
)
async def test_a_query_that_takes_too_long_costs_no_other_its_history(
    shared: PushedPrometheus, patience: Patience
) -> None:
    slow = "Deployment/shop/slow"
    good = [f"Deployment/shop/good-{index}" for index in range(15)]
    wanted = [HistoryRequest(one, 3 * DAY, 'sum(rps{cluster="prod-1"})', 100.0) for one in good]
    wanted.append(HistoryRequest(slow, 3 * DAY, "sum_over_time((vector(time()) + vector(time()))[60d:1s])", 1.0))

    found = await read(Connection(url=shared.url), *wanted, patience=patience)

    problem = found[slow].problem
    assert problem is not None
    assert problem.reason == "QueryTimedOut"
    assert found[slow].times.size == 0
    assert [name for name in good if found[name].problem is not None] == []
    assert {float(value) for name in good for value in found[name].replicas} == {10.0}


@pytest.mark.parametrize("client", [Prometheus, ApiClient])
async def test_tls_with_a_client_certificate_and_a_user_that_are_renewed(
    client: type[Prometheus | ApiClient], tmp_path: Path
) -> None:
    config = WebConfig(tmp_path / "web.yaml", write_certificates(tmp_path / "tls", NAME))
    config.write("first")
    user, password = tmp_path / "username", tmp_path / "password"
    user.write_text("first\n")
    password.write_text(PASSWORD)
    files = {"ca_file": config.certificates.ca, "cert_file": config.certificates.certificate}
    tls = {name: str(path) for name, path in files.items()} | {"key_file": str(config.certificates.key)}

    def connection(**fields: Any) -> Connection:
        return Connection(url=server.url, username_file=str(user), password_file=str(password), **fields)

    with prometheus_running(web=config) as server:
        server.headers["Authorization"] = "Basic " + base64.b64encode(f"first:{PASSWORD}".encode()).decode()
        await asyncio.to_thread(two_clusters, server)
        async with client(connection(matchers={"cluster": "prod-1"}, server_name=NAME, **tls)) as prometheus:
            assert await known_workloads(prometheus, NOW)

            config.write("second")
            with pytest.raises(DeniedError, match="401"):
                await known_workloads(prometheus, NOW)
            user.write_text("second\n")
            assert await known_workloads(prometheus, NOW), "the same client, with the new user"

            write_certificates(tmp_path / "tls", NAME)
            assert await known_workloads(prometheus, NOW), "another authority, for both sides"

        wrong: dict[str, dict[str, Any]] = {
            "another name in the certificate": {**tls, "server_name": "other.test"},
            "an authority that is not trusted": {**tls, "server_name": NAME, "ca_file": ""},
            "no client certificate": {"ca_file": tls["ca_file"], "server_name": NAME},
        }
        for case, fields in wrong.items():
            async with client(connection(**fields)) as prometheus:
                with pytest.raises(PrometheusUnreachableError, match="cannot be reached"):
                    pytest.fail(f"{case}: {await prometheus.instant('up', NOW)}")


async def test_headers_go_with_each_request() -> None:
    seen: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers.get("X-Scope-OrgID", "")))
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": []}})

    application = web.Application()
    application.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_ports(1)[0]
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        connection = Connection(url=f"http://127.0.0.1:{port}/prometheus", headers={"X-Scope-OrgID": "prod|test"})
        await read(connection, HistoryRequest(CART, 3 * DAY), HistoryRequest(CART, 3 * DAY, "up", 1.0))
    finally:
        await runner.cleanup()

    assert set(seen) == {("/prometheus/api/v1/query_range", "prod|test")}
    assert len(seen) == 3
