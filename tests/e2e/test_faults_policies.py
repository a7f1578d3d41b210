"""Policies and nodes change under way: nothing of ours stays where it does not belong, nothing of others is touched."""

import pytest

from harness import Installation
from harness.scene import COST, Scene, by_tier, tier_violations, zone_skew
from localcluster import ClusterApi
from localcluster.rest import Object
from tests.support.e2e import Start


def test_two_policies_claim_one_workload_the_oldest_wins_and_the_other_says_so(
    operator: Installation, scene: Scene, cluster: ClusterApi
) -> None:
    second = f"{scene.policy}-b"
    scene.add_policy()
    scene.wait_enforced()
    # Ages are compared in whole seconds; the later name would lose a tie anyway.
    scene.add_policy(second)
    pods = scene.fill("web")
    assert {pod.annotations["spillway.dev/policy"] for pod in pods} == {scene.policy}

    def loser_says_so() -> bool:
        condition = scene.condition("elasticpolicies", second)
        return condition is not None and condition["status"] == "False" and scene.policy in condition["message"]

    cluster.wait_until(loser_says_so, "the second policy's condition")
    scene.scale("web", 15)
    after = scene.wait_ready("web", 15)
    assert not tier_violations(pods, after)
    assert zone_skew(after) <= 1

    scene.delete("elasticpolicies", scene.policy)

    cluster.wait_until(lambda: _taints_of(scene) == {second}, "the taints of the heir")
    # The other replica, which may see the end of the first policy a moment later, answers for pods as well.
    scene.deploy("later", 1)
    scene.wait_ready("later", 1)
    cluster.wait_until(lambda: _policies_of(scene, "later") == {second}, "the mark of the heir")


def _policies_of(scene: Scene, name: str) -> set[str]:
    """Which policies' marks the workload's pods carry; one that has none counts as ''."""
    return {pod.annotations.get("spillway.dev/policy", "") for pod in scene.pods(name)}


def _taints_of(scene: Scene) -> set[str]:
    """Which policies' taints the elastic nodes carry; one that has none counts as ''."""
    return {
        next(
            (taint["value"] for taint in node["spec"].get("taints") or [] if taint["key"] == "spillway.dev/elastic"), ""
        )
        for node in scene.node_objects("elastic")
    }


def test_a_node_relabelled_from_elastic_to_fixed(start: Start, scene: Scene, cluster: ClusterApi) -> None:
    start(2, "--upkeep-seconds=1")
    scene.add_policy()
    scene.wait_enforced()
    pods = scene.fill("web")
    node = scene.nodes["elastic"][0]

    cluster.rest.merge(f"/api/v1/nodes/{node}", {"metadata": {"labels": {"pool": scene.pool("fixed")}}})

    cluster.wait_until(lambda: node not in scene.tainted(), "its taint to go")
    pods = scene.wait_stamped("web")
    assert by_tier(pods) == {"fixed": 8, "elastic": 4, "virtual": 6}
    moved = [pod for pod in pods if pod.node == node]
    assert max(pod.cost for pod in pods if pod.tier == "elastic") < min(pod.cost for pod in moved)

    scene.scale("web", 12)
    after = scene.wait_ready("web", 12)
    assert not tier_violations(pods, after)
    assert by_tier(after) == {"fixed": 8, "elastic": 4, "virtual": 0}


def test_policy_deleted_while_scaling(operator: Installation, scene: Scene, cluster: ClusterApi) -> None:
    scene.add_policy()
    scene.wait_enforced()
    scene.fill("web")

    scene.scale("web", 15)
    scene.delete("elasticpolicies", scene.policy)
    scene.scale("web", 11)

    scene.wait_ready("web", 11)
    cluster.wait_until(lambda: not scene.marked_objects(), "everything of ours gone")


@pytest.mark.parametrize("back", ["Enforce", "Recommend"])
def test_leaving_enforce_takes_everything_off_and_coming_back_puts_it_on(
    start: Start, scene: Scene, cluster: ClusterApi, back: str
) -> None:
    start(2, "--upkeep-seconds=1")
    scene.add_policy()
    scene.wait_enforced()
    scene.fill("web")

    scene.patch("elasticpolicies", scene.policy, {"mode": "Recommend"})
    cluster.wait_until(lambda: not scene.marked_objects(), "everything of ours gone")

    scene.patch("elasticpolicies", scene.policy, {"mode": back})
    if back == "Enforce":
        scene.wait_enforced()
        scene.wait_stamped("web")
    else:
        assert not scene.marked_objects()


def test_uninstalling_leaves_the_cluster_as_it_was_found(
    operator: Installation, scene: Scene, cluster: ClusterApi
) -> None:
    foreign_taint = {"key": "example.com/other", "effect": "NoSchedule", "value": "theirs"}
    tainted, closed = scene.nodes["elastic"][0], scene.nodes["virtual"][0]
    cluster.rest.merge(f"/api/v1/nodes/{tainted}", {"spec": {"taints": [foreign_taint]}})
    scene.close_nodes([closed])
    # The node controller answers a cordon by a taint of its own.
    cluster.wait_until(lambda: "node.kubernetes.io/unschedulable" in str(_nodes(scene)[closed]), "its taint")
    before = _nodes(scene)
    scene.add_policy()
    scene.wait_enforced()
    scene.deploy("web", 6)
    pods = scene.wait_ready("web", 6)
    theirs = pods[0]
    cluster.rest.merge(
        f"/api/v1/namespaces/{scene.namespace}/pods/{theirs.name}",
        {"metadata": {"annotations": {COST: "7", "example.com/mine": "kept"}}},
    )
    scene.patch("virtualnodebudgets", scene.budget, {"cordon": "Hold"})
    cluster.wait_until(lambda: scene.closed() == set(scene.nodes["virtual"]), "the pool closed")

    operator.stop()
    operator.restore()

    cluster.wait_until(lambda: _nodes(scene) == before, "the nodes as they were")
    left = {pod.name: dict(pod.annotations) for pod in scene.pods("web")}
    assert left.pop(theirs.name)["example.com/mine"] == "kept"
    for name, annotations in left.items():
        assert not [key for key in annotations if key.startswith("spillway.dev/") or key == COST], name
    assert {pod.name: pod.cost for pod in scene.pods("web")}[theirs.name] == 7


def _nodes(scene: Scene) -> dict[str, Object]:
    """What of a node is ours to change, as it stands."""
    return {
        node["metadata"]["name"]: {
            "taints": node["spec"].get("taints"),
            "unschedulable": node["spec"].get("unschedulable"),
            "annotations": node["metadata"].get("annotations"),
        }
        for node in scene.node_objects()
    }
