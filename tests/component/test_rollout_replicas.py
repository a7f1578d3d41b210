"""The replicas that a Deployment requests, by its ReplicaSets, while a real rollout is under way."""

import json
from typing import Any

import pytest

from localcluster import ClusterApi
from spillway.domain.threshold.replicas import requested_replicas
from spillway.kube import decode

pytestmark = pytest.mark.cluster

LABELS = {"app": "cart"}


def deployment(namespace: str, image: str, strategy: dict[str, Any]) -> dict[str, Any]:
    container = {"name": "main", "image": image, "resources": {"requests": {"cpu": "1m"}}}
    # No node has this label, so the pods of a rollout never become ready.
    selector = {"nowhere": "at-all"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "cart", "namespace": namespace},
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": LABELS},
            "strategy": strategy,
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {"containers": [container], "nodeSelector": selector},
            },
        },
    }


def observed(cluster: ClusterApi, namespace: str) -> tuple[int, int, int]:
    """What the workload requests by its ReplicaSets, their sum, and `spec.replicas` as kube-state-metrics shows it."""
    listed = cluster.rest.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets")["items"]
    records = [decode.REPLICASETS.one(json.dumps(item).encode()) for item in listed]
    if not records:
        return -1, -1, -1
    total = sum(one.replicas for one in records)
    newest = max(records, key=lambda one: one.revision)
    asked = cluster.rest.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/cart")["spec"]["replicas"]
    return requested_replicas(newest, total), total, asked


@pytest.mark.parametrize(
    ("strategy", "totals"),
    [
        pytest.param(
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}}, (6, 9), id="surge"
        ),
        pytest.param(
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 2}}, (4, 7), id="none"
        ),
    ],
)
def test_a_rollout_requests_what_its_deployment_does(
    cluster: ClusterApi, namespace: str, strategy: dict[str, Any], totals: tuple[int, int]
) -> None:
    def wait(requested: int, total: int) -> None:
        wanted = (requested, total, requested)
        cluster.wait_until(lambda: observed(cluster, namespace) == wanted, f"replicas {wanted}")

    cluster.apply([deployment(namespace, "one", strategy)])
    wait(4, 4)
    cluster.apply([deployment(namespace, "two", strategy)])
    wait(4, totals[0])

    cluster.kubectl("-n", namespace, "scale", "deployment/cart", "--replicas=7")

    wait(7, totals[1])
