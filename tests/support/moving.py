"""Moves on the real control plane: Deployments on chosen nodes, a ZonalBalance by CPU, and what is watched."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from localcluster import Cluster
from spillway.domain.model.names import SURGE
from tests.support.installed import annotations, autoscaler, deployment, eventually
from tests.support.tight import is_ready

POOL: Final[dict[str, Any]] = {"pool": "moved"}
"""The labels of the nodes of a scenario."""
_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


def balance(more: Mapping[str, Any] = _EMPTY, **rebalance: Any) -> dict[str, Any]:
    """The ZonalBalance of these nodes, by CPU alone; `more` are other sections."""
    load = {"refresh": "5s", "staleAfter": "1m", "weights": {"cpu": 100, "memory": 0}}
    spec = {"load": load, "hotNodes": {"above": 60, "for": "5s"}, "rebalance": {"settle": "5s", **rebalance}, **more}
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ZonalBalance",
        "metadata": {"name": "moved"},
        "spec": {"nodeSelector": {"matchLabels": POOL}, **spec},
    }


def pinned(namespace: str, name: str, node: str, cpu: str) -> dict[str, Any]:
    """A Deployment of one pod on this node, with these requests."""
    made = deployment(namespace, name, 1, nodeSelector={"kubernetes.io/hostname": node})
    made["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = cpu
    return made


def using(made: dict[str, Any], annotation: str, amount: str) -> dict[str, Any]:
    """The same Deployment, whose pods use this much, also those that replace them."""
    made["spec"]["template"]["metadata"]["annotations"] = {annotation: amount}
    return made


def only_on(cluster: Cluster, namespace: str, name: str, others: list[str], *made: dict[str, Any]) -> None:
    """Create these Deployments of one pod each while no other node accepts pods; afterwards they all do."""
    for other in others:
        cluster.kubectl("cordon", other)
    cluster.apply(list(made))
    apps = [one["metadata"]["name"] for one in made]
    eventually(lambda: all(node_of(cluster, namespace, app) == {name} for app in apps), f"the pods to be on {name}")
    for other in others:
        cluster.kubectl("uncordon", other)


def on(cluster: Cluster, namespace: str, node: str) -> dict[str, str]:
    """The pods on a node, with their workloads."""
    pods = cluster.pods(namespace)
    return {
        pod["metadata"]["name"]: pod["metadata"]["labels"]["app"] for pod in pods if pod["spec"].get("nodeName") == node
    }


def node_of(cluster: Cluster, namespace: str, app: str) -> set[str]:
    """The nodes of the workload's pods that stay."""
    pods = [pod for pod in cluster.pods(namespace) if "deletionTimestamp" not in pod["metadata"]]
    return {pod["spec"].get("nodeName", "") for pod in pods if pod["metadata"]["labels"]["app"] == app}


def steady_autoscaler(namespace: str, name: str, replicas: int, maximum: int) -> dict[str, Any]:
    """An autoscaler that takes back at once whatever is above its least number of replicas."""
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 10_000}}
    return autoscaler(
        namespace,
        name,
        replicas,
        maximum,
        metrics=[{"type": "Resource", "resource": metric}],
        behavior={"scaleDown": {"stabilizationWindowSeconds": 0}},
    )


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


def surging(cluster: Cluster, namespace: str) -> bool:
    """Whether some ReplicaSet has the mark of a surge."""
    path = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    return any(SURGE in annotations(one) for one in cluster.rest.items(path))


def wait_at_rest(cluster: Cluster, namespace: str, pods: int) -> None:
    """As many pods as asked for, and no mark of a surge."""
    eventually(lambda: len([pod for pod in cluster.pods(namespace) if is_ready(pod)]) == pods, "as many pods as before")
    eventually(lambda: not surging(cluster, namespace), "no mark to be left")
