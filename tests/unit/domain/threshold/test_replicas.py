"""The replicas that a workload requests, during a rollout and without one."""

import pytest

from spillway.domain.threshold.replicas import requested_replicas
from tests.builders import make_replicaset


@pytest.mark.parametrize(
    ("desired", "total", "replicas"),
    [
        pytest.param(4, 4, 4, id="no rollout"),
        pytest.param(4, 5, 4, id="a surge of one"),
        pytest.param(4, 8, 4, id="blue and green"),
        pytest.param(4, 0, 4, id="between the pods of a recreation"),
        pytest.param(0, 0, 0, id="scaled to zero"),
        pytest.param(None, 3, 3, id="a ReplicaSet of its own"),
    ],
)
def test_it_is_what_the_owner_wants(desired: int | None, total: int, replicas: int) -> None:
    assert requested_replicas(make_replicaset(desired=desired), total) == replicas
