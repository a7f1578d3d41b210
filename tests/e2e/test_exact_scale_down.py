"""The main job, on the real control plane: pods get their cost when they are bound, and exactly the planned ones go."""

import json
from collections.abc import Callable

import pytest

from harness import Installation
from harness.scene import COST, PodView, Scene, by_tier, tier_violations, zone_skew
from localcluster import ClusterApi, ClusterError
from localcluster.rest import Object
from tests.support.command_line import explained

pytestmark = pytest.mark.alone


def _planned(operator: Installation, scene: Scene) -> list[Object]:
    return [plan for plan in operator.plans() if plan["namespace"] == scene.namespace]


def _told(scene: Scene) -> dict[str, int]:
    """What the policy's status says of its scale-downs."""
    status = scene.cluster.rest.get(f"/apis/spillway.dev/v1alpha1/elasticpolicies/{scene.policy}").get("status") or {}
    return {key: count for key, count in (status.get("scaleDown") or {}).items() if key != "since"}


def _explained(cluster: ClusterApi, namespace: str, workload: str) -> list[str]:
    """The names of a workload's pods, the first victim first, as `spillway explain` gives them at a prompt."""
    return [
        one["pod"].removeprefix(f"{namespace}/")
        for one in explained(cluster, namespace, "workload", workload)["scaleDown"]
    ]


def _gone(before: list[PodView], after: list[PodView]) -> set[str]:
    return {pod.uid for pod in before} - {pod.uid for pod in after}


def test_pods_are_born_with_tier_pool_and_a_cost_whose_order_is_the_tiers(
    operators: Installation, scene: Scene
) -> None:
    scene.add_policy()
    scene.wait_enforced()

    pods = scene.fill("web")

    assert by_tier(pods) == {"fixed": 6, "elastic": 6, "virtual": 6}
    for pod in pods:
        assert pod.annotations["spillway.dev/tier"] == pod.tier
        assert pod.annotations["spillway.dev/policy"] == scene.policy
        assert pod.annotations.get("spillway.dev/pool") == (scene.budget if pod.tier == "virtual" else None)
    highest = {tier: max(pod.cost for pod in pods if pod.tier == tier) for tier in ("virtual", "elastic")}
    lowest = {tier: min(pod.cost for pod in pods if pod.tier == tier) for tier in ("elastic", "fixed")}
    assert highest["virtual"] < lowest["elastic"]
    assert highest["elastic"] < lowest["fixed"]


def test_every_victim_is_a_planned_one_whatever_scales(
    operators: Installation, scene: Scene, cluster: ClusterApi
) -> None:
    scene.add_policy()
    scene.wait_enforced()
    pods = scene.fill("web")

    for replicas in (16, 13, 12, 9, 6, 4):
        scene.scale("web", replicas)
        after = scene.wait_ready("web", replicas)

        assert not tier_violations(pods, after)
        assert zone_skew(after) <= 1
        plan = _planned(operators, scene)[-1]
        assert (plan["old_replicas"], plan["new_replicas"]) == (len(pods), replicas)
        assert _gone(pods, after) == {victim["uid"] for victim in plan["victims"]}
        pods = after
    assert by_tier(pods) == {"fixed": 4, "elastic": 0, "virtual": 0}
    cluster.wait_until(lambda: _told(scene) == {"victims": 14, "asPlanned": 14}, "the status to count them")


def test_explain_names_the_pods_that_the_next_scale_downs_delete(
    operators: Installation, scene: Scene, cluster: ClusterApi
) -> None:
    scene.add_policy()
    scene.wait_enforced()
    pods = scene.fill("web")

    ranked = _explained(cluster, scene.namespace, "deployment/web")

    assert sorted(ranked) == sorted(pod.name for pod in pods)
    for replicas in (14, 7, 3):
        scene.scale("web", replicas)
        after = {pod.name for pod in scene.wait_ready("web", replicas)}
        assert set(ranked) - after == set(ranked[: len(ranked) - replicas])


def test_elastic_nodes_become_empty_one_after_the_other(
    operators: Installation, make_scene: Callable[..., Scene]
) -> None:
    scene = make_scene(nodes_per_zone=2)
    scene.add_budget()
    scene.add_policy()
    scene.wait_enforced()
    scene.fill("web", virtual=0)

    scene.scale("web", 18)
    after = scene.wait_ready("web", 18)

    used = {pod.node for pod in after if pod.tier == "elastic"}
    assert by_tier(after) == {"fixed": 12, "elastic": 6, "virtual": 0}
    assert len(used) == 3, "six pods fill three nodes; the other three are empty"
    assert zone_skew(after) == 0


def test_a_bare_replicaset_is_planned_by_its_scale(operators: Installation, scene: Scene, cluster: ClusterApi) -> None:
    scene.add_policy()
    scene.wait_enforced()
    pods = scene.fill("web")
    [replicaset] = cluster.rest.items(f"/apis/apps/v1/namespaces/{scene.namespace}/replicasets")
    name = replicaset["metadata"]["name"]
    # Its Deployment would scale it up again.
    path = f"/apis/apps/v1/namespaces/{scene.namespace}/deployments/web"
    cluster.rest.request("DELETE", path, body={"propagationPolicy": "Orphan"})
    cluster.wait_until(
        lambda: (
            not cluster.rest.get(f"{path.rpartition('/')[0].replace('deployments', 'replicasets')}/{name}")[
                "metadata"
            ].get("ownerReferences")
        ),
        "the ReplicaSet to be an orphan",
    )

    cluster.kubectl("scale", f"--namespace={scene.namespace}", f"replicaset/{name}", "--replicas=13")
    after = scene.wait_ready("web", 13)

    assert not tier_violations(pods, after)
    assert zone_skew(after) <= 1
    assert _gone(pods, after) == {victim["uid"] for victim in _planned(operators, scene)[-1]["victims"]}


