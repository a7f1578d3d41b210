"""Consolidation with the real scheduler and the real Karpenter: half-empty nodes empty without a missing replica."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness import Installation
from localcluster import Cluster
from localcluster.rest import Object
from spillway.domain.model.names import EMPTYING_TAINT, NODE_POOL_LABEL, SURGE
from tests.e2e.conftest import LEASE_PATH
from tests.support.installed import annotations, applied, autoscaler, deployment, eventually, policy, status
from tests.support.monitoring import expect_samples
from tests.support.tight import is_ready

APPS = tuple(f"app-{index}" for index in range(9))
ELASTIC: dict[str, Any] = {"nodeSelector": {"matchLabels": {"tier": "elastic"}}}
QUICK = {"below": 60, "settle": "1s", "nodeSettle": "1s"}


class Scene:
    """Elastic nodes with one pod each, of a workload with one replica: less than a third of a node."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.least: dict[str, int] = {}
        """The least number of ready replicas that each workload has had."""
        self.tainted: set[str] = set()
        """The nodes that have had the taint."""

    def fill(self, **spec: Any) -> dict[str, str]:
        """Let Karpenter add nodes, and take all pods but one from each; returns the workloads by node."""
        container = {"name": "main", "image": "pause", "resources": {"requests": {"cpu": "1", "memory": "64Mi"}}}
        made = [deployment(self.namespace, app, 1, containers=[container]) for app in APPS]
        for one in made:
            one["spec"].update(spec)
        self.cluster.apply(made)
        pods = self.cluster.wait_pods_ready(self.namespace, len(APPS))
        kept = {pod["spec"]["nodeName"]: pod["metadata"]["labels"]["app"] for pod in pods}
        assert len(kept) >= 3
        gone = sorted(set(APPS) - set(kept.values()))
        self.cluster.kubectl("delete", "deployment", *gone, "-n", self.namespace)
        # Pods that are still being deleted count in the order of the nodes, which is to stay the same.
        self.cluster.wait_until(lambda: len(self.cluster.pods(self.namespace)) == len(kept), "one pod on each node")
        self.least = dict.fromkeys(kept.values(), 1)
        return kept

    def policy(self, mode: str, **elastic: Any) -> Object:
        made = policy(self.namespace, namespace_label=self.namespace, elastic={**ELASTIC, **elastic})
        made["spec"]["consolidation"] = {"mode": mode, "maxMovesPerMinute": 60, **QUICK}
        return made

    @property
    def pods(self) -> list[Object]:
        return [pod for pod in self.cluster.pods(self.namespace) if "deletionTimestamp" not in pod["metadata"]]

    @property
    def nodes(self) -> list[Object]:
        return self.cluster.rest.items("/api/v1/nodes", labelSelector="tier=elastic")

    @property
    def emptying(self) -> set[str]:
        """The nodes that carry the taint."""
        return {
            node["metadata"]["name"]
            for node in self.nodes
            if any(taint["key"] == EMPTYING_TAINT for taint in node["spec"].get("taints") or [])
        }

    def look(self) -> bool:
        """Note what is seen now."""
        ready = [pod["metadata"]["labels"]["app"] for pod in self.pods if is_ready(pod)]
        for app in self.least:
            self.least[app] = min(self.least[app], ready.count(app))
        self.tainted |= self.emptying
        return True

    @property
    def consolidation(self) -> Any:
        return status(self.cluster, "elasticpolicies", self.namespace).get("consolidation") or {}

    def wait_at_rest(self) -> None:
        """One replica of each workload, and no mark of a surge."""

        def at_rest() -> bool:
            owners = self.cluster.rest.items(f"/apis/apps/v1/namespaces/{self.namespace}/replicasets")
            return len(self.pods) == len(self.least) and not any(SURGE in annotations(one) for one in owners)

        eventually(at_rest, "one replica of each workload and no surge")


