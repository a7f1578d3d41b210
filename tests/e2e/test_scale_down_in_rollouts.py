"""Scale-ins while a newer ReplicaSet stands beside the one that serves: the victims follow the normal order."""

import copy
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from harness import Installation
from harness.scene import COST, PodView, Scene, by_tier, tier_violations
from localcluster import ClusterApi
from localcluster.nodes import UNSTARTED
from localcluster.rest import Object

pytestmark = pytest.mark.alone
OPERATOR_FLAGS: Final = ("--upkeep-seconds=1",)

MERGE: Final = "application/strategic-merge-patch+json"
REVISION: Final = "rollout.argoproj.io/revision"
DESIRED: Final = "rollout.argoproj.io/desired-replicas"


def _plan(operator: Installation, scene: Scene) -> Object:
    return [plan for plan in operator.plans() if plan["namespace"] == scene.namespace][-1]


def _roll_out(scene: Scene, *, starts: bool, surge: int) -> None:
    """A new version of `web`: `surge` more pods, none of the old ones goes before they are ready."""
    container = {"name": "main", "image": "registry.invalid/main:2"}
    annotations = {} if starts else {UNSTARTED: "true"}
    scene.cluster.rest.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{scene.namespace}/deployments/web",
        body={
            "spec": {
                "strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": 0}},
                "template": {"metadata": {"annotations": annotations}, "spec": {"containers": [container]}},
            }
        },
        content_type=MERGE,
    )


def _others(scene: Scene, before: list[PodView]) -> list[PodView]:
    known = {pod.uid for pod in before}
    return [pod for pod in scene.pods("web") if pod.uid not in known]


def _wait_others(scene: Scene, before: list[PodView], count: int) -> list[PodView]:
    def come() -> list[PodView]:
        found = _others(scene, before)
        return found if len(found) == count and all(pod.node for pod in found) else []

    return scene.cluster.wait_until(come, f"{count} pods of the new version")


def _wait_fewer(scene: Scene, before: list[PodView]) -> list[PodView]:
    """Until pods of before have gone, every controller is at rest, and no more go; returns those that stay."""
    known = {pod.uid for pod in before}
    counts: list[int] = []

    def settled() -> list[PodView]:
        stay = [pod for pod in scene.pods("web") if pod.uid in known]
        counts.append(len(stay) if _are_at_rest(scene) else -1)
        return stay if len(stay) < len(before) and counts[-6:] == [len(stay)] * 6 else []

    return scene.cluster.wait_until(settled, "fewer pods of the old version")


def _are_at_rest(scene: Scene) -> bool:
    """Whether the Deployment, if there is one, and every ReplicaSet was seen as it is, and has the pods it wants."""
    root = f"/apis/apps/v1/namespaces/{scene.namespace}"
    deployments, replicasets = (
        scene.cluster.rest.items(f"{root}/{plural}") for plural in ("deployments", "replicasets")
    )
    owners = [*deployments, *replicasets]
    seen = all(one["status"].get("observedGeneration") == one["metadata"]["generation"] for one in owners)
    return seen and all(one["status"]["replicas"] == one["spec"]["replicas"] for one in replicasets)


def _assert_normal_order(operator: Installation, scene: Scene, before: list[PodView], after: list[PodView]) -> None:
    assert not tier_violations(before, after)
    assert by_tier(after)["fixed"] == 6
    plan = _plan(operator, scene)
    assert not plan["mirror"]
    assert plan["outcome"] in {"written", "as-stored"}


def test_a_deployment_stuck_on_a_bad_image_is_scaled_in(operators: Installation, scene: Scene) -> None:
    scene.add_policy()
    scene.wait_enforced()
    before = scene.fill("web")
    _roll_out(scene, starts=False, surge=3)
    _wait_others(scene, before, 3)

    scene.scale("web", 12)

    after = _wait_fewer(scene, before)
    assert len(after) <= 14
    _assert_normal_order(operators, scene, before, after)


def test_a_deployment_paused_in_mid_rollout_is_scaled_in(
    operators: Installation, scene: Scene, cluster: ClusterApi
) -> None:
    scene.add_policy()
    scene.wait_enforced()
    before = scene.fill("web")
    _roll_out(scene, starts=False, surge=2)
    canary = _wait_others(scene, before, 2)
    cluster.kubectl("rollout", "pause", f"--namespace={scene.namespace}", "deployment/web")
    for pod in canary:
        path = f"/api/v1/namespaces/{scene.namespace}/pods/{pod.name}"
        cluster.rest.merge(path, {"metadata": {"annotations": {UNSTARTED: None}}})
    scene.wait_ready("web", 20)

    scene.scale("web", 9)

    after = _wait_fewer(scene, before)
    assert len(after) <= 10
    _assert_normal_order(operators, scene, before, after)


