"""Moves with the real scheduler, metrics-server and Eviction API: a busy node loses a pod, a protected one stays."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from harness import Installation
from localcluster import Cluster
from spillway.domain.model.names import SURGE
from tests.support.installed import added_nodes, annotations, applied, deployment, eventually, node, policy, status
from tests.support.tight import is_ready

pytestmark = [pytest.mark.xdist_group("balance")]

POOL: dict[str, Any] = {"pool": "moved"}
APPS = ("a", "b", "c")
APART = (("alone", 1), ("full", 3), ("more", 3))
"""Workloads of which each has a pod on the busy node; a plan moves two of these."""
FULL = ("full", "more")
SLOW = ("slow", "late")


@pytest.fixture
def nodes(measured: Cluster) -> Iterator[list[str]]:
    """Three nodes of one zone for one scenario."""
    with added_nodes(measured, "moved", 3, cpu="8", zones=["zone-a"]) as names:
        yield names


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


@pytest.mark.usefixtures("nodes")
def test_a_busy_node_loses_a_pod_and_a_disruption_budget_holds(
    measured: Cluster, measuring: Installation, measured_namespace: str
) -> None:
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


def autoscaler(namespace: str, name: str, replicas: int, maximum: int) -> dict[str, Any]:
    """An autoscaler that takes back at once whatever is above its least number of replicas."""
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 10_000}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": replicas,
            "maxReplicas": maximum,
            "metrics": [{"type": "Resource", "resource": metric}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }


class ReadyWatch:
    """The least number of ready replicas that each workload has had since the watch began."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self.least: dict[str, int] = {}

    def look(self) -> None:
        pods = [pod for pod in self._cluster.pods(self._namespace) if "deletionTimestamp" not in pod["metadata"]]
        ready = Counter(pod["metadata"]["labels"]["app"] for pod in pods if is_ready(pod))
        for app in {*self.least, *ready}:
            self.least[app] = min(self.least.get(app, ready[app]), ready[app])


def counted(measuring: Installation, result: str) -> float:
    return measuring.total("spillway_balance_moves_total", balance="moved", result=result)


def wait_at_rest(cluster: Cluster, namespace: str, pods: int) -> None:
    """As many pods as asked for, and no mark of a surge."""
    eventually(lambda: len([pod for pod in cluster.pods(namespace) if is_ready(pod)]) == pods, "as many pods as before")
    path = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    eventually(lambda: not any(SURGE in annotations(one) for one in cluster.rest.items(path)), "no mark to be left")


@pytest.mark.parametrize("governed", [False, True], ids=["no policy", "governed"])
def test_the_only_replica_moves_without_a_gap_and_a_workload_at_its_maximum_is_left(
    measured: Cluster, measuring: Installation, measured_namespace: str, nodes: list[str], *, governed: bool
) -> None:
    measured.apply([deployment(measured_namespace, app, replicas, nodeSelector=POOL) for app, replicas in APART])
    measured.apply([autoscaler(measured_namespace, app, 3, maximum=3) for app in FULL])
    pods = measured.wait_pods_ready(measured_namespace, 7)
    busy = next(pod["spec"]["nodeName"] for pod in pods if pod["metadata"]["labels"]["app"] == "alone")
    before = on(measured, measured_namespace, busy)
    assert set(before.values()) == {app for app, _ in APART}
    measured.set_usage(measured_namespace, before, cpu="2")
    evicted, watch = counted(measuring, "evicted"), ReadyWatch(measured, measured_namespace)
    measured.rest.merge(f"/api/v1/namespaces/{measured_namespace}", {"metadata": {"labels": {"team": "moved"}}})
    policies = [policy("moved", namespace_label="moved")] if governed else []

    def away() -> bool:
        watch.look()
        return "alone" not in on(measured, measured_namespace, busy).values()

    def left() -> bool:
        watch.look()
        lines = (status(measured, "zonalbalances", "moved").get("moves") or {}).get("left") or []
        wanted = {f"Deployment/{measured_namespace}/{app}: AutoscalerAtMaximum" for app in FULL}
        return bool(wanted & set(lines))

    with applied(measured, *policies, balance(mode="Active", by="Surge", maxMovesPerMinute=10)):
        eventually(away, "the only replica of a workload to leave the busy node", seconds=150)
        eventually(left, "the workload at its maximum to be left", seconds=60)
        wait_at_rest(measured, measured_namespace, 7)
        watch.look()

    assert watch.least == dict(APART)
    assert counted(measuring, "evicted") == evicted
    assert {pod["spec"]["nodeName"] for pod in measured.pods(measured_namespace)} <= set(nodes)


