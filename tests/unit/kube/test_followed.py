from typing import get_args

from spillway.kube.followed import FOLLOWED, FOLLOWED_OWNERS
from spillway.state.cluster import Record


def test_every_kind_of_record_is_followed() -> None:
    assert set(FOLLOWED) == set(get_args(Record))


def test_an_owner_is_found_by_the_kind_in_a_reference() -> None:
    assert {kind: one.resource.plural for kind, one in FOLLOWED_OWNERS.items()} == {
        "ReplicaSet": "replicasets",
        "ReplicationController": "replicationcontrollers",
        "StatefulSet": "statefulsets",
    }
