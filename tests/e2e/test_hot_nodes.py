"""Hot nodes with the real scheduler and metrics-server: new pods avoid them, and nothing changes without data."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness import Installation
from localcluster import Cluster
from localcluster.rest import Object, RestError
from tests.support.installed import added_nodes, applied, condition, deployment, eventually, status, without_metrics

pytestmark = [pytest.mark.xdist_group("balance")]

POOL: dict[str, Any] = {"pool": "even"}


@pytest.fixture
def nodes(measured: Cluster) -> Iterator[list[str]]:
    with added_nodes(measured, "even", 3, cpu="8", zones=["zone-a"]) as names:
        yield names


def balance(**spec: Any) -> Object:
    load = {"refresh": "5s", "staleAfter": "25s", "weights": {"cpu": 100, "memory": 0}}
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ZonalBalance",
        "metadata": {"name": "even"},
        "spec": {
            "nodeSelector": {"matchLabels": POOL},
            "load": load,
            "hotNodes": {"above": 60, "for": "10s"},
            **spec,
        },
    }


def hot(cluster: Cluster) -> set[str]:
    """The nodes with the taint of the balance."""
    return {
        item["metadata"]["name"]
        for item in cluster.rest.items("/api/v1/nodes")
        for taint in item["spec"].get("taints") or []
        if (taint["key"], taint.get("value"), taint["effect"]) == ("spillway.dev/hot", "even", "PreferNoSchedule")
    }


def landed(cluster: Cluster, namespace: str, name: str, replicas: int) -> set[str]:
    """Where the pods of a new Deployment land."""
    cluster.apply(deployment(namespace, name, replicas, nodeSelector=POOL))
    pods = cluster.wait_pods_ready(namespace, replicas, f"app={name}")
    return {pod["spec"]["nodeName"] for pod in pods}


@pytest.mark.usefixtures("measuring")
def test_a_load_that_is_stale_before_the_next_reading_is_refused(measured: Cluster) -> None:
    wrong = balance(load={"refresh": "1m", "staleAfter": "60s"})

    def refusal() -> str:
        try:
            measured.rest.create("/apis/spillway.dev/v1alpha1/zonalbalances?dryRun=All", wrong)
        except RestError as error:
            return str(error)
        return ""

    # Until it has read the bundle that the operator publishes at its first start, the API server takes it unasked.
    said = measured.wait_until(refusal, "the API server to ask the webhook")
    assert 'spec.load.staleAfter: "60s" must be longer than refresh' in said


def test_new_pods_avoid_a_hot_node_and_without_data_nothing_changes(
    measured: Cluster, measuring: Installation, measured_namespace: str, nodes: list[str]
) -> None:
    busy, *others = nodes
    # By requests the busy node is the emptiest, so the scheduler alone prefers it.
    for name in others:
        filler = deployment(measured_namespace, f"filler-{name}", 1, nodeName=name)
        filler["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] = {"cpu": "4", "memory": "64Mi"}
        measured.apply(filler)
    measured.apply(deployment(measured_namespace, "busy", 1, nodeName=busy))
    pods = measured.wait_pods_ready(measured_namespace, 3)
    assert landed(measured, measured_namespace, "before", 1) == {busy}
    [pod] = [pod["metadata"]["name"] for pod in pods if pod["metadata"]["labels"]["app"] == "busy"]
    with applied(measured, balance()):
        measured.set_usage(measured_namespace, [pod], cpu="7")
        eventually(lambda: hot(measured) == {busy}, "the busy node to be tainted")
        assert busy not in landed(measured, measured_namespace, "after", 4)
        eventually(lambda: status(measured, "zonalbalances", "even").get("hotNodes") == [busy], "the status to name it")
        shown = status(measured, "zonalbalances", "even")
        assert shown["imbalancePercent"] > 50
        assert [zone["name"] for zone in shown["zones"] if "loadPercent" in zone] == ["zone-a"]
        assert measuring.total("spillway_balance_hot_nodes", balance="even") == 1

        with without_metrics(measured):
            measured.set_usage(measured_namespace, [pod], cpu="10m")
            eventually(
                lambda: condition(measured, "zonalbalances", "even", "LoadDataStale").get("status") == "True",
                "the load to count as stale",
            )
            assert hot(measured) == {busy}
            assert "imbalancePercent" not in status(measured, "zonalbalances", "even")

        eventually(lambda: not hot(measured), "the cooled node to lose its taint")
        eventually(
            lambda: condition(measured, "zonalbalances", "even", "LoadDataStale").get("reason") == "LoadIsFresh",
            "the status to say that the load is fresh",
        )
        assert condition(measured, "zonalbalances", "even", "LoadDataStale")["status"] == "False"

        measured.set_usage(measured_namespace, [pod], cpu="7")
        eventually(lambda: hot(measured) == {busy}, "the node to be hot again")
    eventually(lambda: not hot(measured), "the taint to go with its balance")
