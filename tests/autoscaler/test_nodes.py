"""Nodes that cluster-autoscaler adds for pending pods are elastic, and go without an eviction when they are empty."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from localcluster import Cluster
from localcluster.rest import Object
from spillway.domain.model.names import TIER
from tests.support.installed import added_nodes, annotations, applied, deployment, eventually, our_taint, policy, status
from tests.support.node_autoscaler import EMPTY_ONLY, NodeAutoscaler

SLOTS = 3
"""Pods of one CPU that a machine of four holds, beside a pod of the DaemonSet."""
ELASTIC: dict[str, Any] = {"tier": "elastic"}
NOT_SAFE = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}


class Scene:
    """A Deployment of pods of one CPU, and its policy."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    def web(
        self, replicas: int, *, cpu: str = "1", pod_annotations: Mapping[str, str] | None = None, **pod_spec: Any
    ) -> list[Object]:
        """The pods, once they are ready."""
        container = {"name": "main", "image": "pause", "resources": {"requests": {"cpu": cpu}}}
        made = deployment(self.namespace, "web", replicas, containers=[container], **pod_spec)
        made["spec"]["template"]["metadata"]["annotations"] = dict(pod_annotations or {})
        self.cluster.apply(made)
        return self.cluster.wait_pods_ready(self.namespace, replicas, "app=web")

    def scale(self, replicas: int) -> list[Object]:
        """The pods, once so many are ready."""
        self.cluster.kubectl("scale", "deployment", "web", f"--replicas={replicas}", "-n", self.namespace)
        return self.cluster.wait_pods_ready(self.namespace, replicas, "app=web")

    def daemons(self, cpu: str) -> None:
        """A DaemonSet with a pod on every node."""
        made = deployment(self.namespace, "agent", 1)
        template = made["spec"]["template"]
        template["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
        spec = {"selector": made["spec"]["selector"], "template": template}
        self.cluster.apply({**made, "kind": "DaemonSet", "spec": spec})

    @property
    def nodes(self) -> dict[str, Object]:
        found = self.cluster.rest.items("/api/v1/nodes", labelSelector="tier=elastic")
        return {one["metadata"]["name"]: one for one in found}

    def wait_node(self) -> str:
        """The name of the one elastic node, once its only pods are those of DaemonSets."""
        self.cluster.wait_until(lambda: not self.cluster.pods(self.namespace, "app=web"), "no pod of web")
        [name] = self.nodes
        return name


@pytest.fixture
def scene(cluster: Cluster, namespace: str) -> Iterator[Scene]:
    elastic = {"nodeSelector": {"matchLabels": ELASTIC}}
    with applied(cluster, policy(namespace, namespace_label=namespace, elastic=elastic)):
        yield Scene(cluster, namespace)


def test_nodes_come_for_pending_pods_once_and_go_empty_without_an_eviction(
    scene: Scene, autoscaler: NodeAutoscaler
) -> None:
    scene.daemons("200m")
    zones = ("zone-a", "zone-b")
    with added_nodes(scene.cluster, scene.namespace, 2, cpu="4", zones=zones) as fixed:
        eventually(
            lambda: status(scene.cluster, "elasticpolicies", scene.namespace)["nodes"]["fixed"] == 2, "two fixed nodes"
        )
        scene.web(3 * SLOTS + 1)
        nodes = scene.nodes
        assert len(nodes) == 2
        assert {our_taint(node) for node in nodes.values()} == {scene.namespace}
        assert all(node["metadata"]["labels"]["kubernetes.io/hostname"] == name for name, node in nodes.items())

        # Where only nodes with the soft taint have room, it adds no other.
        pods = scene.scale(4 * SLOTS)
        autoscaler.wait_loops()
        assert set(scene.nodes) == set(nodes) == set(autoscaler.added)
        assert len(autoscaler.added) == 2

        def stamped() -> bool:
            found = scene.cluster.pods(scene.namespace, "app=web")
            tiers = {pod["spec"]["nodeName"]: annotations(pod).get(TIER) for pod in found}
            return tiers == {**dict.fromkeys(fixed, "fixed"), **dict.fromkeys(nodes, "elastic")}

        eventually(stamped, "the tier on each pod")
        kept = {pod["metadata"]["uid"] for pod in pods if pod["spec"]["nodeName"] in fixed}

        after = scene.scale(2 * SLOTS)
        assert {pod["metadata"]["uid"] for pod in after} == kept
        eventually(lambda: not scene.nodes, "the empty nodes to be removed")
        autoscaler.wait_loops()
        assert autoscaler.removed == set(nodes)
        assert autoscaler.evicted == []
        assert autoscaler.samples.total("cluster_autoscaler_scaled_down_nodes_total") == 2
        assert autoscaler.samples.total("cluster_autoscaler_scaled_down_nodes_total", reason="empty") == 2


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(["--scale-down-utilization-threshold=0", EMPTY_ONLY[1]], id="threshold of 0"),
        pytest.param([EMPTY_ONLY[0]], id="DaemonSets count"),
    ],
)
def test_flags_with_which_an_empty_node_stays(scene: Scene, autoscaler: NodeAutoscaler, flags: list[str]) -> None:
    scene.daemons("200m")
    scene.web(1, nodeSelector=ELASTIC)
    autoscaler.use(*flags)
    scene.scale(0)
    name = scene.wait_node()

    autoscaler.wait_loops()
    last = [line for line in autoscaler.log.splitlines() if f"Node {name}" in line][-1]
    assert "unremovable" in last
    assert "above the scale-down utilization threshold" in last
    assert set(scene.nodes) == {name}

    autoscaler.use(*EMPTY_ONLY)
    eventually(lambda: not scene.nodes, "the node to be removed")
    assert autoscaler.evicted == []


@pytest.mark.parametrize("said", [{}, NOT_SAFE], ids=["nothing said", "not safe"])
def test_pods_that_request_next_to_nothing_are_evicted_unless_their_annotation_says_no(
    scene: Scene, autoscaler: NodeAutoscaler, said: Mapping[str, str]
) -> None:
    [pod] = scene.web(1, cpu="10m", pod_annotations=said)
    name = pod["metadata"]["name"]
    with added_nodes(scene.cluster, scene.namespace, 1, cpu="4", zones=["zone-a"]):
        if not said:
            eventually(lambda: not scene.nodes, "the node to be removed")
            assert autoscaler.evicted == [f"{scene.namespace}/{name}"]
        else:
            blocked = f"not safe to evict present: {name}"
            eventually(lambda: blocked in autoscaler.log, "the pod to be the reason")
            autoscaler.wait_loops()
            assert set(scene.nodes) == {pod["spec"]["nodeName"]}
            assert autoscaler.evicted == []