class _Rollout:
    """Two ReplicaSets as an Argo Rollout keeps them; the test does what its controller would."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.path = f"/apis/apps/v1/namespaces/{scene.namespace}/replicasets"
        [stable] = scene.cluster.rest.items(self.path)
        deployment = f"/apis/apps/v1/namespaces/{scene.namespace}/deployments/web"
        scene.cluster.rest.request("DELETE", deployment, body={"propagationPolicy": "Orphan"})
        self.stable = str(stable["metadata"]["name"])
        stable_path = f"{self.path}/{self.stable}"
        scene.cluster.wait_until(
            lambda: not scene.cluster.rest.get(stable_path)["metadata"].get("ownerReferences"), "an orphan"
        )
        owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web", "controller": True}
        owner["uid"] = f"rollout-{scene.id}"
        notes = {REVISION: "1", DESIRED: "18"}
        scene.cluster.rest.merge(stable_path, {"metadata": {"ownerReferences": [owner], "annotations": notes}})
        spec = copy.deepcopy(stable["spec"])
        spec["replicas"] = 0
        for labels in (spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]):
            labels["pod-template-hash"] = "canary"
        self.canary = "web-canary"
        metadata = {"name": self.canary, "ownerReferences": [owner], "annotations": {REVISION: "2", DESIRED: "18"}}
        metadata["labels"] = spec["template"]["metadata"]["labels"]
        body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}
        scene.cluster.rest.create(self.path, body)

    def update(self, name: str, *, replicas: int | None = None, desired: int | None = None) -> None:
        changes: dict[str, Any] = {}
        if replicas is not None:
            changes["spec"] = {"replicas": replicas}
        if desired is not None:
            changes["metadata"] = {"annotations": {DESIRED: str(desired)}}
        self.scene.cluster.rest.merge(f"{self.path}/{name}", changes)


def test_a_rollouts_stable_replicaset_after_an_abort_and_beside_a_paused_canary(
    operators: Installation, scene: Scene
) -> None:
    scene.add_policy()
    scene.wait_enforced()
    before = scene.fill("web")
    rollout = _Rollout(scene)

    # Aborted: the canary has the highest revision and wants nothing any more.
    rollout.update(rollout.canary, replicas=1)
    rollout.update(rollout.canary, replicas=0)
    scene.wait_ready("web", 18)
    rollout.update(rollout.stable, replicas=16)
    after = _wait_fewer(scene, before)
    _assert_normal_order(operators, scene, before, after)
    assert by_tier(after)["virtual"] == 4

    # A canary that is paused: the Rollout is scaled in, what it wants is noted first and the replicas follow.
    rollout.update(rollout.canary, replicas=2)
    _wait_others(scene, before, 2)
    scene.wait_ready("web", 18)
    rollout.update(rollout.stable, desired=12)
    rollout.update(rollout.canary, desired=12, replicas=1)
    rollout.update(rollout.stable, replicas=14)
    fewer = _wait_fewer(scene, after)
    _assert_normal_order(operators, scene, after, fewer)
    assert by_tier(fewer)["virtual"] == 2

    # The next step of the canary: now it is being replaced.
    rollout.update(rollout.canary, replicas=3)
    _wait_others(scene, before, 3)
    rollout.update(rollout.stable, replicas=12)
    replaced = _wait_fewer(scene, fewer)
    assert by_tier(replaced) == {"fixed": 4, "elastic": 6, "virtual": 2}
    assert _plan(operators, scene)["mirror"]


def _annotate(scene: Scene, pod: PodView, annotations: Mapping[str, str | None]) -> None:
    path = f"/api/v1/namespaces/{scene.namespace}/pods/{pod.name}"
    scene.cluster.rest.merge(path, {"metadata": {"annotations": dict(annotations)}})


def test_exact_scale_down_resumes_once_an_application_takes_its_own_cost_off(
    operators: Installation, scene: Scene, cluster: ClusterApi
) -> None:
    scene.add_policy()
    scene.wait_enforced()
    before = scene.fill("web")
    busy = next(pod for pod in before if pod.tier == "virtual")

    def foreign(status: str) -> Object | None:
        condition = scene.condition("elasticpolicies", scene.policy, "ForeignWriter")
        return condition if condition is not None and condition["status"] == status else None

    _annotate(scene, busy, {COST: "1000"})
    told = cluster.wait_until(lambda: foreign("True"), "the foreign writer to be told")
    assert f"{scene.namespace}/{busy.name}" in json.dumps(told)

    _annotate(scene, busy, {COST: None})
    cluster.wait_until(lambda: foreign("False"), "the end of it")
    again = {pod.uid: pod for pod in scene.wait_stamped("web")}
    assert again[busy.uid].cost < 0

    scene.scale("web", 12)
    after = scene.wait_ready("web", 12)
    assert by_tier(after) == {"fixed": 6, "elastic": 6, "virtual": 0}
    assert _plan(operators, scene)["outcome"] in {"written", "as-stored"}
