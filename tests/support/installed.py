"""What tests of the running operator share: resources of ours, reading what stands, and who wrote it."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from localcluster import DEFAULT_WAIT_SECONDS, ClusterApi, metrics_server
from localcluster.cluster import Cluster
from localcluster.rest import Object, RestError
from spillway.domain.model.names import ELASTIC_TAINT, SURGE
from spillway.domain.nodes.sweep import unmark_annotations
from spillway.domain.surge.steps import Surge

T = TypeVar("T")

API = "/apis/spillway.dev/v1alpha1"


def policy(name: str, *, mode: str = "Enforce", namespace_label: str = "", **tiers: Any) -> Object:
    """An ElasticPolicy over these tiers; with a label's value it governs only namespaces that carry `team` with it."""
    match = {"match": {"namespaces": {"matchLabels": {"team": namespace_label}}}} if namespace_label else {}
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ElasticPolicy",
        "metadata": {"name": name},
        "spec": {"mode": mode, "tiers": tiers, "workloads": [{"name": "default", **match}]},
    }


def elastic(pool: str, **more: Any) -> Object:
    """The elastic tier of nodes labelled with this pool."""
    return {"nodeSelector": {"matchLabels": {"pool": pool}}, **more}


def budget(name: str, pool: str, **spec: Any) -> Object:
    """A VirtualNodeBudget over nodes labelled with this pool."""
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "VirtualNodeBudget",
        "metadata": {"name": name},
        "spec": {"nodeSelector": {"matchLabels": {"pool": pool}}, **spec},
    }


def deployment(namespace: str, name: str, replicas: int, **pod_spec: Any) -> Object:
    """A Deployment of idle pods that may run on virtual nodes."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [
                        {"name": "main", "image": "pause", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}
                    ],
                    "tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Exists"}],
                    "terminationGracePeriodSeconds": 0,
                    **pod_spec,
                },
            },
        },
    }


def autoscaler(namespace: str, name: str, minimum: int, maximum: int, **spec: Any) -> Object:
    """A HorizontalPodAutoscaler of the Deployment of this name."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": minimum,
            "maxReplicas": maximum,
            **spec,
        },
    }


@contextmanager
def applied(cluster: ClusterApi, *objects: Object) -> Iterator[None]:
    """These cluster-scoped resources of ours, for the length of the block."""
    try:
        cluster.apply(list(objects))
        yield
    finally:
        cluster.delete(list(objects))


@contextmanager
def added_nodes(cluster: ClusterApi, pool: str, count: int, **spec: Any) -> Iterator[list[str]]:
    """Nodes for the length of the block; all nodes of the pool go with it.

    A ZonalBalance counts every node, and of one without pods metrics-server knows nothing here.
    """
    yield cluster.add_nodes(pool, count, **spec)
    left = cluster.rest.items("/api/v1/nodes", labelSelector=f"pool={pool}")
    cluster.delete_nodes(item["metadata"]["name"] for item in left)


@contextmanager
def without_metrics(cluster: ClusterApi) -> Iterator[None]:
    """metrics.k8s.io is gone for the length of the block."""
    service = cluster.rest.get(metrics_server.API_SERVICE)
    cluster.rest.delete(metrics_server.API_SERVICE)
    try:
        yield
    finally:
        spec = {"apiVersion": service["apiVersion"], "kind": service["kind"], "spec": service["spec"]}
        cluster.apply({**spec, "metadata": {"name": service["metadata"]["name"]}})
        eventually(lambda: cluster.rest.items(f"{metrics_server.API}/nodes"), "metrics.k8s.io to answer again")


def node(cluster: ClusterApi, name: str) -> Object:
    found: Object = cluster.rest.get(f"/api/v1/nodes/{name}")
    return found


def our_taint(item: Object) -> str | None:
    """The value of our taint on a node; None where there is none."""
    taints = [taint for taint in item["spec"].get("taints") or [] if taint["key"] == ELASTIC_TAINT]
    return str(taints[0].get("value", "")) if taints else None


def other_taints(item: Object) -> list[Mapping[str, str]]:
    """Taints that are neither ours nor Kubernetes' own."""
    return [
        {key: taint[key] for key in ("key", "value", "effect") if key in taint}
        for taint in item["spec"].get("taints") or []
        if taint["key"] != ELASTIC_TAINT and not taint["key"].startswith("node.kubernetes.io/")
    ]


