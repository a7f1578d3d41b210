"""Karpenter with its kwok provider: a real node autoscaler whose machines are kwok nodes."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from localcluster.core import Find
from localcluster.layout import ADMINS, Layout
from localcluster.nodes import POOL_LABEL, ZONES, Taint
from localcluster.options import Options
from localcluster.processes import Process

Object = dict[str, Any]

NAME = "karpenter-kwok"
NODE_POOLS = "/apis/karpenter.sh/v1/nodepools"
NODE_CLASSES = "/apis/karpenter.kwok.sh/v1alpha1/kwoknodeclasses"
_PRICE_PER_CPU = 0.05


def process(layout: Layout, options: Options, find: Find) -> Process:
    kubeconfig = layout.write_kubeconfig("karpenter", "localcluster:karpenter", (ADMINS,))
    machines = layout.config / "instance-types.json"
    machines.write_text(json.dumps(instance_types()))
    return Process(
        NAME,
        [str(find(NAME))],
        {
            "KUBECONFIG": str(kubeconfig),
            "SYSTEM_NAMESPACE": "kube-system",
            "KARPENTER_SERVICE": "karpenter",
            "DISABLE_LEADER_ELECTION": "true",
            "FEATURE_GATES": ",".join(
                f"{gate}={str(on).lower()}" for gate, on in options.karpenter_feature_gates.items()
            ),
            "METRICS_PORT": str(layout.ports.karpenter_metrics),
            "HEALTH_PROBE_PORT": str(layout.ports.karpenter_health),
            "CPU_REQUESTS": "1000",
            "MEMORY_LIMIT": str(1 << 30),
            "INSTANCE_TYPES_FILE_PATH": str(machines),
            # A node that pods were meant for is in use for twice this long (10 s at least): emptied ones go sooner.
            "BATCH_MAX_DURATION": "3s",
            **options.karpenter_env,
        },
    )


def instance_types(
    *, cpus: Sequence[int] = (2, 4, 8), memory_per_cpu_gib: int = 4, zones: Sequence[str] = ZONES
) -> list[Object]:
    """Machines that may be had: one shape a size, on demand, in every zone at the same price per CPU."""

    def offering(zone: str, cpu: int) -> Object:
        requirements = {"karpenter.sh/capacity-type": "on-demand", "topology.kubernetes.io/zone": zone}
        return {
            "Price": cpu * _PRICE_PER_CPU,
            "Available": True,
            "Requirements": [{"key": key, "operator": "In", "values": [value]} for key, value in requirements.items()],
        }

    return [
        {
            "name": f"m-{cpu}x-amd64-linux",
            "offerings": [offering(zone, cpu) for zone in zones],
            "architecture": "amd64",
            "operatingSystems": ["linux"],
            "resources": {"cpu": str(cpu), "memory": f"{cpu * memory_per_cpu_gib}Gi", "pods": "110"},
        }
        for cpu in cpus
    ]


def node_class(name: str = "default", *, startup_seconds: int = 0) -> Object:
    """The node class of all pools; its machines join the cluster so long after they were ordered."""
    made: Object = {"apiVersion": "karpenter.kwok.sh/v1alpha1", "kind": "KWOKNodeClass", "metadata": {"name": name}}
    return made | ({"spec": {"nodeRegistrationDelay": f"{startup_seconds}s"}} if startup_seconds else {})


def node_pool(
    name: str,
    *,
    zones: Sequence[str],
    labels: Mapping[str, str],
    taints: Iterable[Taint],
    cpus: Sequence[int],
    consolidation: str,
    consolidate_after: str,
    limit_cpu: int | None,
) -> Object:
    """A NodePool whose machines carry ``pool=<name>`` and ``labels``; all of its nodes may be disrupted at once."""
    requirements: Iterable[tuple[str, Iterable[str]]] = itertools.chain(
        [
            ("topology.kubernetes.io/zone", zones),
            ("karpenter.sh/capacity-type", ["on-demand"]),
            ("kubernetes.io/arch", ["amd64"]),
            ("kubernetes.io/os", ["linux"]),
        ],
        [("karpenter.kwok.sh/instance-cpu", [str(cpu) for cpu in cpus])] if cpus else [],
    )
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name},
        "spec": {
            "template": {
                "metadata": {"labels": {POOL_LABEL: name, **labels}},
                "spec": {
                    "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"},
                    "requirements": [
                        {"key": key, "operator": "In", "values": list(values)} for key, values in requirements
                    ],
                    "taints": [dict(taint) for taint in taints],
                    "expireAfter": "Never",
                },
            },
            "disruption": {
                "consolidationPolicy": consolidation,
                "consolidateAfter": consolidate_after,
                "budgets": [{"nodes": "100%"}],
            },
            **({"limits": {"cpu": str(limit_cpu)}} if limit_cpu is not None else {}),
        },
    }
