import msgspec
import pytest

from spillway.domain.names import OwnerUid
from spillway.domain.records import ReplicaSetRecord
from spillway.domain.rollout import is_outgoing

OLD = ReplicaSetRecord(
    uid=OwnerUid("rs1"),
    namespace="default",
    name="web-1",
    owner_uid=OwnerUid("deployment"),
    owner_kind="Deployment",
    owner_name="web",
    replicas=3,
    revision=1,
    labels={},
)
change = msgspec.structs.replace
NEW = change(OLD, uid=OwnerUid("rs2"), revision=2)


@pytest.mark.parametrize(
    ("replicaset", "siblings", "outgoing"),
    [
        (OLD, [OLD, NEW], True),
        (NEW, [OLD, NEW], False),
        (OLD, [OLD], False),
        (OLD, [change(NEW, owner_uid=OwnerUid("other"))], False),
        (change(OLD, revision=3), [NEW], False),
        (change(OLD, revision=0), [NEW], False),
        (change(OLD, owner_uid=OwnerUid("")), [change(NEW, owner_uid=OwnerUid(""))], False),
    ],
    ids=["replaced", "newest", "alone", "another's", "rolled back to", "no revision", "bare"],
)
def test_a_newer_sibling_makes_it_outgoing(
    replicaset: ReplicaSetRecord, siblings: list[ReplicaSetRecord], *, outgoing: bool
) -> None:
    assert is_outgoing(replicaset, siblings) is outgoing
