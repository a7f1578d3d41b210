"""Headroom with the real scheduler and the real Karpenter: a peak, a valley, and what holds it."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from harness import Installation
from harness.prometheus import PushedPrometheus, prometheus_running
from localcluster import Cluster
from tests.support.monitoring import expect_samples
from tests.support.scaled import replicas_of

POLICIES = "/apis/spillway.dev/v1alpha1/elasticpolicies"
BUFFERS = "/apis/autoscaling.x-k8s.io/v1beta1/namespaces/spillway-system/capacitybuffers"
SYSTEM = "spillway-system"
HEADROOM = "spillway.dev/headroom"
HOLD_SECONDS = 4
SLOTS = 3
"""Pods of one CPU that a machine of four holds."""
DAY = 86_400.0


class _Scene:
    """A governed Deployment of pods of one CPU, and a policy with headroom in units of their size."""

    def __init__(self, cluster: Cluster, namespace: str, zones: list[str]) -> None:
        self.cluster, self.namespace, self.zones = cluster, namespace, zones
        self.of_class: Mapping[str, Any] = {}
        """Further fields of the policy's class."""

    def policy(self, **headroom: Any) -> None:
        self.cluster.apply(
            {
                "apiVersion": "spillway.dev/v1alpha1",
                "kind": "ElasticPolicy",
                "metadata": {"name": self.namespace},
                "spec": {
                    "mode": "Enforce",
                    "tiers": {"elastic": {"nodeSelector": {"matchLabels": {"tier": "elastic"}}}},
                    "workloads": [
                        {
                            "name": "default",
                            "match": {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}},
                            **self.of_class,
                        }
                    ],
                    "headroom": headroom,
                },
            }
        )

    def web(self, replicas: int) -> None:
        labels = {"app": "web"}
        selector = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": self.zones}
        terms = [{"matchExpressions": [selector]}]
        nodes = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        spread = {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": labels},
        }
        container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": "1", "memory": "64Mi"}}}
        self.cluster.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "web", "namespace": self.namespace},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {
                            "terminationGracePeriodSeconds": 0,
                            "containers": [container],
                            "affinity": {"nodeAffinity": nodes},
                            "topologySpreadConstraints": [spread],
                        },
                    },
                },
            }
        )

    def scale(self, replicas: int) -> None:
        self.cluster.kubectl("scale", "deployment", "web", f"--replicas={replicas}", "-n", self.namespace)

    @property
    def nodes(self) -> set[str]:
        return {
            one["metadata"]["name"] for one in self.cluster.rest.items("/api/v1/nodes", labelSelector="tier=elastic")
        }

    @property
    def softly_tainted(self) -> set[str]:
        return {
            one["metadata"]["name"]
            for one in self.cluster.rest.items("/api/v1/nodes", labelSelector="tier=elastic")
            if any(taint["key"] == "spillway.dev/elastic" for taint in one["spec"].get("taints") or ())
        }

    @property
    def claims(self) -> set[str]:
        return {one["metadata"]["name"] for one in self.cluster.rest.items("/apis/karpenter.sh/v1/nodeclaims")}

    def provisioned(self, units: int) -> bool:
        """Whether Karpenter says of buffers of so many units, as they are now, that nodes or orders hold them."""
        buffers = self.cluster.rest.items(BUFFERS)
        return sum(one["spec"]["replicas"] for one in buffers) == units and all(
            ("Provisioning", "True", one["metadata"]["generation"])
            in {
                (condition["type"], condition["status"], condition.get("observedGeneration"))
                for condition in (one.get("status") or {}).get("conditions") or ()
            }
            for one in buffers
        )

    @property
    def balloons(self) -> list[dict[str, Any]]:
        return self.cluster.pods(SYSTEM, HEADROOM)

    def placed(self, pods: list[dict[str, Any]]) -> list[str]:
        return [pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")]

    def wait_balloons(self, count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = self.balloons
            return len(found) == count == len(self.placed(found))

        self.cluster.wait_until(there, f"{count} balloons on nodes")
        return found

    def wait_nodes(self, most: int) -> None:
        self.cluster.wait_until(lambda: len(self.nodes) <= most, f"at most {most} elastic nodes")

    def wait_condition(self, reason: str) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def holds() -> bool:
            status = self.cluster.rest.get(f"{POLICIES}/{self.namespace}").get("status") or {}
            found.clear()
            found.update(status)
            return any(
                one["type"] == "HeadroomReady" and one["reason"] == reason for one in status.get("conditions") or ()
            )

        self.cluster.wait_until(holds, f"HeadroomReady with {reason}")
        return found


@pytest.fixture(scope="module")
def history() -> Iterator[PushedPrometheus]:
    """The Prometheus of business metrics."""
    with prometheus_running() as server:
        yield server


@pytest.fixture
def scene(elastic: Cluster, installed: Installation, request: pytest.FixtureRequest) -> Iterator[_Scene]:
    """A scene with an operator that has the flags of the test's parameter; the cluster is empty afterwards.

    The operator reads `history` where the test asks for it.
    """
    flags, zones = request.param
    if "history" in request.fixturenames:
        flags = [*flags, f"--prometheus-url={request.getfixturevalue('history').url}"]
    installed.start_one(0, flags=[*flags, f"--headroom-hold-seconds={HOLD_SECONDS}"])
    installed.wait_ready(0)
    installed.wait_leader()
    with elastic.namespace() as namespace:
        made = _Scene(elastic, namespace, zones)
        yield made
        elastic.rest.delete(f"{POLICIES}/{namespace}")
        elastic.rest.delete(f"/apis/apps/v1/namespaces/{namespace}/deployments/web")
        elastic.wait_until(lambda: not made.balloons and not made.nodes, "an empty cluster")
        if 0 in installed.running:
            installed.kill(0)
        elastic.rest.delete("/apis/coordination.k8s.io/v1/namespaces/spillway-system/leases/spillway")


UNIT = {"cpu": "1", "memory": "64Mi"}
BALLOONS = (["--headroom-by=balloons"], ["zone-a", "zone-b"])


@pytest.mark.parametrize("scene", [BALLOONS], indirect=True)
def test_a_peak_takes_the_room_of_balloons_at_once_and_karpenter_adds_nodes_for_them(
    scene: _Scene, installed: Installation
) -> None:
    scene.web(2)
    scene.cluster.wait_pods_ready(scene.namespace, 2)
    scene.policy(**{"from": "Fixed", "min": {"pods": 4}, "unit": UNIT})
    balloons = scene.wait_balloons(4)
    status = scene.wait_condition("Kept")
    zones = {one["zone"]: one["pods"] for one in status["headroom"]["zones"]}
    assert zones == {"zone-a": 2, "zone-b": 2}
    [balloon, *_] = balloons
    assert balloon["spec"]["priority"] == -10
    assert balloon["spec"]["terminationGracePeriodSeconds"] == 0
    assert "karpenter.sh/do-not-disrupt" not in balloon["metadata"]["annotations"]

    before, uids = scene.nodes, {one["metadata"]["uid"] for one in balloons}
    scene.scale(6)
    pods = scene.cluster.wait_pods_ready(scene.namespace, 6)
    # The peak waited for no node: each of its pods runs where balloons were.
    assert set(scene.placed(pods)) <= before
    balloons = scene.wait_balloons(4)
    assert not uids & {one["metadata"]["uid"] for one in balloons}
    assert scene.nodes > before
    scene.wait_condition("Kept")
    expect_samples(installed, "spillway_headroom_pods", "spillway_headroom_ready_pods")


@pytest.mark.parametrize("scene", [(BALLOONS[0], ["zone-a"])], indirect=True)
def test_nodes_for_a_forecast_peak_are_there_before_anything_asks_for_its_replicas(
    scene: _Scene, history: PushedPrometheus
) -> None:
    """The peak comes after the window of the forecast, but before nodes would be ready at the end of the window."""
    peak = time.time() + 1500
    times = np.arange(peak - 8 * DAY, time.time(), 60.0)
    lengths = np.where((times - peak) % DAY < 3600, 580.0, 200.0)
    history.push([({"__name__": "queue", "queue": "web"}, times, lengths)])
    scene.web(2)
    scene.cluster.wait_pods_ready(scene.namespace, 2)
    before = scene.nodes
    target = {"query": 'max(queue{queue="$(workload)"})', "perReplica": "100"}
    scene.of_class = {"scaling": {"target": target, "forecast": {"window": "5m", "startup": "3m"}}}
    scene.policy(nodeStartup="40m", unit=UNIT)

    def all_placed() -> bool:
        return len(scene.balloons) == len(scene.placed(scene.balloons)) >= 4

    scene.cluster.wait_until(all_placed, "four balloons on nodes")
    scene.cluster.wait_until(
        lambda: scene.wait_condition("Kept")["headroom"]["reason"] == "Forecast", "the reason of the headroom"
    )
    [recommended] = scene.wait_condition("Kept")["scaling"]
    assert (recommended["replicas"], replicas_of(scene.cluster, scene.namespace)) == (2, 2)
    there = scene.nodes
    assert there > before
    assert time.time() < peak

    # What an autoscaler does once the peak is within the window.
    scene.scale(6)
    pods = scene.cluster.wait_pods_ready(scene.namespace, 6)
    assert set(scene.placed(pods)) <= there


@pytest.mark.parametrize("scene", [(BALLOONS[0], ["zone-a"])], indirect=True)
def test_balloons_keep_no_node_that_could_go(scene: _Scene) -> None:
    scene.web(5)
    scene.cluster.wait_pods_ready(scene.namespace, 5)
    scene.policy(**{"from": "Fixed", "min": {"pods": 6}, "unit": UNIT})
    scene.wait_balloons(6)
    at_peak = len(scene.nodes)
    assert at_peak >= 4

    # The valley: the same headroom fits on two nodes, and Karpenter removes only empty ones.
    scene.scale(0)
    scene.wait_nodes(6 // SLOTS)
    scene.wait_balloons(6)

    # The headroom shrinks: the balloons of one node go, not some of each.
    scene.policy(**{"from": "Fixed", "min": {"pods": 3}, "unit": UNIT})
    scene.wait_nodes(1)
    scene.wait_balloons(3)

    # Zero headroom keeps nothing.
    scene.policy(**{"from": "Fixed", "min": {"pods": 0}, "unit": UNIT})
    scene.wait_nodes(0)
    scene.wait_condition("Kept")


@pytest.mark.parametrize("scene", [([], ["zone-a", "zone-b"])], indirect=True)
def test_karpenter_keeps_the_headroom_of_capacity_buffers(scene: _Scene) -> None:
    scene.web(2)
    scene.cluster.wait_pods_ready(scene.namespace, 2)
    scene.policy(**{"from": "Fixed", "min": {"pods": 6}, "unit": UNIT})
    status = scene.wait_condition("Kept")
    assert status["headroom"]["heldBy"] == "CapacityBuffer"
    assert status["headroom"]["ready"] == 6
    assert [one["spec"]["replicas"] for one in scene.cluster.rest.items(BUFFERS)] == [3, 3]
    assert not scene.balloons
    before = scene.nodes
    assert len(before) * SLOTS >= 8

    # Two more units fit on the nodes that exist, which have the soft taint by now: Karpenter finds that they do, and
    # orders no others.
    scene.cluster.wait_until(lambda: scene.softly_tainted == before, "the soft taint of all elastic nodes")
    claims = scene.claims
    scene.policy(**{"from": "Fixed", "min": {"pods": 8}, "unit": UNIT})
    scene.cluster.wait_until(lambda: scene.provisioned(8), "Karpenter's room for eight units")
    assert scene.claims == claims
    # Until it has seen that, the operator says of the six units before that they are kept.
    scene.cluster.wait_until(lambda: scene.wait_condition("Kept")["headroom"]["ready"] == 8, "eight units to be ready")
    assert scene.nodes == before

    scene.scale(8)
    pods = scene.cluster.wait_pods_ready(scene.namespace, 8)
    assert set(scene.placed(pods)) <= before
    scene.cluster.wait_until(lambda: scene.nodes > before, "nodes for the buffers")

    # Without the section they go, and with them the nodes that nothing else needs.
    scene.scale(0)
    scene.cluster.kubectl(
        "patch", "elp", scene.namespace, "--type=json", "-p", '[{"op":"remove","path":"/spec/headroom"}]'
    )
    scene.cluster.wait_until(lambda: not scene.cluster.rest.items(BUFFERS), "no buffers")
    scene.wait_nodes(0)


@pytest.mark.parametrize("scene", [BALLOONS], indirect=True)
def test_restore_removes_what_holds_headroom(scene: _Scene, installed: Installation) -> None:
    scene.policy(**{"from": "Fixed", "min": {"pods": 2}, "unit": UNIT})
    scene.wait_balloons(2)
    installed.kill(0)
    said = installed.restore()
    assert "it held headroom" in said
    assert "objects that held headroom deleted" in said
    scene.wait_nodes(0)
    assert not scene.balloons
