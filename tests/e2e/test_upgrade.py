"""A rolling upgrade of the operator: no admission call is lost."""

import pytest

from harness import Installation
from harness.scene import Scene
from localcluster import ClusterApi
from tests.support.rolling import roll_under_load


@pytest.mark.usefixtures("start")
def test_a_rolling_upgrade_loses_no_admission_call(
    installation: Installation, scene: Scene, cluster: ClusterApi
) -> None:
    rollout, answered_by_new = roll_under_load(cluster, installation, scene)

    assert rollout.meanwhile > 0, "the load went on during the upgrade"
    assert rollout.calls.made > rollout.scalings
    assert rollout.calls.lost == 0
    assert all(count > 0 for count in answered_by_new), "the new replicas took over"
