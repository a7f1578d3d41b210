"""Scale-ins of a real Argo Rollout in the states in which it may stay for days: victims follow the normal order."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from harness import Installation
from harness.scene import PodView, Scene, by_tier, tier_violations
from localcluster import ClusterApi
from localcluster.rest import Object

HASH: Final = "rollouts-pod-template-hash"
REVISION: Final = "rollout.argoproj.io/revision"
CANARY: Final = {"canary": {"maxSurge": 3, "maxUnavailable": 0, "steps": [{"setWeight": 30}, {"pause": {}}]}}
ROUNDED_UP: Final = 1
"""With a surge Argo may run one pod more to come closer to the weight."""
BLUE_GREEN: Final = {
    "blueGreen": {"activeService": "active", "previewService": "preview", "autoPromotionEnabled": False}
}
STEP_SECONDS: Final = 90.0


class RolloutScene(Scene):
    """A scene whose workloads are Rollouts."""

    def __init__(self, cluster: ClusterApi, strategy: Object) -> None:
        super().__init__(cluster)
        self._strategy = strategy
        self._path = f"/apis/argoproj.io/v1alpha1/namespaces/{self.namespace}/rollouts"

    def deploy(self, name: str, replicas: int, **spec: Any) -> None:
        """A Rollout, and the Services that a blue-green one switches."""
        for service in ("active", "preview"):
            body = {"metadata": {"name": service}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}
            self.cluster.rest.create(f"/api/v1/namespaces/{self.namespace}/services", body)
        self.cluster.rest.create(
            self._path,
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Rollout",
                "metadata": {"name": name},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": name}},
                    "strategy": self._strategy,
                    "template": self.template(name),
                    **spec,
                },
            },
        )

    def scale(self, name: str, replicas: int) -> None:
        self.cluster.rest.merge(f"{self._path}/{name}/scale", {"spec": {"replicas": replicas}})

    def roll_out(self, name: str) -> None:
        """A new version."""
        template = self.template(name)
        template["spec"]["containers"][0]["image"] = "registry.invalid/main:2"
        self.cluster.rest.merge(f"{self._path}/{name}", {"spec": {"template": template}})

    def abort(self, name: str) -> None:
        """As `kubectl argo rollouts abort` does."""
        self.cluster.rest.merge(f"{self._path}/{name}/status", {"status": {"abort": True}})

    def versions(self, name: str) -> dict[int, tuple[int, list[PodView]]]:
        """By revision: what its ReplicaSet wants, and its pods."""
        replicasets = self.cluster.rest.items(f"/apis/apps/v1/namespaces/{self.namespace}/replicasets")
        hashes = {
            pod["metadata"]["uid"]: pod["metadata"]["labels"][HASH]
            for pod in self.cluster.pods(self.namespace, f"app={name}")
        }
        pods = self.pods(name)
        return {
            int(one["metadata"]["annotations"][REVISION]): (
                int(one["spec"]["replicas"]),
                [pod for pod in pods if hashes.get(pod.uid) == one["metadata"]["labels"][HASH]],
            )
            for one in replicasets
        }

    def wait_versions(self, name: str, total: int, *, new: int | None = None) -> list[list[PodView]]:
        """Until both ReplicaSets have the pods that they want, some `total` in all; returns the old's and the new's.

        `new` is how many of them the new one has, where that matters.
        """

        def settled() -> list[list[PodView]]:
            found = self.versions(name)
            if set(found) != {1, 2} or any(count != len(pods) for count, pods in found.values()):
                return []
            (of_old, old_pods), (of_new, new_pods) = found[1], found[2]
            fits = 0 <= of_old + of_new - total <= ROUNDED_UP and new in {None, of_new}
            return [old_pods, new_pods] if fits and self._at_rest() else []

        return self.cluster.wait_until(settled, f"{total} pods of two versions of {name}", timeout_seconds=STEP_SECONDS)

    def _at_rest(self) -> bool:
        """Whether the Rollout has nothing more to do: it is paused, or aborted and at its size again."""
        [rollout] = self.cluster.rest.items(self._path)
        status = rollout.get("status") or {}
        observed = str(rollout["metadata"]["generation"]) == status.get("observedGeneration")
        return observed and bool(status.get("pauseConditions") or status.get("abort")) and self._all_run()

    def _all_run(self) -> bool:
        pods = self.cluster.pods(self.namespace)
        ready = {"type": "Ready", "status": "True"}
        return all(any(ready.items() <= one.items() for one in pod["status"].get("conditions", ())) for pod in pods)


@pytest.fixture
def make_rollouts(cluster: ClusterApi, operator: Installation) -> Iterator[Callable[[Object], RolloutScene]]:
    """Scenes with an enforced policy; they are taken down at the end."""
    scenes: list[RolloutScene] = []

    def make(strategy: Object) -> RolloutScene:
        scene = RolloutScene(cluster, strategy)
        scenes.append(scene)
        scene.add_budget()
        scene.add_policy()
        scene.wait_enforced()
        return scene

    yield make
    for scene in scenes:
        scene.close()


def _plans(operator: Installation, scene: Scene, known: int = 0) -> list[Object]:
    return [plan for plan in operator.plans() if plan["namespace"] == scene.namespace][known:]


def test_a_canary_that_is_paused_at_30_percent(
    operator: Installation, make_rollouts: Callable[[Object], RolloutScene]
) -> None:
    scene = make_rollouts(CANARY)
    scene.fill("web")
    scene.roll_out("web")
    before, canary = scene.wait_versions("web", 18)
    steps = _plans(operator, scene)
    assert steps
    assert all(plan["mirror"] for plan in steps), "the steps of the canary free fixed nodes first"
    assert by_tier(canary)["fixed"] > 0

    scene.scale("web", 9)

    after, _ = scene.wait_versions("web", 9)
    assert len(after) < len(before)
    assert not tier_violations(before, after)
    assert not any(plan["mirror"] for plan in _plans(operator, scene, len(steps)))


def test_a_canary_that_was_aborted(operator: Installation, make_rollouts: Callable[[Object], RolloutScene]) -> None:
    scene = make_rollouts(CANARY)
    scene.fill("web")
    scene.roll_out("web")
    scene.wait_versions("web", 18)
    scene.abort("web")
    before, _ = scene.wait_versions("web", 18, new=0)
    known = len(_plans(operator, scene))

    scene.scale("web", 10)

    after, _ = scene.wait_versions("web", 10, new=0)
    assert not tier_violations(before, after)
    plans = _plans(operator, scene, known)
    assert plans
    assert not any(plan["mirror"] for plan in plans)


def test_a_blue_green_before_its_promotion(
    operator: Installation, make_rollouts: Callable[[Object], RolloutScene]
) -> None:
    scene = make_rollouts(BLUE_GREEN)
    scene.fill("web")
    scene.roll_out("web")
    before, _ = scene.wait_versions("web", 36)
    assert by_tier(before) == {"fixed": 6, "elastic": 6, "virtual": 6}

    scene.scale("web", 9)

    after, _ = scene.wait_versions("web", 18)
    assert by_tier(after) == {"fixed": 6, "elastic": 3, "virtual": 0}
    plans = _plans(operator, scene)
    assert plans
    assert not any(plan["mirror"] for plan in plans)