def closed(cluster: ClusterApi, pool: str) -> set[str]:
    """Names of the pool's nodes that are unschedulable."""
    items = cluster.rest.items("/api/v1/nodes", labelSelector=f"pool={pool}")
    return {item["metadata"]["name"] for item in items if item["spec"].get("unschedulable")}


def annotations(item: Object) -> Mapping[str, str]:
    found: Mapping[str, str] = item["metadata"].get("annotations") or {}
    return found


def surging(cluster: ClusterApi, namespace: str, since: float, *, asked: int, **marks: str) -> str:
    """A Deployment `web` of three pods that no node takes, with a surge since then; the path of its ReplicaSet.

    The Deployment asks for `asked` replicas. `marks` are further annotations of the ReplicaSet.
    """
    path = f"/apis/apps/v1/namespaces/{namespace}"
    cluster.apply(deployment(namespace, "web", 3, nodeSelector={"no": "node"}))
    cluster.wait_until(lambda: len(cluster.pods(namespace)) == 3, "its pods")
    [replicaset] = cluster.rest.items(f"{path}/replicasets")
    marked = f"{path}/replicasets/{replicaset['metadata']['name']}"
    cluster.rest.merge(marked, {"metadata": {"annotations": {SURGE: Surge(3, 1, since).mark, **marks}}})
    cluster.rest.merge(f"{path}/deployments/web/scale", {"spec": {"replicas": asked}})
    return marked


def marked(items: Iterable[Object]) -> list[str]:
    """Names of the objects that carry anything of ours."""
    return [item["metadata"]["name"] for item in items if unmark_annotations(annotations(item))]


def wait_marked_only_in(cluster: ClusterApi, namespace: str = "") -> None:
    """Wait until no pod elsewhere carries anything of ours, as pods of earlier tests do while they are deleted."""

    def gone() -> bool:
        return not marked(
            pod for pod in cluster.rest.items("/api/v1/pods") if pod["metadata"]["namespace"] != namespace
        )

    cluster.wait_until(gone, "marked pods of earlier tests to be gone")


def status(cluster: ClusterApi, plural: str, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = cluster.rest.get(f"{API}/{plural}/{name}").get("status") or {}
    return found


def condition(cluster: ClusterApi, plural: str, name: str, kind: str) -> Mapping[str, Any]:
    """One condition of a resource of ours; empty where it is not there."""
    conditions = status(cluster, plural, name).get("conditions") or []
    return next((item for item in conditions if item["type"] == kind), {})


def eventually(check: Callable[[], T], what: str, *, seconds: float = DEFAULT_WAIT_SECONDS) -> T:
    """Ask until the answer is truthy; a refusal of the server counts as "not yet"."""
    deadline = time.monotonic() + seconds
    trouble: object = ""
    while time.monotonic() < deadline:
        try:
            if answer := check():
                return answer
        except (RestError, KeyError) as error:
            trouble = error
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:g} s without success for {what} {trouble}")


def stays(check: Callable[[], bool], what: str, *, seconds: float) -> None:
    """Assert that it holds all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert check(), what
        time.sleep(0.1)


def audit_position(cluster: ClusterApi) -> int:
    """Where the audit log ends now."""
    cluster.require("audit")
    assert isinstance(cluster, Cluster)
    return cluster.audit_log.stat().st_size


def audit_entries(cluster: ClusterApi, since: int) -> list[Object]:
    """What was written since a position of the audit log."""
    assert isinstance(cluster, Cluster)
    with cluster.audit_log.open("rb") as file:
        file.seek(since)
        return [json.loads(line) for line in file if line.endswith(b"\n")]


def our_writes(cluster: ClusterApi, since: int, *, user: str = "spillway") -> list[tuple[str, str, str]]:
    """(verb, resource, name) of every write by the operator's ServiceAccount since a position of the audit log.

    Left out is its housekeeping: the Lease, and Events.
    """
    found: list[tuple[str, str, str]] = []
    for entry in audit_entries(cluster, since):
        reference = entry.get("objectRef") or {}
        name = entry["user"].get("username", "")
        if not name.startswith("system:serviceaccount:") or not name.endswith(f":{user}"):
            continue
        if entry["verb"] in ("get", "list", "watch") or reference.get("resource") in ("leases", "events"):
            continue
        resource = "/".join(filter(None, (reference.get("resource", ""), reference.get("subresource", ""))))
        found.append((entry["verb"], resource, reference.get("name", "")))
    return found
