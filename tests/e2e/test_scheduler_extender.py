"""The real scheduler with the extender: pods go to less loaded nodes, and go on to be scheduled without it."""

import base64
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness import Installation
from localcluster import Cluster, ClusterFactory, Options
from localcluster.rest import Object
from spillway.domain.balance.node_scores import MEASURED_SECONDS
from tests.support.e2e import two_replicas
from tests.support.installed import applied, deployment, eventually, status
from tests.support.moving import pinned

pytestmark = [pytest.mark.xdist_group("scheduler-extender")]

POOL: dict[str, Any] = {"pool": "scored"}
STALE_SECONDS = 45
BALANCE: Object = {
    "apiVersion": "spillway.dev/v1alpha1",
    "kind": "ZonalBalance",
    "metadata": {"name": "scored"},
    "spec": {
        "nodeSelector": {"matchLabels": POOL},
        "load": {"refresh": "5s", "staleAfter": f"{STALE_SECONDS}s", "weights": {"cpu": 100, "memory": 0}},
    },
}


@pytest.fixture(scope="module")
def cluster(cluster_factory: ClusterFactory) -> Iterator[Cluster]:
    with cluster_factory(Options(metrics_server=True)) as made:
        assert isinstance(made, Cluster)
        yield made


@pytest.fixture
def installed(cluster: Cluster) -> Iterator[Installation]:
    with two_replicas(cluster, {"schedulerExtender": {"enabled": True}}) as made:
        yield made


