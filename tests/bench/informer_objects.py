"""A cluster's worth of objects as they stand in etcd: nodes, namespaces, ReplicaSets, and pods that they own.

Contract: the same arguments give the same objects. A pod's bytes are made once, with a place for its deletion cost that
`pod_value` fills in, because the bench rewrites thousands of them a second.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

ZONES = ("zone-a", "zone-b", "zone-c")
_CREATED = "2026-01-05T08:00:00Z"
_COST = b"-1000000000"
"""As long as a cost can be: rewriting a pod does not change its size."""
_SPACE = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


@dataclass(frozen=True)
class Shape:
    """How large the cluster is."""

    nodes: int = 5_000
    pods: int = 150_000
    pods_per_replicaset: int = 15
    """At most 256: a pod's name ends with its number among them."""
    replicas_asked: int = 0
    """`spec.replicas` of each ReplicaSet; 0 for as many as it has pods."""
    namespaces: int = 100
    pod_bytes: int = 7_000
    """Of each pod's JSON, filled up by managedFields as long ones are."""
    marked: bool = True
    """Whether pods and elastic nodes carry the marks of a policy `day`; without it the operator removes them."""

    @property
    def replicasets(self) -> int:
        return -(-self.pods // self.pods_per_replicaset)


def objects(shape: Shape) -> Iterator[tuple[str, bytes]]:
    """Keys under /registry with their values; owners before what they own."""
    encode = msgspec.json.encode
    for index in range(shape.namespaces):
        yield f"/registry/namespaces/{_namespace(index)}", encode(_namespace_object(index))
    for index in range(shape.nodes):
        yield f"/registry/minions/{_node(index)}", encode(_node_object(shape, index))
    for index in range(shape.replicasets):
        namespace = _namespace(index % shape.namespaces)
        yield f"/registry/replicasets/{namespace}/{_replicaset(index)}", encode(_replicaset_object(shape, index))
    for index in range(shape.pods):
        yield pod_key(shape, index), pod_value(shape, index, int(_COST))


def pod_key(shape: Shape, index: int) -> str:
    owner = index // shape.pods_per_replicaset
    return f"/registry/pods/{_namespace(owner % shape.namespaces)}/{_pod(owner, index)}"


def pod_value(shape: Shape, index: int, cost: int) -> bytes:
    """A running pod with this deletion cost."""
    return msgspec.json.encode(_pod_object(shape, index, cost))


def node_name(index: int) -> str:
    return _node(index)


def replicaset_key(shape: Shape, index: int) -> tuple[str, str]:
    """Namespace and name."""
    return _namespace(index % shape.namespaces), _replicaset(index)


def pod_place(shape: Shape, index: int) -> tuple[int, str, bool]:
    """The node on which a pod stands, as its index; that node's zone; whether it is elastic."""
    node = index % shape.nodes
    return node, ZONES[node % len(ZONES)], node % 5 == 0


def new_pod(shape: Shape, owner: int, serial: int) -> tuple[str, dict[str, Any]]:
    """One more pod of a ReplicaSet as its controller would create it, not yet bound; its namespace, and itself."""
    pod = _pod_object(shape, owner * shape.pods_per_replicaset, 0)
    metadata = {key: pod["metadata"][key] for key in ("labels", "ownerReferences")}
    metadata["name"] = f"{_replicaset(owner)}-n{serial}"
    return _namespace(owner % shape.namespaces), {"metadata": metadata, "spec": _pod_spec(owner)}


def _namespace(index: int) -> str:
    return f"team-{index:03d}"


def _node(index: int) -> str:
    return f"node-{index:05d}.eu-central-1.compute.internal"


def _replicaset(index: int) -> str:
    return f"service-{index:05d}-{_hash(index)}"


def _hash(owner: int) -> str:
    return _uid("hash", owner).replace("-", "")[:9]


def _pod(owner: int, index: int) -> str:
    return f"{_replicaset(owner)}-{_uid('pod', index)[:3]}{index % 256:02x}"


def _stamp(seconds: int) -> str:
    """So long after the first object was made: the ReplicaSets are spread over a month."""
    return (datetime(2026, 1, 5, 8, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _uid(kind: str, index: int) -> str:
    return str(uuid.uuid5(_SPACE, f"{kind}-{index}"))


def _namespace_object(index: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": _namespace(index),
            "uid": _uid("ns", index),
            "creationTimestamp": _CREATED,
            "labels": {"kubernetes.io/metadata.name": _namespace(index), "team": str(index)},
        },
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _node_object(shape: Shape, index: int) -> dict[str, Any]:
    elastic = index % 5 == 0
    taint = {"key": "spillway.dev/elastic", "effect": "PreferNoSchedule", "value": "day"}
    images = [{"names": [f"registry/app@sha256:{number:064x}"], "sizeBytes": 90000000} for number in range(20)]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": _node(index),
            "uid": _uid("node", index),
            "creationTimestamp": _CREATED,
            "labels": {
                "kubernetes.io/hostname": _node(index),
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "m7i.4xlarge" if elastic else "m7i.8xlarge",
                "topology.kubernetes.io/zone": ZONES[index % 3],
                "topology.kubernetes.io/region": "eu-central-1",
                "pool": "elastic" if elastic else "fixed",
            },
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {
            "providerID": f"aws:///{ZONES[index % 3]}/i-{index:017x}",
            "taints": [taint] if elastic and shape.marked else [],
        },
        "status": {
            "capacity": {"cpu": "32", "memory": "128Gi", "pods": "110"},
            "allocatable": {"cpu": "31850m", "memory": "126Gi", "pods": "110"},
            "conditions": [
                {"type": "MemoryPressure", "status": "False", "lastTransitionTime": _CREATED, "reason": "Ok"},
                {"type": "Ready", "status": "True", "lastTransitionTime": _CREATED, "reason": "KubeletReady"},
            ],
            "images": images,
        },
    }


def _replicaset_object(shape: Shape, index: int) -> dict[str, Any]:
    labels = _labels(index)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": _replicaset(index),
            "namespace": _namespace(index % shape.namespaces),
            "uid": _uid("rs", index),
            "creationTimestamp": _CREATED,
            "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": "7"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": f"service-{index:05d}",
                    "uid": _uid("deployment", index),
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "replicas": shape.replicas_asked or shape.pods_per_replicaset,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _pod_spec(index)},
        },
        "status": {"replicas": shape.pods_per_replicaset, "readyReplicas": shape.pods_per_replicaset},
    }


