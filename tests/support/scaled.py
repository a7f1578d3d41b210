"""Workloads that autoscalers scale by the recommended replicas, and the policies that recommend them."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from localcluster import ClusterApi
from localcluster.rest import Object

FLOOR: Final = 5
"""The replicas of the schedule."""


def deployment(namespace: str, name: str = "web", *, replicas: int = 1) -> Object:
    """A Deployment on the nodes of the pool `fixed`."""
    labels = {"app": name}
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": "1"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "nodeSelector": {"pool": "fixed"}},
            },
        },
    }


def schedule(start: datetime, duration: str) -> Object:
    """A schedule of `FLOOR` replicas that starts in this minute."""
    return {"name": "peak", "start": f"{start.minute} {start.hour} * * *", "duration": duration, "replicas": FLOOR}


def now_active() -> Object:
    """A schedule that has begun."""
    return schedule(datetime.now(UTC) - timedelta(minutes=1), "30m")


def scaling_policy(namespace: str, *schedules: Object, **scaling: Any) -> Object:
    """A policy of one class: all workloads of the namespace."""
    match = {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    workloads = [{"name": "web", "match": match, "scaling": {"schedules": list(schedules), **scaling}}]
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ElasticPolicy",
        "metadata": {"name": namespace},
        "spec": {"mode": "Enforce", "workloads": workloads},
    }


def next_minute(ahead_seconds: float) -> datetime:
    """The first whole minute that is at least so far ahead."""
    return (datetime.now(UTC) + timedelta(seconds=ahead_seconds + 60)).replace(second=0, microsecond=0)


def replicas_of(cluster: ClusterApi, namespace: str, name: str = "web") -> int:
    """What the Deployment requests."""
    return int(cluster.rest.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")["spec"]["replicas"])


def conditions_of(cluster: ClusterApi, path: str) -> dict[str, tuple[str, str]]:
    """The status and the reason of each condition, by type."""
    found = cluster.rest.get(path).get("status", {}).get("conditions") or []
    return {one["type"]: (one["status"], one.get("reason", "")) for one in found}
