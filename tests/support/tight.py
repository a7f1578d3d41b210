"""A stage on which physical room is short: owned nodes that hold two pods each, and pools of virtual nodes beside them.

Contract: nodes, namespace, budgets and policy are the scenario's own. Its operators have the flags `FLAGS`: seconds
where a cluster at work would have minutes.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from localcluster import ClusterApi
from localcluster.rest import Object
from tests.support.stage import Stage

CPU: Final = "500m"
PODS_PER_NODE: Final = 2
HOLD_SECONDS: Final = 2
FLAGS: Final = (f"--bring-back-seconds={HOLD_SECONDS}", "--upkeep-seconds=1")
MARK: Final = "spillway.dev/surge"


class TightStage(Stage):
    """A scenario with so many owned nodes; `add_owned` gives it room, `deploy` asks for half a node a pod."""

    def __init__(self, cluster: ClusterApi, nodes: int) -> None:
        super().__init__(cluster, f"tight-{uuid.uuid4().hex[:6]}")
        self.tight: list[str] = []
        self.add_owned(nodes)

    def add_owned(self, count: int) -> list[str]:
        """As an autoscaler, or someone who buys machines, does."""
        added = self.cluster.add_nodes(self.owned, count, cpu="1", labels={"stage": self.owned})
        self.tight += added
        return added

    def close(self) -> None:
        super().close()
        self.cluster.delete_nodes(self.tight)

    def half(self, name: str, replicas: int, **spec: Any) -> None:
        """A Deployment of pods that take half an owned node each."""
        self.deploy(name, replicas, cpu=CPU, **spec)

    def balloons(self, name: str, replicas: int) -> str:
        """Pods of priority -10, which anybody may pre-empt; returns the name of their class."""
        priority = f"balloon-{self.id}"
        path = "/apis/scheduling.k8s.io/v1/priorityclasses"
        self.cluster.rest.create(path, {"metadata": {"name": priority}, "value": -10})
        self._custom.append(f"{path}/{priority}")
        self.half(name, replicas, priorityClassName=priority)
        return priority

    def open_gates(self, name: str) -> None:
        """Let the workload's pods that wait at a scheduling gate be scheduled."""
        for pod in self.pods(name):
            if pod["spec"].get("schedulingGates"):
                path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}"
                self.cluster.rest.merge(path, {"spec": {"schedulingGates": None}})

    def deployment(self, name: str) -> Object:
        found: Object = self.cluster.rest.get(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}")
        return found

    def marks(self) -> list[str]:
        """The namespace's ReplicaSets that run one replica more."""
        items = self.cluster.rest.items(f"/apis/apps/v1/namespaces/{self.namespace}/replicasets")
        return [item["metadata"]["name"] for item in items if MARK in (item["metadata"].get("annotations") or {})]

    def bound_tiers(self, name: str) -> Mapping[str, int]:
        """How many of a workload's pods are physical, virtual, and on no node yet."""
        pods = self.pods(name)
        bound = [pod for pod in pods if pod["spec"].get("nodeName")]
        return {"physical": 0, "virtual": 0, **self.tiers(bound), "waiting": len(pods) - len(bound)}


MakeStage = Callable[[int], TightStage]
"""Makes the stage of a scenario with so many owned nodes."""


def condition(pod: Object, kind: str) -> Mapping[str, Any]:
    """A condition of a pod; empty while it has none."""
    return next((one for one in pod["status"].get("conditions") or [] if one["type"] == kind), {})


def is_ready(pod: Object) -> bool:
    return condition(pod, "Ready").get("status") == "True"
