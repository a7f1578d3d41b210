"""Half-empty elastic nodes: workloads of one replica, each alone on a node that a node autoscaler has added for it."""

from typing import Any

from localcluster import Cluster
from localcluster.rest import Object
from spillway.domain.model.names import EMPTYING_TAINT, SURGE
from tests.support.installed import annotations, deployment, eventually, policy, status
from tests.support.tight import is_ready

APPS = tuple(f"app-{index}" for index in range(9))
ELASTIC: dict[str, Any] = {"nodeSelector": {"matchLabels": {"tier": "elastic"}}}
QUICK = {"below": 60, "settle": "1s", "nodeSettle": "1s", "emptyFor": "1m"}


class HalfEmpty:
    """Elastic nodes with one pod each, of a workload with one replica: less than a third of a node."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.least: dict[str, int] = {}
        """The least number of ready replicas that each workload has had."""
        self.tainted: set[str] = set()
        """The nodes that have had the taint."""

    def third_of_a_node(self, app: str, replicas: int = 1, **pod_spec: Any) -> Object:
        """A workload of such pods: three of them fit on a node."""
        container = {"name": "main", "image": "pause", "resources": {"requests": {"cpu": "1", "memory": "64Mi"}}}
        return deployment(self.namespace, app, replicas, containers=[container], **pod_spec)

    def fill(self, **spec: Any) -> dict[str, str]:
        """Let the node autoscaler add nodes, and take all pods but one from each; returns the workloads by node."""
        made = [self.third_of_a_node(app) for app in APPS]
        for one in made:
            one["spec"].update(spec)
        self.cluster.apply(made)
        pods = self.cluster.wait_pods_ready(self.namespace, len(APPS))
        kept = {pod["spec"]["nodeName"]: pod["metadata"]["labels"]["app"] for pod in pods}
        assert len(kept) >= 3
        gone = sorted(set(APPS) - set(kept.values()))
        self.cluster.kubectl("delete", "deployment", *gone, "-n", self.namespace)
        # Pods that are still being deleted count in the order of the nodes, which is to stay the same.
        self.cluster.wait_until(lambda: len(self.cluster.pods(self.namespace)) == len(kept), "one pod on each node")
        self.least = dict.fromkeys(kept.values(), 1)
        return kept

    def policy(self, mode: str, **elastic: Any) -> Object:
        made = policy(self.namespace, namespace_label=self.namespace, elastic={**ELASTIC, **elastic})
        made["spec"]["consolidation"] = {"mode": mode, "maxMovesPerMinute": 60, **QUICK}
        return made

    @property
    def pods(self) -> list[Object]:
        return [pod for pod in self.cluster.pods(self.namespace) if "deletionTimestamp" not in pod["metadata"]]

    @property
    def nodes(self) -> list[Object]:
        return self.cluster.rest.items("/api/v1/nodes", labelSelector="tier=elastic")

    @property
    def emptying(self) -> set[str]:
        """The nodes that carry the taint."""
        return self.with_taint(EMPTYING_TAINT)

    def with_taint(self, key: str) -> set[str]:
        """The nodes that carry a taint with this key."""
        return {
            node["metadata"]["name"]
            for node in self.nodes
            if any(taint["key"] == key for taint in node["spec"].get("taints") or [])
        }

    def look(self) -> bool:
        """Note what is seen now."""
        ready = [pod["metadata"]["labels"]["app"] for pod in self.pods if is_ready(pod)]
        for app in self.least:
            self.least[app] = min(self.least[app], ready.count(app))
        self.tainted |= self.emptying
        return True

    @property
    def consolidation(self) -> Any:
        return status(self.cluster, "elasticpolicies", self.namespace).get("consolidation") or {}

    def wait_at_rest(self) -> None:
        """One replica of each workload, and no mark of a surge."""

        def at_rest() -> bool:
            owners = self.cluster.rest.items(f"/apis/apps/v1/namespaces/{self.namespace}/replicasets")
            return len(self.pods) == len(self.least) and not any(SURGE in annotations(one) for one in owners)

        eventually(at_rest, "one replica of each workload and no surge")