@pytest.mark.usefixtures("nodes")
def test_an_autoscaler_that_scales_in_between_takes_precedence_and_no_replica_is_missing(
    measured: Cluster, measuring: Installation, measured_namespace: str
) -> None:
    for app in SLOW:
        slow = deployment(measured_namespace, app, 3, nodeSelector=POOL)
        # The surge waits until its replica is available, and the autoscaler looks every 15 seconds.
        slow["spec"]["minReadySeconds"] = 60
        measured.apply([slow, autoscaler(measured_namespace, app, 3, maximum=9)])
    pods = measured.wait_pods_ready(measured_namespace, 6)
    busy = on(measured, measured_namespace, pods[0]["spec"]["nodeName"])
    assert set(busy.values()) == set(SLOW)
    measured.set_usage(measured_namespace, busy, cpu="3")
    overtaken, watch = counted(measuring, "Overtaken"), ReadyWatch(measured, measured_namespace)

    def seen() -> bool:
        watch.look()
        return counted(measuring, "Overtaken") > overtaken

    with applied(measured, balance(mode="Active", by="Surge")):
        eventually(seen, "the autoscaler to scale during a surge", seconds=180)
        wait_at_rest(measured, measured_namespace, 6)
        watch.look()

    assert watch.least == dict.fromkeys(SLOW, 3)


def pinned(namespace: str, name: str, node: str, cpu: str) -> dict[str, Any]:
    """A Deployment of one pod on this node, with these requests."""
    made = deployment(namespace, name, 1, nodeSelector={"kubernetes.io/hostname": node})
    made["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = cpu
    return made


def node_of(cluster: Cluster, namespace: str, app: str) -> set[str]:
    """The nodes of the workload's pods that stay."""
    pods = [pod for pod in cluster.pods(namespace) if "deletionTimestamp" not in pod["metadata"]]
    return {pod["spec"].get("nodeName", "") for pod in pods if pod["metadata"]["labels"]["app"] == app}


@pytest.mark.parametrize("governed", [False, True], ids=["no policy", "placed by a policy"])
def test_the_replacement_lands_on_the_planned_node_where_the_scheduler_would_choose_another(
    measured: Cluster, measuring: Installation, measured_namespace: str, nodes: list[str], *, governed: bool
) -> None:
    busy, requested, cold = nodes
    # By real load `cold` is the best node; by requests, which are all that the scheduler knows, the worst.
    measured.apply(
        [pinned(measured_namespace, "full", cold, "6"), pinned(measured_namespace, "low", requested, "100m")]
    )
    measured.wait_pods_ready(measured_namespace, 2)
    for name in (requested, cold):
        measured.kubectl("cordon", name)
    measured.apply([deployment(measured_namespace, app, 1, nodeSelector=POOL) for app in ("moves", "stays")])
    pods = measured.wait_pods_ready(measured_namespace, 4)
    for name in (requested, cold):
        measured.kubectl("uncordon", name)
    use = {"full": "100m", "low": "3", "moves": "2400m", "stays": "3"}
    for pod in pods:
        measured.set_usage(measured_namespace, [pod["metadata"]["name"]], cpu=use[pod["metadata"]["labels"]["app"]])
    measured.rest.merge(f"/api/v1/namespaces/{measured_namespace}", {"metadata": {"labels": {"team": "moved"}}})
    placed = policy("moved", namespace_label="moved")
    placed["spec"]["workloads"][0]["placement"] = {"virtual": "Never"}

    def planned() -> list[str]:
        lines = (status(measured, "zonalbalances", "moved").get("moves") or {}).get("next") or []
        return [line.rpartition(" to ")[2] for line in lines if "/moves-" in line or len(lines) > 1]

    with applied(measured, *([placed] if governed else []), balance(mode="DryRun")):
        eventually(lambda: planned() == [cold], "the plan to have one move, to the coldest node")
        eventually(
            lambda: any("hot" in one["key"] for one in node(measured, busy)["spec"].get("taints") or ()), "the taint"
        )
        measured.apply(deployment(measured_namespace, "new", 1, nodeSelector=POOL))
        measured.wait_pods_ready(measured_namespace, 5)
        assert node_of(measured, measured_namespace, "new") == {requested}, "where the scheduler sends a new pod"

        measured.apply(balance(mode="Active", by="Surge"))
        eventually(lambda: node_of(measured, measured_namespace, "moves") == {cold}, "the planned node", seconds=150)
        wait_at_rest(measured, measured_namespace, 5)
    [pod] = [pod for pod in measured.pods(measured_namespace) if pod["metadata"]["labels"]["app"] == "moves"]
    [term] = pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["preference"]["matchFields"][0]["values"] == [cold]
