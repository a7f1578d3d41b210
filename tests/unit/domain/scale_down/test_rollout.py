from typing import Any

import msgspec
import pytest

from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import ReplicaSetRecord
from spillway.domain.scale_down.rollout import is_outgoing
from spillway.kube import decode

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


@pytest.mark.parametrize(
    ("kind", "key"),
    [("Deployment", "deployment.kubernetes.io/revision"), ("Rollout", "rollout.argoproj.io/revision")],
)
def test_whoever_numbers_them_the_older_one_is_outgoing(kind: str, key: str) -> None:
    def numbered(revision: int) -> ReplicaSetRecord:
        owner = {"apiVersion": "any/v1", "kind": kind, "name": "web", "uid": "owner", "controller": True}
        metadata: dict[str, Any] = {"name": f"web-{revision}", "namespace": "shop", "uid": f"rs{revision}"}
        metadata |= {"annotations": {key: str(revision)}, "ownerReferences": [owner]}
        return decode.REPLICASETS.one(msgspec.json.encode({"metadata": metadata}))

    old, new = numbered(9), numbered(10)
    assert is_outgoing(old, [old, new])
    assert not is_outgoing(new, [old, new])
