"""Node objects: pools of machines over zones, and virtual nodes as a virtual-kubelet provider registers them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
Taint = Mapping[str, str]

ZONES = ("zone-a", "zone-b", "zone-c")
REGION = "region-1"
POOL_LABEL = "pool"
VIRTUAL_TYPE_LABEL = "type"
VIRTUAL_TYPE = "virtual-kubelet"
PROVIDER_TAINT = "virtual-kubelet.io/provider"
USAGE_CPU = "kwok.x-k8s.io/usage-cpu"
USAGE_MEMORY = "kwok.x-k8s.io/usage-memory"
FAILED = "localcluster/failed"
"""Annotation of a node that is to stay dead."""
UNSTARTED = "localcluster/unstarted"
"""Annotation of a pod that is to wait on its node: whoever takes it off plays the provider."""
KUBELET = "localcluster/kubelet"
"""Key of the nodeSelector of pods that kwok leaves to another kubelet."""
ENDLESS = "localcluster/endless"
"""Annotation of a Job's pod that is to run until it is deleted."""
METRICS_PATH = "metrics.k8s.io/resource-metrics-path"
"""Annotation of a node: where metrics-server finds its kubelet's metrics."""
HOSTNAME_LABEL = "kubernetes.io/hostname"


@dataclass(frozen=True)
class NodeGroup:
    """Machines of one kind that cluster-autoscaler adds for pending pods, labelled ``pool=<name>``."""

    name: str
    zone: str
    cpu: int = 4
    memory: str = "16Gi"
    labels: Mapping[str, str] = field(default_factory=dict)
    most: int = 20


def node(
    name: str,
    *,
    pool: str,
    zone: str | None,
    cpu: str,
    memory: str,
    pods: int,
    labels: Mapping[str, str],
    taints: Iterable[Taint] = (),
    annotations: Mapping[str, str] | None = None,
) -> Object:
    """One node for kwok to bring to life; without a zone it has no topology labels, as some virtual nodes have none."""
    topology = {"topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": REGION} if zone else {}
    room = {"cpu": cpu, "memory": memory, "pods": str(pods)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                HOSTNAME_LABEL: name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node.kubernetes.io/instance-type": f"{cpu}cpu",
                POOL_LABEL: pool,
                **topology,
                **labels,
            },
            "annotations": {
                "kwok.x-k8s.io/node": "fake",
                # metrics-server asks kwok there, as one kwok plays every kubelet.
                METRICS_PATH: f"/metrics/nodes/{name}/metrics/resource",
                **(annotations or {}),
            },
        },
        "spec": {"taints": [dict(taint) for taint in taints]},
        "status": {"capacity": room, "allocatable": room},
    }


def node_names(pool: str, count: int, zones: Sequence[str], *, first: int = 0) -> list[tuple[str, str | None]]:
    """(name, zone) of ``count`` nodes dealt to the zones in turn; ``first`` continues a pool that has some already."""
    if not zones:
        return [(f"{pool}-{index}", None) for index in range(first, first + count)]
    return [
        (f"{pool}-{zones[index % len(zones)]}-{index}", zones[index % len(zones)])
        for index in range(first, first + count)
    ]


def virtual_labels(provider: str) -> dict[str, str]:
    """Labels by which virtual nodes are known."""
    return {
        VIRTUAL_TYPE_LABEL: VIRTUAL_TYPE,
        "provider": provider,
        "kubernetes.io/role": "agent",
        "node.kubernetes.io/exclude-from-external-load-balancers": "true",
    }


def virtual_taint(provider: str) -> dict[str, str]:
    """The taint that keeps pods away which do not tolerate the provider."""
    return {"key": PROVIDER_TAINT, "value": provider, "effect": "NoSchedule"}


def toleration(provider: str | None = None) -> dict[str, str]:
    """What a pod needs to run on virtual nodes: of one provider, or of any."""
    if provider is None:
        return {"key": PROVIDER_TAINT, "operator": "Exists", "effect": "NoSchedule"}
    return {"key": PROVIDER_TAINT, "operator": "Equal", "value": provider, "effect": "NoSchedule"}
