"""The replicas that a workload requests, during a rollout and without one."""

import pytest

from spillway.domain.threshold.replicas import creatable_replicas, demanded_replicas, requested_replicas
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


@pytest.mark.parametrize(
    ("refused", "pods", "count"),
    [("", 2, 9), ("exceeded quota", 2, 2), ("exceeded quota", 12, 9)],
)
def test_replicas_that_the_api_server_refuses_are_none_that_can_be_created(refused: str, pods: int, count: int) -> None:
    assert creatable_replicas(make_replicaset(replicas=9, refused=refused), pods) == count


@pytest.mark.parametrize(
    ("creatable", "pods", "demand"),
    [
        pytest.param(9, 4, 9, id="its pods are being created"),
        pytest.param(11, 11, 9, id="a rollout"),
        pytest.param(0, 9, 9, id="between the pods of a recreation"),
        pytest.param(2, 2, 2, id="refused by a quota, or a number that another client noted on its ReplicaSet"),
    ],
)
def test_what_cannot_be_created_is_no_demand(creatable: int, pods: int, demand: int) -> None:
    assert demanded_replicas(9, creatable=creatable, pods=pods) == demand
