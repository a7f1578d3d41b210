"""Moves with the real scheduler, metrics-server and Eviction API: a busy node loses a pod, a protected one stays."""

from typing import Any

import pytest

from harness import Installation
from localcluster import Cluster
from tests.support.installed import applied, deployment, eventually, status

pytestmark = [pytest.mark.xdist_group("balance")]

POOL: dict[str, Any] = {"pool": "moved"}
APPS = ("a", "b", "c")


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
    measured: Cluster, measuring: Installation, measured_namespace: str
) -> None:
    measured.add_nodes("moved", 3, cpu="8", zones=["zone-a"])
    for app in APPS:
        measured.apply(deployment(measured_namespace, app, 3, nodeSelector=POOL))
    pods = measured.wait_pods_ready(measured_namespace, 9)
    protected = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "a", "namespace": measured_namespace},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "a"}}},
    }
    measured.apply(protected)
    busy = pods[0]["spec"]["nodeName"]
    before = on(measured, measured_namespace, busy)
    assert set(before.values()) == set(APPS)
    measured.set_usage(measured_namespace, before, cpu="2200m")

    with applied(measured, balance(mode="DryRun")):
        shown = eventually(
            lambda: (status(measured, "zonalbalances", "moved").get("moves") or {}).get("next"), "moves in the status"
        )
        assert all(f": {busy} (" in line for line in shown or ())
        assert measuring.total("spillway_balance_moves_planned", balance="moved") >= 1
        assert on(measured, measured_namespace, busy) == before

        measured.apply(balance(mode="Active", by="Evict", settle="5s"))
        eventually(
            lambda: measuring.total("spillway_balance_moves_total", balance="moved", result="evicted") >= 1,
            "a pod to be evicted",
        )
        after = measured.wait_pods_ready(measured_namespace, 9)
        gone = {before[name] for name in before.keys() - {pod["metadata"]["name"] for pod in after}}
        assert gone
        assert "a" not in gone
        left = on(measured, measured_namespace, busy)
        # The node is hot, so the new pods are on the others.
        assert len(left) == len(before) - len(gone)
        events = measured.rest.items(f"/apis/events.k8s.io/v1/namespaces/{measured_namespace}/events")
        assert {one["regarding"]["name"] for one in events if one["reason"] == "PodMoved"} == gone