def test_scaling_a_bare_replicaset_to_zero_is_no_trouble(
    operators: Installation, scene: Scene, cluster: ClusterApi
) -> None:
    scene.add_policy()
    scene.wait_enforced()
    scene.fill("web", virtual=0)

    scene.scale("web", 0)
    scene.wait_ready("web", 0)

    assert operators.total("spillway_admission_errors_total") == 0


def test_an_unready_pod_goes_first_wherever_it_is(operators: Installation, scene: Scene, cluster: ClusterApi) -> None:
    """Kubernetes' own first rules stand above every cost: the plan knows them."""
    scene.add_policy()
    scene.wait_enforced()
    pods = scene.fill("web")
    unready = next(pod for pod in pods if pod.tier == "fixed")
    condition = {"type": "Ready", "status": "False", "reason": "Test", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    path = f"/api/v1/namespaces/{scene.namespace}/pods/{unready.name}/status"
    patch = {"status": {"conditions": [condition]}}
    cluster.rest.request("PATCH", path, body=patch, content_type="application/strategic-merge-patch+json")

    scene.scale("web", 17)
    after = scene.wait_ready("web", 17)

    assert _gone(pods, after) == {unready.uid}


def test_a_dry_run_changes_nothing(operators: Installation, scene: Scene, cluster: ClusterApi) -> None:
    scene.add_policy()
    scene.wait_enforced()
    before = scene.fill("web")
    replicaset = cluster.rest.items(f"/apis/apps/v1/namespaces/{scene.namespace}/replicasets")[0]["metadata"]["name"]

    cluster.kubectl(
        "patch",
        f"--namespace={scene.namespace}",
        f"replicaset/{replicaset}",
        "--type=merge",
        "--patch=" + json.dumps({"spec": {"replicas": 3}}),
        "--dry-run=server",
    )

    assert {pod.uid: dict(pod.annotations) for pod in scene.pods("web")} == {
        pod.uid: dict(pod.annotations) for pod in before
    }
    assert not _planned(operators, scene)


def test_a_rollout_keeps_the_spread(operators: Installation, scene: Scene, cluster: ClusterApi) -> None:
    scene.add_policy()
    scene.wait_enforced()
    before = scene.fill("web")
    container = {"name": "main", "image": "registry.invalid/main:2"}
    cluster.rest.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{scene.namespace}/deployments/web",
        body={"spec": {"template": {"spec": {"containers": [container]}}}},
        content_type="application/strategic-merge-patch+json",
    )
    cluster.kubectl("rollout", "status", f"--namespace={scene.namespace}", "deployment/web", "--timeout=180s")

    after = scene.wait_ready("web", 18)

    plans = _planned(operators, scene)
    assert plans
    assert all(plan["mirror"] for plan in plans)
    assert {victim["tier"] for victim in plans[0]["victims"]} == {"fixed"}, "room is made on fixed nodes first"
    # A new pod may be placed a moment before the old one in its room is gone: then it finds the next best node.
    assert by_tier(after)["fixed"] >= by_tier(before)["fixed"] / 2
    assert not {pod.uid for pod in before} & {pod.uid for pod in after}


def test_recommend_plans_and_writes_nothing(operators: Installation, scene: Scene, cluster: ClusterApi) -> None:
    scene.add_policy(mode="Recommend")
    cluster.wait_until(lambda: scene.condition("elasticpolicies", scene.policy), "the policy's status")
    scene.fill("web")

    scene.scale("web", 12)
    scene.wait_ready("web", 12)

    assert scene.marked_objects() == []
    # An answer is asked for again if another write overtook the first: each is the same.
    plans = _planned(operators, scene)
    assert {plan["outcome"] for plan in plans} == {"recommend"}
    assert {victim["tier"] for plan in plans for victim in plan["victims"]} == {"virtual"}
    cluster.wait_until(lambda: _told(scene).get("victims") == 6, "the status to count whom Kubernetes chose")
    assert _told(scene)["asPlanned"] <= 6


def test_nothing_is_written_while_nothing_happens(operators: Installation, scene: Scene, cluster: ClusterApi) -> None:
    scene.add_policy()
    scene.wait_enforced()
    scene.fill("web")
    status = cluster.rest.get(f"/apis/spillway.dev/v1alpha1/elasticpolicies/{scene.policy}")
    cluster.wait_until(lambda: operators.total("spillway_queue_depth") == 0, "queues to be empty")

    # Two status periods after the last change the figures are those that stand.
    def settled() -> bool:
        nonlocal status
        now = cluster.rest.get(f"/apis/spillway.dev/v1alpha1/elasticpolicies/{scene.policy}")
        same = bool(now["metadata"]["resourceVersion"] == status["metadata"]["resourceVersion"])
        status = now
        shown = (now.get("status") or {}).get("workloads") or {}
        return same and shown.get("onVirtual") == 6

    cluster.wait_until(settled, "the policy's status")
    before = operators.total("spillway_writes_total")
    with pytest.raises(ClusterError):
        cluster.wait_until(
            lambda: operators.total("spillway_writes_total") > before, "a write while idle", timeout_seconds=6
        )
    assert all(COST in pod.annotations for pod in scene.pods("web"))
