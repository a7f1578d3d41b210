"""What `bench_foresight` lays into a cluster: each contender's nodes, workloads, HPAs and policy. Pure.

Contract: the contenders' Deployments are the same but for names and labels. An HPA of *reactive* goes by CPU alone; the
others read the recommended replicas as well. The policy of *floor* is in mode Recommend, so nothing else of Spillway
acts on it; that of *spillway* enforces, and has headroom.
"""

from enum import StrEnum
from typing import Any, Final

from demo.scenario import REQUEST_MILLIS
from localcluster.nodes import USAGE_CPU
from spillway.domain.model.names import ELASTIC_TAINT
from spillway.domain.nodes.taints import SOFT

Object = dict[str, Any]

CONTENDER: Final = "bench.spillway.dev/contender"
ELASTIC: Final = "bench.spillway.dev/elastic"
SERIES: Final = "shop_demand"
"""The business metric. Its series have the label `workload`; all contenders share them."""
PER_REPLICA: Final = 100.0
"""Of the business metric: what one replica carries at the target load."""
TARGET_UTILIZATION: Final = 80
MIN_REPLICAS: Final = 2
MAX_REPLICAS: Final = 25
REQUEST_CORES: Final = REQUEST_MILLIS / 1000
ELASTIC_CPU: Final = 4
NODE_CORES: Final = 3.9
"""Allocatable on an elastic node; owned nodes are machines of the same size."""
PODS_PER_NODE: Final = int(NODE_CORES / REQUEST_CORES)
OWNED_CORE_HOUR: Final = 0.03
ELASTIC_CORE_HOUR: Final = 0.05
"""Prices as in the demo: of a machine that is reserved for a year, and of one on demand."""
CORES_PER_REPLICA: Final = REQUEST_CORES * TARGET_UTILIZATION / 100
CONSOLIDATE_AFTER: Final = "30s"
MAX_HEADROOM_NODES: Final = 20
"""A bound that does not bind: without headroom, the same demand has had at most 17 elastic nodes."""
METRIC: Final = "spillway-recommended-replicas"


class Foresight(StrEnum):
    """One way of scaling; each has a namespace and nodes of its own."""

    REACTIVE = "reactive"
    """An HPA on CPU."""
    FLOOR = "floor"
    """The same HPA, with the recommended replicas as a second metric."""
    SPILLWAY = "spillway"
    """The same as FLOOR, with headroom."""

    @property
    def namespace(self) -> str:
        return f"sight-{self.value}"

    @property
    def labels(self) -> dict[str, str]:
        return {CONTENDER: self.value}

    @property
    def foresees(self) -> bool:
        """Whether a policy of Spillway governs it."""
        return self is not Foresight.REACTIVE


def deployment(contender: Foresight, name: str, replicas: int) -> Object:
    """A workload whose replicas run on the contender's nodes; a new one begins with the load of the target."""
    labels = {"app": name}
    requests = {"cpu": f"{REQUEST_MILLIS}m", "memory": "256Mi"}
    usage = {USAGE_CPU: f"{round(CORES_PER_REPLICA * 1000)}m"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": contender.namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": usage},
                "spec": {
                    "nodeSelector": contender.labels,
                    "containers": [{"name": "app", "image": "x", "resources": {"requests": requests}}],
                },
            },
        },
    }


def elastic_taints(contender: Foresight) -> list[dict[str, str]]:
    """The soft taint that a NodePool has to name where a policy enforces: Karpenter takes any other for a hard one."""
    if contender is not Foresight.SPILLWAY:
        return []
    return [{"key": ELASTIC_TAINT, "value": contender.value, "effect": SOFT}]


VISITOR: Final = "visitor"
"""A pod for which Karpenter adds an elastic node."""


def visitor(contender: Foresight) -> Object:
    """A pod that only an elastic node of the contender takes."""
    requests = {"cpu": "3", "memory": "256Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": VISITOR, "namespace": contender.namespace},
        "spec": {
            "nodeSelector": {**contender.labels, ELASTIC: contender.value},
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": "x", "resources": {"requests": requests}}],
        },
    }


def autoscaler(contender: Foresight, name: str) -> Object:
    """The HPA of a workload, with Kubernetes' own behaviour."""
    target = {"type": "Utilization", "averageUtilization": TARGET_UTILIZATION}
    metrics: list[Object] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if contender.foresees:
        selector = {"matchLabels": {"kind": "Deployment", "workload": name}}
        recommended = {
            "metric": {"name": METRIC, "selector": selector},
            "target": {"type": "AverageValue", "averageValue": "1"},
        }
        metrics.append({"type": "External", "external": recommended})
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": contender.namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": MIN_REPLICAS,
            "maxReplicas": MAX_REPLICAS,
            "metrics": metrics,
        },
    }


def policy(contender: Foresight, *, startup: str, window: str, days: int) -> Object:
    """The policy of a contender that foresees."""
    scaling = {
        "target": {"query": f'max({SERIES}{{workload="$(workload)"}})', "perReplica": f"{PER_REPLICA:g}"},
        "forecast": {"mode": "Active", "startup": startup, "window": window, "history": f"{days}d"},
    }
    match = {"namespaces": {"matchLabels": contender.labels}}
    spec: Object = {"mode": "Recommend", "workloads": [{"name": "default", "match": match, "scaling": scaling}]}
    if contender is Foresight.SPILLWAY:
        spec |= {
            "mode": "Enforce",
            "tiers": {"elastic": {"nodeSelector": {"matchLabels": {ELASTIC: contender.value}}}},
            "headroom": {"from": "Forecast", "min": {"pods": 0}, "max": {"nodes": MAX_HEADROOM_NODES}},
        }
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ElasticPolicy",
        "metadata": {"name": contender.value},
        "spec": spec,
    }