def _labels(owner: int) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": f"service-{owner:05d}",
        "app.kubernetes.io/part-of": f"product-{owner % 40}",
        "pod-template-hash": _hash(owner),
    }


def _pod_spec(owner: int) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10, "failureThreshold": 3}
    return {
        "containers": [
            {
                "name": "app",
                "image": f"registry.example.com/service-{owner:05d}:1.42.0",
                "env": [{"name": f"SETTING_{number}", "value": f"value-{number}"} for number in range(8)],
                "resources": {
                    "requests": {"cpu": ("100m", "250m", "500m")[owner % 3], "memory": ("256Mi", "1Gi")[owner % 2]},
                    "limits": {"memory": "2Gi"},
                },
                "livenessProbe": probe,
                "readinessProbe": probe,
                "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
            }
        ],
        "volumes": [{"name": "config", "configMap": {"name": f"service-{owner:05d}"}}],
        "serviceAccountName": "default",
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": f"service-{owner:05d}"}},
            }
        ],
    }


def _pod_object(shape: Shape, index: int, cost: int) -> dict[str, Any]:
    owner = index // shape.pods_per_replicaset
    marks = {
        "controller.kubernetes.io/pod-deletion-cost": str(cost),
        "spillway.dev/deletion-cost": str(cost),
        "spillway.dev/policy": "day",
        "spillway.dev/tier": "fixed" if index % 5 else "elastic",
    }
    created, started = _stamp(owner * 240 + index % 7), _stamp(owner * 240 + index % 7 + 20 + index % 40)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": _pod(owner, index),
            "namespace": _namespace(owner % shape.namespaces),
            "uid": _uid("pod", index),
            "creationTimestamp": created,
            "labels": _labels(owner),
            "annotations": (marks if shape.marked else {}) | {"prometheus.io/scrape": "true"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": _replicaset(owner),
                    "uid": _uid("rs", owner),
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
            "managedFields": [],
        },
        "spec": {"nodeName": _node(index % shape.nodes), "schedulerName": "default-scheduler", **_pod_spec(owner)},
        "status": {
            "phase": "Running",
            "podIP": f"10.{index >> 16 & 255}.{index >> 8 & 255}.{index & 255}",
            "startTime": created,
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": started}
                for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "containerStatuses": [
                {
                    "name": "app",
                    "ready": True,
                    "restartCount": index % 3,
                    "image": f"registry.example.com/service-{owner:05d}:1.42.0",
                    "imageID": f"registry.example.com/app@sha256:{owner:064x}",
                    "containerID": f"containerd://{index:064x}",
                    "state": {"running": {"startedAt": started}},
                }
            ],
        },
    }
    pod["metadata"]["managedFields"] = _managed(shape.pod_bytes - len(msgspec.json.encode(pod)))  # type: ignore[index]
    return pod


@lru_cache(maxsize=4096)
def _managed(size: int) -> list[dict[str, Any]]:
    """A field manager's entry of about `size` bytes, made of what such entries are made of."""
    fields: dict[str, Any] = {}
    entry = {
        "manager": "kube-controller-manager",
        "operation": "Update",
        "apiVersion": "v1",
        "time": _CREATED,
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": fields},
    }
    left = size - len(msgspec.json.encode([entry]))
    number = 0
    while left > 0:
        key = f'k:{{"name":"SETTING_{number}"}}'
        fields[key] = {".": {}, "f:name": {}, "f:value": {}}
        left -= len(key) + 42
        number += 1
    return [entry] if number else []
