"""Rollouts told from scale-downs, as a table of what the cluster shows and as histories of whole rollouts."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.scale_down.rollout import PROGRESS_SECONDS, is_outgoing, is_scale_in, replaced_until
from spillway.kube import decode
from tests.builders import make_pod, make_replicaset

NOW = 1_000_000.0
LONG_AGO = NOW - 3 * 24 * 3600
change = msgspec.structs.replace
OLD = make_replicaset("web-1", owner_uid=OwnerUid("deploy-web"), replicas=9, revision=1, desired=12)
NEW = change(OLD, uid=OwnerUid("rs2"), name="web-2", replicas=3, revision=2, grew=NOW - 30)
QUIET = change(NEW, grew=0.0)
FRESH = make_pod("new-1", created=NOW - 60, ready=False, ready_since=0.0)
SETTLED = make_pod("new-1", created=LONG_AGO, ready_since=LONG_AGO + 30)
NEVER_READY = make_pod("new-1", created=LONG_AGO, ready=False, ready_since=0.0)


def being_replaced(
    replicaset: ReplicaSetRecord, siblings: Sequence[ReplicaSetRecord], pods: Sequence[PodRecord] = (), now: float = NOW
) -> bool:
    return replaced_until(replicaset, siblings, lambda uid: pods if uid == NEW.uid else ()) > now


@pytest.mark.parametrize(
    ("replicaset", "siblings", "outgoing"),
    [
        (OLD, [OLD, NEW], True),
        (NEW, [OLD, NEW], False),
        (OLD, [OLD], False),
        (OLD, [change(NEW, replicas=0, grew=0.0)], False),
        (OLD, [change(NEW, owner_uid=OwnerUid("other"))], False),
        (OLD, [change(NEW, namespace="elsewhere")], False),
        (change(OLD, revision=3), [NEW], False),
        (change(OLD, revision=0), [NEW], False),
        (change(OLD, owner_uid=OwnerUid("")), [change(NEW, owner_uid=OwnerUid(""))], False),
    ],
    ids=[
        "replaced",
        "newest",
        "alone",
        "not wanted",
        "another's",
        "of another namespace",
        "rolled back to",
        "no revision",
        "bare",
    ],
)
def test_a_newer_sibling_that_is_wanted_makes_it_outgoing(
    replicaset: ReplicaSetRecord, siblings: list[ReplicaSetRecord], *, outgoing: bool
) -> None:
    assert is_outgoing(replicaset, siblings) is outgoing
    assert being_replaced(replicaset, siblings, [FRESH]) is outgoing


@pytest.mark.parametrize(
    ("old", "new", "pods", "replaced"),
    [
        pytest.param(OLD, NEW, [], True, id="Deployment: the new one has just grown"),
        pytest.param(OLD, QUIET, [FRESH], True, id="seen for the first time: a new pod starts"),
        pytest.param(OLD, QUIET, [change(SETTLED, ready_since=NOW - 5)], True, id="slow start: a new pod became ready"),
        pytest.param(OLD, QUIET, [NEVER_READY], False, id="Deployment: stuck on a bad image for days"),
        pytest.param(OLD, QUIET, [SETTLED], False, id="canary or paused Deployment: stands still for days"),
        pytest.param(OLD, change(QUIET, replicas=0), [FRESH], False, id="Argo: aborted, canary at 0"),
        pytest.param(OLD, change(NEW, replicas=0, grew=NOW - 1), [], True, id="no surge: the new one has just begun"),
        pytest.param(OLD, change(NEW, replicas=0), [], False, id="Argo: a first step that waits with 0"),
        pytest.param(OLD, QUIET, [], False, id="quota: no new pod since long ago"),
        pytest.param(change(OLD, desired_fell=NOW - 5), NEW, [FRESH], False, id="Argo: scaled in, replicas follow"),
        pytest.param(change(OLD, desired_fell=NOW - 60), NEW, [], True, id="scaled in, then the rollout went on"),
        pytest.param(change(OLD, desired_fell=NOW - 9), QUIET, [SETTLED], False, id="Argo: canary paused, scaled in"),
        pytest.param(
            OLD, QUIET, [change(FRESH, terminating=True), NEVER_READY], False, id="a pod that goes is no progress"
        ),
    ],
)
def test_it_is_being_replaced_while_the_newer_one_makes_progress(
    old: ReplicaSetRecord, new: ReplicaSetRecord, pods: list[PodRecord], *, replaced: bool
) -> None:
    assert being_replaced(old, [old, new], pods) is replaced
    assert not being_replaced(new, [old, new], pods)


def test_without_further_progress_it_ends_by_itself() -> None:
    assert replaced_until(OLD, [OLD, NEW], lambda _: ()) == NEW.grew + PROGRESS_SECONDS


@pytest.mark.parametrize(
    ("shown", "before", "after", "scale_in"),
    [
        (12, 12, 6, True),
        (12, 12, 12, False),
        (12, 12, 18, False),
        (12, 6, 6, True),
        (6, 6, 6, False),
        (None, None, None, False),
        (None, None, 6, False),
        (12, 12, None, False),
        (None, 12, 6, True),
    ],
    ids=[
        "scaled in",
        "step of a rollout",
        "step of a rollout while scaled out",
        "noted a moment ago",
        "noted and shown before",
        "noted nowhere",
        "noted for the first time",
        "no longer noted",
        "unknown to our watch",
    ],
)
def test_an_update_that_lowers_what_the_owner_wants_in_all_is_a_scale_in(
    shown: int | None, before: int | None, after: int | None, *, scale_in: bool
) -> None:
    assert is_scale_in(change(OLD, desired=shown), before=before, after=after) is scale_in


@pytest.mark.parametrize(
    ("kind", "prefix"), [("Deployment", "deployment.kubernetes.io"), ("Rollout", "rollout.argoproj.io")]
)
def test_whoever_numbers_them_the_older_one_is_outgoing(kind: str, prefix: str) -> None:
    def numbered(revision: int) -> ReplicaSetRecord:
        owner = {"apiVersion": "any/v1", "kind": kind, "name": "web", "uid": "owner", "controller": True}
        metadata: dict[str, Any] = {"name": f"web-{revision}", "namespace": "shop", "uid": f"rs{revision}"}
        annotations = {f"{prefix}/revision": str(revision), f"{prefix}/desired-replicas": "7"}
        metadata |= {"annotations": annotations, "ownerReferences": [owner]}
        return decode.REPLICASETS.one(msgspec.json.encode({"metadata": metadata}))

    old, new = numbered(9), numbered(10)
    assert is_outgoing(old, [old, new])
    assert not is_outgoing(new, [old, new])
    assert old.desired == 7


class Watched:
    """An owner with two ReplicaSets, as our watch sees it change."""

    def __init__(self, now: float, old: int, new: int, desired: int) -> None:
        self.now = now
        self.old = change(OLD, replicas=old, desired=desired)
        self.new = change(QUIET, replicas=new, desired=desired)

    def show(self, **changes: Any) -> None:
        old = change(self.old, **{key[4:]: value for key, value in changes.items() if key.startswith("old_")})
        new = change(self.new, **{key[4:]: value for key, value in changes.items() if key.startswith("new_")})
        self.old, self.new = old.following(self.old, self.now), new.following(self.new, self.now)

    @property
    def mirrored(self) -> bool:
        """Whether an update of the old one that changes replicas only would be taken for the step of a rollout."""
        return replaced_until(self.old, [self.old, self.new], lambda _: ()) > self.now


def test_argo_scales_a_paused_canary_in_by_two_updates_of_the_stable_one() -> None:
    """First what the Rollout wants in all is noted on it, then the canary shrinks, then it shrinks itself."""
    seen = Watched(NOW, old=10, new=0, desired=10)
    seen.show(new_replicas=3)
    assert seen.mirrored, "the step of the canary"
    seen.show(old_replicas=7)
    seen.now += 20
    seen.show(old_desired=5)
    seen.show(new_desired=5, new_replicas=2)
    assert not seen.mirrored
    seen.show(old_replicas=4)
    seen.now += 3600
    seen.show(new_replicas=4)
    assert seen.mirrored, "promoted: the next step"


def test_without_a_surge_the_older_one_shrinks_before_the_newer_one_grows() -> None:
    seen = Watched(NOW, old=12, new=0, desired=12)
    assert not seen.mirrored
    seen.show(new_revision=3)
    assert seen.mirrored, "a rollback gives an old ReplicaSet, at 0, the highest revision"
    seen.show(old_replicas=9)
    seen.show(new_replicas=3)
    assert seen.mirrored
    seen.show(new_replicas=0)
    assert not seen.mirrored, "it was given up"


Step = Callable[[Watched, int], None]


def _rollout_step(seen: Watched, amount: int) -> None:
    seen.show(new_replicas=seen.new.replicas + amount)
    assert seen.mirrored
    seen.show(old_replicas=max(0, seen.old.replicas - amount))


def _scale_in(seen: Watched, amount: int) -> None:
    desired = max(1, (seen.old.desired or 0) - amount)
    assert is_scale_in(seen.old, before=seen.old.desired, after=desired) or desired == seen.old.desired
    fell = desired != seen.old.desired
    seen.show(old_desired=desired, new_desired=desired, new_replicas=max(0, seen.new.replicas - 1))
    assert not (fell and seen.mirrored)


def _scale_out(seen: Watched, amount: int) -> None:
    desired = (seen.old.desired or 0) + amount
    seen.show(old_desired=desired, new_desired=desired)


def _abort(seen: Watched, _: int) -> None:
    if seen.new.replicas:
        seen.show(new_replicas=0)
        assert not seen.mirrored


def _pause(seen: Watched, amount: int) -> None:
    seen.now += PROGRESS_SECONDS * amount
    assert not seen.mirrored


@given(
    st.lists(
        st.tuples(st.sampled_from([_rollout_step, _scale_in, _scale_out, _abort, _pause]), st.integers(1, 5)),
        max_size=30,
    )
)
def test_whatever_the_history_steps_are_mirrored_and_scale_ins_are_not(history: list[tuple[Step, int]]) -> None:
    seen = Watched(NOW, old=20, new=1, desired=20)
    for step, amount in history:
        seen.now += 1
        step(seen, amount)
