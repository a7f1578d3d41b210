"""cluster-autoscaler with its kwok provider: a real node autoscaler whose machines are kwok nodes.

Contract: it reads its node groups once, when it starts. Its provider deletes all of their nodes at a SIGTERM, so it is
restarted by SIGKILL.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from localcluster import nodes
from localcluster.core import Find
from localcluster.layout import ADMINS, LOOPBACK, Layout
from localcluster.nodes import NodeGroup
from localcluster.options import Options
from localcluster.processes import Process

Object = dict[str, Any]

NAME: Final = "cluster-autoscaler"
NAMESPACE: Final = "kube-system"
STATUS: Final = f"/api/v1/namespaces/{NAMESPACE}/configmaps/cluster-autoscaler-status"
"""The path of the ConfigMap in which it tells its state."""
QUICK: Final = (
    "--scan-interval=2s",
    "--scale-down-delay-after-add=5s",
    "--scale-down-unneeded-time=5s",
    "--unremovable-node-recheck-timeout=5s",
    "--node-delete-delay-after-taint=1s",
)
"""Seconds where the defaults are minutes."""
_CONFIG: Final = "kwok-provider-config"
_TEMPLATES: Final = "kwok-provider-templates"
_GROUP: Final = "cluster-autoscaler.kwok.nodegroup/"
"""The prefix of the annotations by which the provider knows a node group and its size."""
_KEPT_CPU_MILLIS: Final = 100
"""What the kubelet keeps of a machine, as on the machines of Karpenter's kwok provider."""


def process(layout: Layout, options: Options, find: Find) -> Process:
    """The autoscaler, without leader election; flags of `options` come last, so that they win."""
    kubeconfig = layout.write_kubeconfig(NAME, "localcluster:cluster-autoscaler", (ADMINS,))
    return Process(
        NAME,
        [
            str(find(NAME)),
            f"--kubeconfig={kubeconfig}",
            f"--address={LOOPBACK}:{layout.ports.cluster_autoscaler}",
            f"--namespace={NAMESPACE}",
            "--leader-elect=false",
            "--kube-client-qps=5000",
            "--kube-client-burst=10000",
            "--v=4",
            *options.cluster_autoscaler_flags,
        ],
        # Its provider has a client of its own, which reads the environment.
        {"KUBECONFIG": str(kubeconfig), "KWOK_PROVIDER_MODE": "local", "POD_NAMESPACE": NAMESPACE},
    )


def objects(groups: Iterable[NodeGroup]) -> Mapping[str, list[Object]]:
    """Collection path to objects: the configuration of its provider, with a machine of each node group."""
    config = {
        "apiVersion": "v1alpha1",
        "readNodesFrom": "configmap",
        "nodegroups": {"fromNodeLabelAnnotation": f"{_GROUP}name"},
        "nodes": {"skipTaint": True},
        "configmap": {"name": _TEMPLATES},
    }
    templates = {"apiVersion": "v1", "kind": "List", "items": [_machine(group) for group in groups]}
    maps: list[Object] = [
        {"metadata": {"name": _CONFIG}, "data": {"config": json.dumps(config)}},
        {"metadata": {"name": _TEMPLATES}, "data": {"templates": json.dumps(templates)}},
    ]
    return {f"/api/v1/namespaces/{NAMESPACE}/configmaps": maps}


def _machine(group: NodeGroup) -> Object:
    annotations = {f"{_GROUP}name": group.name, f"{_GROUP}min-count": "0", f"{_GROUP}max-count": str(group.most)}
    made = nodes.node(
        group.name,
        pool=group.name,
        zone=group.zone,
        cpu=str(group.cpu),
        memory=group.memory,
        pods=110,
        labels=group.labels,
        annotations=annotations,
    )
    # These are of one machine alone: kwok gives each of them its own.
    del made["metadata"]["labels"][nodes.HOSTNAME_LABEL]
    del made["metadata"]["annotations"][nodes.METRICS_PATH]
    room = made["status"]["capacity"]
    made["status"]["allocatable"] = room | {"cpu": f"{group.cpu * 1000 - _KEPT_CPU_MILLIS}m"}
    return made
