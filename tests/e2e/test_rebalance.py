"""Moves with the real scheduler, metrics-server and Eviction API: a busy node loses a pod, a protected one stays."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness import Installation
from harness.operator import install
from localcluster import Cluster, ClusterFactory, Options
from tests.support.installed import applied, deployment, eventually, status

pytestmark = pytest.mark.timeout(400)

POOL: dict[str, Any] = {"pool": "moved"}
APPS = ("a", "b", "c")
WAIT_SECONDS = 150.0
"""metrics-server measures every ten seconds, needs two samples, and plans are made every half minute."""


@pytest.fixture(scope="module")
def measured(cluster_factory: ClusterFactory) -> Cluster:
    cluster = cluster_factory(Options(metrics_server=True))
    assert isinstance(cluster, Cluster)
    cluster.add_nodes("moved", 3, cpu="8", zones=["zone-a"])
    return cluster


@pytest.fixture(scope="module")
def operator(measured: Cluster) -> Iterator[Installation]:
    installed = install(measured, replicas=1, flags=["--status-seconds=1"])
    yield installed
    installed.close()


@pytest.fixture
def place(measured: Cluster) -> Iterator[str]:
    with measured.namespace() as name:
        yield name


def balance(**rebalance: Any) -> dict[str, Any]:
    load = {"refresh": "5s", "staleAfter": "1m", "weights": {"cpu": 100, "memory": 0}}
    spec = {"load": load, "hotNodes": {"above": 60, "for": "5s"}, "rebalance": {"settle": "5s", **rebalance}}
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ZonalBalance",
        "metadata": {"name": "moved"},
        "spec": {"nodeSelector": {"matchLabels": POOL}, **spec},
    }


def on(cluster: Cluster, namespace: str, node: str) -> dict[str, str]:
    """The pods on a node, with their workloads."""
    pods = cluster.pods(namespace)
    return {
        pod["metadata"]["name"]: pod["metadata"]["labels"]["app"] for pod in pods if pod["spec"].get("nodeName") == node
    }


def test_a_busy_node_loses_a_pod_and_a_disruption_budget_holds(
    measured: Cluster, operator: Installation, place: str
) -> None:
    for app in APPS:
        measured.apply(deployment(place, app, 3, nodeSelector=POOL))
    pods = measured.wait_pods_ready(place, 9, timeout_seconds=WAIT_SECONDS)
    protected = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "a", "namespace": place},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "a"}}},
    }
    measured.apply(protected)
    busy = pods[0]["spec"]["nodeName"]
    before = on(measured, place, busy)
    assert set(before.values()) == set(APPS)
    measured.set_usage(place, before, cpu="2200m")

    with applied(measured, balance(mode="DryRun")):
        shown = eventually(
            lambda: (status(measured, "zonalbalances", "moved").get("moves") or {}).get("next"),
            "moves in the status",
            seconds=WAIT_SECONDS,
        )
        assert all(f": {busy} (" in line for line in shown or ())
        assert operator.total("spillway_balance_moves_planned", balance="moved") >= 1
        assert on(measured, place, busy) == before

        measured.apply(balance(mode="Active", by="Evict", settle="5s"))
        eventually(
            lambda: operator.total("spillway_balance_moves_total", balance="moved", result="evicted") >= 1,
            "a pod to be evicted",
            seconds=WAIT_SECONDS,
        )
        after = measured.wait_pods_ready(place, 9, timeout_seconds=WAIT_SECONDS)
        gone = {before[name] for name in before.keys() - {pod["metadata"]["name"] for pod in after}}
        assert gone
        assert "a" not in gone
        left = on(measured, place, busy)
        # The node is hot, so the new pods are on the others.
        assert len(left) == len(before) - len(gone)
        events = measured.rest.items(f"/apis/events.k8s.io/v1/namespaces/{place}/events")
        assert {one["regarding"]["name"] for one in events if one["reason"] == "PodMoved"} == gone
