"""Headroom by placeholder pods beside cluster-autoscaler: its cut-off of priorities decides whether it adds nodes."""

from collections.abc import Iterator
from typing import Any

import pytest

from localcluster import Cluster
from localcluster.rest import Object
from tests.support.half_empty import ELASTIC
from tests.support.installed import applied, deployment, eventually, policy
from tests.support.node_autoscaler import EMPTY_ONLY, NodeAutoscaler

POLICIES = "/apis/spillway.dev/v1alpha1/elasticpolicies"
SYSTEM = "spillway-system"
HEADROOM = "spillway.dev/headroom"
UNIT = {"cpu": "1", "memory": "64Mi"}
SLOTS = 3
"""Units that a machine of four CPUs holds."""


class Scene:
    """A governed Deployment of pods of one CPU, and headroom in units of their size."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    def headroom(self, pods: int) -> None:
        made = policy(self.namespace, namespace_label=self.namespace, elastic=ELASTIC)
        made["spec"]["headroom"] = {"from": "Fixed", "min": {"pods": pods}, "unit": UNIT}
        self.cluster.apply(made)

    def web(self, replicas: int) -> list[Object]:
        container: dict[str, Any] = {"name": "main", "image": "pause", "resources": {"requests": UNIT}}
        self.cluster.apply(deployment(self.namespace, "web", replicas, containers=[container]))
        return self.cluster.wait_pods_ready(self.namespace, replicas, "app=web")

    @property
    def nodes(self) -> set[str]:
        found = self.cluster.rest.items("/api/v1/nodes", labelSelector="tier=elastic")
        return {one["metadata"]["name"] for one in found}

    @property
    def placeholders(self) -> list[Object]:
        return self.cluster.pods(SYSTEM, HEADROOM)

    def wait_placed(self, count: int) -> list[Object]:
        """The placeholder pods, once there are so many and all of them are on nodes."""
        found: list[Object] = []

        def there() -> bool:
            found[:] = self.placeholders
            return len(found) == count == len([one for one in found if one["spec"].get("nodeName")])

        self.cluster.wait_until(there, f"{count} placeholder pods on nodes")
        return found


@pytest.fixture
def scene(cluster: Cluster, namespace: str) -> Iterator[Scene]:
    """A scene whose placeholder pods are gone before the nodes are."""
    made = Scene(cluster, namespace)
    yield made
    cluster.rest.delete(f"{POLICIES}/{namespace}")
    cluster.wait_until(lambda: not made.placeholders, "no placeholder pod")


def test_a_peak_takes_the_room_of_placeholder_pods_and_nodes_come_for_them(
    scene: Scene, autoscaler: NodeAutoscaler
) -> None:
    scene.web(1)
    scene.headroom(4)
    before = scene.wait_placed(4)
    nodes = scene.nodes
    assert set(autoscaler.added) == nodes

    pods = scene.web(5)
    assert {pod["spec"]["nodeName"] for pod in pods} <= nodes, "the peak waited for no node"
    after = scene.wait_placed(4)
    assert len({one["metadata"]["uid"] for one in after} & {one["metadata"]["uid"] for one in before}) < len(before)
    assert scene.nodes > nodes
    most = scene.nodes

    # The same headroom on fewer nodes, and no headroom on none: it removes only empty nodes.
    scene.web(0)
    eventually(lambda: len(scene.nodes) <= -(-4 // SLOTS), "nodes for the placeholder pods alone")
    scene.wait_placed(4)
    scene.headroom(0)
    eventually(lambda: not scene.nodes, "the empty nodes to be removed")
    autoscaler.wait_loops()
    assert autoscaler.removed >= most
    assert autoscaler.evicted == []


@pytest.fixture
def low_priority(cluster: Cluster) -> Iterator[str]:
    """The name of a PriorityClass with the value of placeholder pods, whose pods may preempt others."""
    body = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "may-preempt"},
        "value": -10,
    }
    with applied(cluster, body):
        yield "may-preempt"


def test_no_cutoff_of_priorities_keeps_nodes_from_coming_for_placeholder_pods(
    scene: Scene, autoscaler: NodeAutoscaler, low_priority: str
) -> None:
    autoscaler.use(*EMPTY_ONLY, "--expendable-pods-priority-cutoff=-9")
    container = {"name": "main", "image": "pause", "resources": {"requests": {"cpu": "2"}}}
    other = deployment(scene.namespace, "other", 1, containers=[container], priorityClassName=low_priority)
    scene.cluster.apply(other)
    eventually(lambda: "has priority below -9 (-10)" in autoscaler.log, "the pod to be left")

    scene.headroom(2)
    placed = scene.wait_placed(2)
    autoscaler.wait_loops()
    assert {one["spec"]["preemptionPolicy"] for one in placed} == {"Never"}, "what makes the difference"
    assert len(autoscaler.added) == 1
    [pending] = scene.cluster.pods(scene.namespace)
    assert not pending["spec"].get("nodeName")

    autoscaler.use(*EMPTY_ONLY)
    scene.cluster.wait_pods_ready(scene.namespace, 1)
    assert len(autoscaler.added) == 1