@pytest.fixture
def scene(elastic: Cluster, installed: Installation) -> Iterator[Scene]:
    """A scene with an operator; the cluster is empty afterwards."""
    installed.start_one(0)
    installed.wait_ready(0)
    installed.wait_leader()
    with elastic.namespace() as namespace:
        elastic.rest.merge(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": {"team": namespace}}})
        made = Scene(elastic, namespace)
        yield made
        elastic.kubectl("delete", "deployment", "--all", "-n", namespace)
        elastic.wait_until(lambda: not made.nodes, "an empty cluster")
        if 0 in installed.running:
            installed.kill(0)
        elastic.rest.delete(LEASE_PATH)


def test_half_empty_nodes_empty_without_a_missing_replica_and_karpenter_removes_them(
    scene: Scene, installed: Installation
) -> None:
    kept = scene.fill()
    before = {pod["metadata"]["uid"] for pod in scene.pods}

    # A node of three pods: what the other nodes had fits on that of the workload that stays.
    wanted = -(-len(kept) // 3)

    def whole_plan() -> list[str]:
        """Its nodes, once all of them are old enough: which one comes first does not change any more."""
        found: list[str] = scene.consolidation.get("emptying") or []
        return found if len(found) >= len(kept) - wanted else []

    with applied(scene.cluster, scene.policy("DryRun")):
        full, *_ = eventually(whole_plan, "the nodes of a plan in the status")
    scene.cluster.apply(autoscaler(scene.namespace, kept[full], 1, 1))

    with applied(scene.cluster, scene.policy("DryRun")):
        shown = eventually(lambda: scene.consolidation.get("emptying"), "the nodes of another plan in the status")
        assert set(shown) <= set(kept) - {full}
        line = f"Deployment/{scene.namespace}/{kept[full]}: AutoscalerAtMaximum"
        eventually(lambda: line in (scene.consolidation.get("left") or []), f"{line} beside {shown}")
        eventually(
            lambda: (
                installed.total("spillway_consolidation_nodes_emptying", policy=scene.namespace)
                == len(scene.consolidation["emptying"])
            ),
            "the metric to say the same as the status",
        )
        assert {pod["metadata"]["uid"] for pod in scene.pods} == before
        assert scene.emptying == set()

        scene.cluster.apply(scene.policy("Active"))
        eventually(lambda: scene.look() and len(scene.nodes) <= wanted, "Karpenter to remove the nodes", seconds=400)
        scene.look()
        assert full in {node["metadata"]["name"] for node in scene.nodes}
        assert full not in scene.tainted
        assert scene.tainted >= set(kept) - {node["metadata"]["name"] for node in scene.nodes}
        scene.wait_at_rest()
        eventually(lambda: scene.emptying == set(), "no node to carry the taint")
        eventually(lambda: scene.consolidation.get("emptied") == len(kept) - wanted, "the emptied nodes to be counted")
        expect_samples(
            installed,
            "spillway_consolidation_moves_total",
            "spillway_consolidation_nodes_emptied_total",
            "spillway_consolidation_nodes_emptying",
        )

    assert scene.least == dict.fromkeys(scene.least, 1)
    assert installed.total("spillway_surges_total", purpose="Consolidate", outcome="Succeeded") >= len(kept) - wanted
    events = scene.cluster.rest.items(f"/apis/events.k8s.io/v1/namespaces/{scene.namespace}/events")
    moved = {one["regarding"]["name"] for one in events if one["reason"] == "PodMoved"}
    assert moved <= set(scene.least) - {kept[full]}
    assert not [one for one in events if one["reason"] == "Evicted"]


@pytest.mark.parametrize("how", ["DryRun", "restore"])
def test_the_taint_and_the_surge_go_when_consolidation_ends(scene: Scene, installed: Installation, how: str) -> None:
    scene.fill(minReadySeconds=60)
    with applied(scene.cluster, scene.policy("Active")):
        eventually(lambda: scene.emptying, "a node with the taint")
        eventually(lambda: scene.look() and len(scene.pods) > len(scene.least), "a surge")
        if how == "restore":
            installed.kill(0)
            installed.restore()
        else:
            scene.cluster.apply(scene.policy(how))
        eventually(lambda: scene.emptying == set(), "no node to carry the taint")
        scene.wait_at_rest()
        scene.look()
    assert scene.least == dict.fromkeys(scene.least, 1)


POOLS = "/apis/karpenter.sh/v1/nodepools"
DISRUPTED = "karpenter.sh/disrupted"


@pytest.fixture
def draining(elastic: Cluster) -> Iterator[None]:
    """Karpenter drains nodes that are not empty, at most one of each NodePool at once."""
    pools = [pool["metadata"]["name"] for pool in elastic.rest.items(POOLS)]
    before = {name: elastic.rest.get(f"{POOLS}/{name}")["spec"]["disruption"] for name in pools}
    for name in pools:
        disruption = {
            "consolidationPolicy": "WhenEmptyOrUnderutilized",
            "consolidateAfter": "3s",
            "budgets": [{"nodes": "1"}],
        }
        elastic.rest.merge(f"{POOLS}/{name}", {"spec": {"disruption": disruption}})
    yield
    for name, disruption in before.items():
        elastic.rest.merge(f"{POOLS}/{name}", {"spec": {"disruption": disruption}})


@pytest.mark.usefixtures("draining")
def test_beside_a_karpenter_that_drains_nodes_each_does_its_part_within_the_budgets(
    scene: Scene, installed: Installation
) -> None:
    kept = scene.fill()
    *paused, moved = sorted(kept.values())
    # What may not be evicted, Karpenter leaves; a paused Deployment is left by moves. So the pod that may not be
    # evicted moves to a node of a paused one, and only Karpenter can bring the paused ones together.
    unavailable = {"maxUnavailable": 0, "selector": {"matchLabels": {"app": moved}}}
    metadata = {"name": "none", "namespace": scene.namespace}
    scene.cluster.apply(
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": unavailable}
    )
    for app in paused:
        scene.cluster.kubectl("rollout", "pause", f"deployment/{app}", "-n", scene.namespace)
    before = {node["metadata"]["name"] for node in scene.nodes}
    seen, karpenters, most = set(before), set[str](), 0

    def look() -> bool:
        nonlocal most
        scene.look()
        busy = {pod["spec"].get("nodeName") for pod in scene.pods}
        used: dict[str, int] = {}
        for node in scene.nodes:
            name, labels = node["metadata"]["name"], node["metadata"]["labels"]
            keys = {taint["key"] for taint in node["spec"].get("taints") or []}
            seen.add(name)
            if DISRUPTED in keys and EMPTYING_TAINT not in keys:
                karpenters.add(name)
            assert not (name in karpenters and EMPTYING_TAINT in keys), "a node that Karpenter removes is left to it"
            pool = labels[NODE_POOL_LABEL]
            used[pool] = used.get(pool, 0) + (DISRUPTED in keys or (EMPTYING_TAINT in keys and name in busy))
        most = max(most, *used.values(), 0)
        return True

    # Karpenter takes a soft taint that no NodePool declares for a hard one, and would find no room on the other nodes.
    with applied(scene.cluster, scene.policy("Active", softTaint=False)):
        wanted = -(-len(kept) // 3)
        eventually(lambda: look() and len(scene.nodes) <= wanted, "the nodes to be removed", seconds=400)
        scene.wait_at_rest()
        look()

    assert scene.least[moved] == 1
    assert seen == before, "neither has made the other add a node"
    assert most == 1

    def told(reason: str) -> set[str]:
        """Of whom the Events with this reason are; they are written after what they tell."""
        events = scene.cluster.rest.items(f"/apis/events.k8s.io/v1/namespaces/{scene.namespace}/events")
        return {one["regarding"]["name"] for one in events if one["reason"] == reason}

    evicted = {name.rsplit("-", 2)[0] for name in eventually(lambda: told("Evicted"), "Karpenter's Events")}
    assert evicted <= set(paused)
    assert eventually(lambda: told("PodMoved"), "the Event of the move") == {moved}
    assert installed.total("spillway_surges_total", purpose="Consolidate", outcome="Succeeded") >= 1
