"""Consolidation with the real scheduler and the real Karpenter: half-empty nodes empty without a missing replica."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness import Installation
from localcluster import Cluster
from spillway.domain.model.names import EMPTYING_TAINT, NODE_POOL_LABEL, ZONE_LABEL
from tests.e2e.conftest import LEASE_PATH
from tests.support.half_empty import HalfEmpty
from tests.support.installed import applied, autoscaler, eventually, stays
from tests.support.monitoring import expect_samples
from tests.support.tight import condition


@pytest.fixture
def scene(elastic: Cluster, installed: Installation) -> Iterator[HalfEmpty]:
    """A scene with an operator; the cluster is empty afterwards."""
    installed.start_one(0)
    installed.wait_ready(0)
    installed.wait_leader()
    with elastic.namespace() as namespace:
        elastic.rest.merge(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": {"team": namespace}}})
        made = HalfEmpty(elastic, namespace)
        yield made
        elastic.kubectl("delete", "deployment", "--all", "-n", namespace)
        elastic.wait_until(lambda: not made.nodes, "an empty cluster")
        if 0 in installed.running:
            installed.kill(0)
        elastic.rest.delete(LEASE_PATH)


def test_half_empty_nodes_empty_without_a_missing_replica_and_karpenter_removes_them(
    scene: HalfEmpty, installed: Installation
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
def test_the_taint_and_the_surge_go_when_consolidation_ends(
    scene: HalfEmpty, installed: Installation, how: str
) -> None:
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


def test_a_replica_whose_spread_closes_its_own_zone_moves_to_another_one_and_only_once_that_has_room(
    scene: HalfEmpty, installed: Installation
) -> None:
    cluster, namespace = scene.cluster, scene.namespace
    match = {"namespaces": {"matchLabels": {"team": namespace}}}
    even = {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ZonalBalance",
        "metadata": {"name": namespace},
        "spec": {"match": match, "zoneSpread": {}},
    }

    def add(app: str, replicas: int = 1, **pod_spec: Any) -> dict[str, str]:
        """Wait for one more workload; returns the node of one of its pods by workload, and of those before it."""
        cluster.apply(scene.third_of_a_node(app, replicas, **pod_spec))
        cluster.wait_pods_ready(namespace, replicas, f"app={app}")
        return {pod["metadata"]["labels"]["app"]: pod["spec"]["nodeName"] for pod in scene.pods}

    def look() -> bool:
        scene.look()
        assert {node["metadata"]["name"] for node in scene.nodes} <= before, "no node is added"
        waits = [
            pod["metadata"]["name"]
            for pod in scene.pods
            if condition(pod, "PodScheduled").get("reason") == "Unschedulable"
        ]
        assert waits == [], "no additional replica stays pending"
        return True

    with applied(cluster, even):
        add("full-in-b", 3, nodeSelector={ZONE_LABEL: "zone-b"})
        add("gone", 2, nodeSelector={ZONE_LABEL: "zone-a"})
        add("web")
        at = add("stays", nodeSelector={ZONE_LABEL: "zone-a"})
        assert at["web"] == at["gone"]
        cluster.kubectl("rollout", "pause", "deployment/stays", "-n", namespace)
        cluster.kubectl("delete", "deployment", "gone", "-n", namespace)
        cluster.wait_until(lambda: len(cluster.pods(namespace)) == 5, "web to be alone on its node")
        scene.least = {"web": 1, "stays": 1}
        before = {node["metadata"]["name"] for node in scene.nodes}
        assert before == {at["web"], at["stays"], at["full-in-b"]}

        with applied(cluster, scene.policy("Active")):
            line = f"Deployment/{namespace}/stays: Paused"
            eventually(lambda: line in (scene.consolidation.get("left") or []), line)
            stays(lambda: look() and not scene.tainted, "beside the pod in zone-a only zone-b is open", seconds=15.0)

            cluster.kubectl("scale", "deployment/full-in-b", "--replicas=2", "-n", namespace)
            eventually(lambda: look() and len(scene.nodes) == 2, "Karpenter to remove the node", seconds=120)
            [web] = cluster.wait_pods_ready(namespace, 1, "app=web")
            assert web["spec"]["nodeName"] == at["full-in-b"]
    assert scene.least == {"web": 1, "stays": 1}
    assert installed.total("spillway_surges_total", purpose="Consolidate", outcome="Succeeded") >= 1


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
    scene: HalfEmpty, installed: Installation
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
