"""Helm upgrades the operator from the version before, and goes back, under load: nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.scene import Scene, tier_violations
from localcluster import ClusterApi, ClusterFactory, Options
from tests.support.rolling import FEW, MANY
from tests.support.versions import upgraded_and_back


@pytest.fixture
def cluster(cluster_factory: ClusterFactory) -> Iterator[ClusterApi]:
    with cluster_factory(Options()) as made:
        made.require("loopback-webhooks")
        yield made


def policy_works(scene: Scene) -> None:
    """A scale-down takes virtual pods first; Kubernetes alone would take newer ones, and these are on fixed nodes."""
    older = scene.wait_ready("web", MANY)
    for pod in older:
        if pod.tier == "fixed":
            scene.cluster.rest.delete(f"/api/v1/namespaces/{scene.namespace}/pods/{pod.name}")
    scene.wait_ready("web", MANY)
    before = scene.wait_stamped("web")
    newer = [pod for pod in before if pod.uid not in {one.uid for one in older}]
    assert any(pod.tier == "fixed" for pod in newer)
    scene.scale("web", FEW)
    assert tier_violations(before, scene.wait_ready("web", FEW)) == []

    ready = scene.condition("elasticpolicies", scene.policy)
    assert ready is not None
    assert ready["status"] == "True"
    assert scene.tainted() == set(scene.nodes["elastic"])
    scene.scale("web", MANY)
    scene.wait_ready("web", MANY)


def test_an_upgrade_from_the_version_before_and_back_loses_nothing(cluster: ClusterApi, version_before: Path) -> None:
    for rollout in upgraded_and_back(cluster, version_before, check=policy_works):
        assert rollout.meanwhile > 0, "the load went on during the rollout"
        assert rollout.calls.made > rollout.scalings
        assert rollout.calls.lost == 0