@pytest.fixture
def nodes(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Two nodes: one with few requests, which is really busy, and one with many, which is idle."""
    busy, idle = cluster.add_nodes("scored", 2, cpu="8", zones=["zone-a"])
    yield busy, idle
    cluster.delete_nodes([busy, idle])


def extender(installed: Installation, folder: Path) -> dict[str, Any]:
    """The extender as docs/how-to/scheduler-extender.md has it."""
    configuration = installed.cluster.rest.get(
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/spillway"
    )
    authority = folder / "spillway-ca.crt"
    authority.write_bytes(base64.b64decode(configuration["webhooks"][0]["clientConfig"]["caBundle"]))
    return {
        "urlPrefix": f"https://127.0.0.1:{installed.extender_port}/scheduler",
        "prioritizeVerb": "prioritize",
        "weight": 3,
        "nodeCacheCapable": True,
        "ignorable": True,
        "httpTimeout": "2s",
        "enableHTTPS": True,
        "tlsConfig": {"caFile": str(authority), "serverName": "spillway-webhook.spillway-system.svc"},
    }


def placed(cluster: Cluster, namespace: str, prefix: str, count: int = 4) -> set[str]:
    """The nodes of new pods, each of a Deployment of its own, so that no topology spread counts."""
    before = len(cluster.pods(namespace))
    cluster.apply([deployment(namespace, f"{prefix}-{number}", 1, nodeSelector=POOL) for number in range(count)])
    pods = cluster.wait_pods_ready(namespace, before + count)
    return {pod["spec"]["nodeName"] for pod in pods if pod["metadata"]["name"].startswith(prefix)}


def answered(installed: Installation, result: str) -> float:
    return installed.total("spillway_extender_requests_total", result=result)


def test_pods_go_to_the_less_loaded_node_and_are_scheduled_without_the_operator(
    cluster: Cluster, installed: Installation, nodes: tuple[str, str], tmp_path: Path
) -> None:
    busy, idle = nodes
    with cluster.namespace() as namespace, ExitStack() as stack:
        cluster.apply(pinned(namespace, "hot", busy, "100m"))
        cluster.apply(pinned(namespace, "full", idle, "5"))
        for pod in cluster.wait_pods_ready(namespace, 2):
            use = "5" if pod["metadata"]["labels"]["app"] == "hot" else "100m"
            cluster.set_usage(namespace, [pod["metadata"]["name"]], cpu=use)
        _wait_measured(cluster, nodes, since=time.time() + MEASURED_SECONDS + 2)
        stack.enter_context(applied(cluster, BALANCE))
        eventually(
            lambda: (status(cluster, "zonalbalances", "scored").get("imbalancePercent") or 0) > 50,
            "the load to be read",
        )
        assert placed(cluster, namespace, "plain") == {busy}, "where the scheduler alone sends pods"

        # The scheduler may ask either replica, and a reading takes some seconds to reach both.
        eventually(lambda: all(map(partial(_knows_load, installed), installed.running)), "both to know the load")
        cluster.use_scheduler_extenders(extender(installed, tmp_path))
        assert placed(cluster, namespace, "scored") == {idle}
        assert answered(installed, "scored") >= 4
        assert answered(installed, "refused") == answered(installed, "equal") == 0

        # The replica that leads does not listen there: the other one answers by what the leader has read.
        leader = installed.wait_leader()
        installed.kill(leader, signal.SIGTERM)
        installed.start_one(leader, flags=["--scheduler-extender-port=0"])
        installed.wait_ready()
        [other] = {*installed.running} - {leader}
        if installed.wait_leader() == other:
            # Started again before the first one leads, it may win the Lease once more.
            installed.kill(other, signal.SIGTERM)
            installed.wait_leader(other_than=other)
            installed.start_one(other)
            installed.wait_ready()
        eventually(
            lambda: bool(installed.metrics(leader).total("spillway_balance_load_timestamp_seconds")), "a reading"
        )
        eventually(lambda: _scored_by(cluster, installed, namespace, other), "the other replica to know the load")
        assert placed(cluster, namespace, "other") == {idle}

        cluster.end("metrics-server")
        equal = answered(installed, "equal")
        eventually(
            lambda: _scored_by(cluster, installed, namespace, other, result="equal"),
            "equal scores, because the load is too old",
            seconds=STALE_SECONDS + 60,
        )
        assert placed(cluster, namespace, "stale") == {busy}, "as without the extender"
        assert answered(installed, "equal") >= equal + 4
        cluster.restart("metrics-server")

        installed.stop()
        assert placed(cluster, namespace, "without") == {busy}


def _knows_load(installed: Installation, index: int) -> bool:
    return installed.metrics(index).total("spillway_extender_load_timestamp_seconds") > 0


def _wait_measured(cluster: Cluster, nodes: Collection[str], *, since: float) -> None:
    """Wait until the newest measurement of each of these nodes is from after this Unix time.

    The first measurement that the operator reads shows only pods that came `MEASURED_SECONDS` before it.
    """

    def newest() -> bool:
        found = cluster.rest.get("/apis/metrics.k8s.io/v1beta1/nodes")["items"]
        times = {one["metadata"]["name"]: datetime.fromisoformat(one["timestamp"]).timestamp() for one in found}
        return all(times.get(node, 0.0) > since for node in nodes)

    eventually(newest, "a measurement that shows the pods wholly")


def _scored_by(
    cluster: Cluster, installed: Installation, namespace: str, index: int, *, result: str = "scored"
) -> bool:
    """Whether this replica answers a request of the scheduler so; it is asked for one pod."""
    before = installed.metrics(index).total("spillway_extender_requests_total", result=result)
    body = {
        "metadata": {"generateName": "probe-", "namespace": namespace},
        "spec": {"containers": [{"name": "main", "image": "pause"}], "nodeSelector": POOL},
    }
    made = cluster.rest.create(f"/api/v1/namespaces/{namespace}/pods", body)
    path = f"/api/v1/namespaces/{namespace}/pods/{made['metadata']['name']}"
    eventually(lambda: cluster.rest.get(path)["spec"].get("nodeName"), "a node for the probe")
    cluster.rest.delete(path)
    eventually(
        lambda: made["metadata"]["name"] not in {one["metadata"]["name"] for one in cluster.pods(namespace)}, "no probe"
    )
    return installed.metrics(index).total("spillway_extender_requests_total", result=result) > before
