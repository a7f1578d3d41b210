"""The page of the report, from the operator's process, the real API server and a real Prometheus."""

import asyncio
import base64
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import numpy as np
import pytest

from harness import Installation, install
from harness.prometheus import PushedPrometheus, prometheus_running
from localcluster import ClusterApi
from spillway.app.report.process import Job, RenderFailedError, render_beside
from spillway.kube.access import Access, User, question
from spillway.sources.connection import Connection
from tests.support.installed import applied, policy

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
READ: dict[str, Any] = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "spillway-report"}


@pytest.fixture
def prometheus() -> Iterator[PushedPrometheus]:
    with prometheus_running() as running:
        yield running


@pytest.fixture
def serving(cluster: ClusterApi, prometheus: PushedPrometheus) -> Iterator[Installation]:
    """One replica that serves the page, and another one that does not."""
    flags = ("--lease-seconds=6", f"--prometheus-url={prometheus.url}")
    with install(cluster, {"report": {"enabled": True}}, replicas=0, flags=flags) as made:
        made.start_one(0)
        made.start_one(1, flags=("--no-report-page",))
        made.wait_ready()
        yield made
        made.uninstall()


def _token(cluster: ClusterApi, namespace: str, name: str) -> str:
    cluster.rest.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})
    return cluster.service_account_token(namespace, name)


def _push_history(prometheus: PushedPrometheus) -> None:
    times = np.arange(time.time() - 2 * 86_400, time.time(), 300.0)
    nodes = {"__name__": "spillway_nodes", "tier": "fixed"}
    used = {"__name__": "spillway_consumed_cpu_seconds_total", "namespace": "shop", "workload": "Deployment/shop/cart"}
    seconds = np.arange(times.size, dtype=np.float64) * 600.0
    prometheus.push([(nodes, times, np.full(times.size, 3.0)), ({**used, "tier": "fixed"}, times, seconds)])


async def test_who_may_read_the_page(
    cluster: ClusterApi, namespace: str, prometheus: PushedPrometheus, serving: Installation
) -> None:
    _push_history(prometheus)
    plain, reader = (_token(cluster, namespace, name) for name in ("plain", "reader"))
    binding = {
        "metadata": {"name": f"{namespace}-report"},
        "roleRef": READ,
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
    }
    cluster.rest.create(f"{RBAC}/clusterrolebindings", binding)
    asked_by = question(User.of_service_account(namespace, "reader"), Access("get", "/report"))
    review = {"spec": asked_by}
    # The operator would remember a refusal.
    cluster.wait_until(lambda: cluster.rest.create(REVIEWS, review)["status"]["allowed"], "the reader's right")
    browser = "Basic " + base64.b64encode(f"me:{reader}".encode()).decode()
    try:
        with applied(cluster, policy("page")):
            async with aiohttp.ClientSession() as session:

                async def asked(authorization: str = "", index: int = 0) -> tuple[int, str, list[str]]:
                    headers = {"Authorization": authorization} if authorization else {}
                    async with session.get(serving.url(index, "/report"), headers=headers) as answer:
                        return answer.status, await answer.text(), answer.headers.getall("WWW-Authenticate", [])

                status, _, wanted = await asked()
                assert status == 401
                assert [one.partition(" ")[0] for one in wanted] == ["Bearer", "Basic"]
                assert (await asked("Bearer invented"))[0] == 401
                assert (await asked("Basic YTpi"))[0] == 401
                assert (await asked(f"Bearer {plain}"))[0] == 403
                (status, page, _), (second, same, _) = await asyncio.gather(asked(f"Bearer {reader}"), asked(browser))
                assert (status, second) == (200, 200), page
                assert page == same, "one render for both"
                assert "<td>page</td>" in page, "the policy of the API server"
                assert '<div class="chart">' in page, "the history of Prometheus"
                assert (await asked(f"Bearer {reader}", index=1))[0] == 404, "where it is off"
    finally:
        cluster.rest.delete(f"{RBAC}/clusterrolebindings/{namespace}-report")
    assert serving.metrics(0).total("spillway_report_renders_total", result="made") == 1


async def test_what_keeps_a_page_from_being_rendered_is_told(cluster: ClusterApi) -> None:
    with install(cluster, replicas=0) as made:
        job = Job(
            namespace=made.namespace,
            lease="spillway",
            history_seconds=86_400.0,
            kubeconfig=str(cluster.kubeconfig),
            prometheus=Connection(url="http://127.0.0.1:9"),
        )
        with pytest.raises(RenderFailedError, match="the history cannot be read") as unreadable:
            await render_beside(job)
        assert unreadable.value.reason == "unreadable"
        with pytest.raises(RenderFailedError, match="not rendered within") as late:
            await render_beside(job, seconds=0.01)
        assert late.value.reason == "late"
        made.uninstall()
