from collections.abc import Collection, Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.scaling import Scaling
from spillway.domain.model.names import APPLIED, POLICY, OwnerUid
from spillway.domain.model.owners import Owner
from spillway.domain.scaling.autoscalers import AutoscalerRecord
from spillway.domain.scaling.managed import ManagedPlan, ManagedPlanner, ManagedWorkload, manifest

CPU = {"target": {"metric": "cpu", "utilization": 60}, "hpa": "Managed", "maxReplicas": 50}


def _workload(replicas: int = 12, name: str = "cart", **scaling: Any) -> ManagedWorkload:
    owner = Owner("apps/v1", "Deployment", "shop", name, OwnerUid(f"uid-{name}"))
    return ManagedWorkload(owner, "online", "uid-online", Scaling.model_validate({**CPU, **scaling}), replicas)


def _stored(body: dict[str, Any]) -> AutoscalerRecord:
    """What the watch shows of an autoscaler that was applied."""
    meta, spec = body["metadata"], body["spec"]
    return AutoscalerRecord(
        f"uid-{meta['name']}",
        meta["namespace"],
        meta["name"],
        spec["scaleTargetRef"]["kind"],
        spec["scaleTargetRef"]["name"],
        spec["minReplicas"],
        spec["maxReplicas"],
        ("cpu",),
        policy=meta["annotations"][POLICY],
        applied=meta["annotations"][APPLIED],
    )


def _plan(
    workloads: Iterable[ManagedWorkload],
    present: Iterable[AutoscalerRecord],
    kept: Collection[str] = frozenset(),
) -> ManagedPlan:
    planner = ManagedPlanner(kept=kept)
    for autoscaler in present:
        planner.present(autoscaler)
    for workload in workloads:
        planner.want(workload)
    return planner.plan()


def test_the_recommended_number_is_the_fewest_and_cpu_adds_more() -> None:
    body = manifest(_workload())
    assert body["metadata"]["name"] == "spillway-deployment-cart"
    assert body["metadata"]["ownerReferences"] == [
        {"apiVersion": "spillway.dev/v1alpha1", "kind": "ElasticPolicy", "name": "online", "uid": "uid-online"}
    ]
    assert body["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"},
        "minReplicas": 12,
        "maxReplicas": 50,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
            }
        ],
    }


def test_with_schedules_only_nothing_else_moves_it() -> None:
    spec = manifest(_workload(7, scheduleOnly=True, minReplicas=2, maxReplicas=None))["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"], "metrics" in spec) == (7, 7, False)


@pytest.mark.parametrize(("per_hour", "window"), [(1, 3600), (4, 900), (60, 300)])
def test_a_bounded_rate_also_slows_the_autoscalers_own_steps_down(per_hour: int, window: int) -> None:
    spec = manifest(_workload(maxScalingsPerHour=per_hour))["spec"]
    assert spec["behavior"] == {"scaleDown": {"stabilizationWindowSeconds": window}}


def test_what_stands_is_not_written_again_and_what_was_changed_is() -> None:
    stored = _stored(manifest(_workload()))
    assert _plan([_workload()], [stored]).apply == ()
    for changed in (
        msgspec.structs.replace(stored, minimum=1),
        msgspec.structs.replace(stored, maximum=9),
        msgspec.structs.replace(stored, applied=""),
    ):
        assert [one.name for one in _plan([_workload()], [changed]).apply] == ["spillway-deployment-cart"]
    assert len(_plan([_workload(13)], [stored]).apply) == 1


def test_an_autoscaler_of_the_users_is_never_touched() -> None:
    theirs = AutoscalerRecord("u", "shop", "cart", "Deployment", "cart", 1, 9, ("cpu",))
    plan = _plan([_workload()], [theirs])
    assert (plan.apply, plan.delete, plan.foreign) == ((), (), {"Deployment/shop/cart": "cart"})
    # Not one of the name that it would have, nor a copy with Spillway's annotation.
    namesake = msgspec.structs.replace(theirs, name="spillway-deployment-cart", target_name="other")
    assert _plan([_workload()], [namesake]).foreign == {"Deployment/shop/cart": "spillway-deployment-cart"}
    copy = msgspec.structs.replace(_stored(manifest(_workload())), uid="u2", name="copy")
    plan = _plan([], [copy, namesake, theirs])
    assert plan.delete == ()


def test_spillways_goes_where_the_user_adds_one_and_where_no_class_asks_for_it() -> None:
    ours = _stored(manifest(_workload()))
    theirs = AutoscalerRecord("u", "shop", "mine", "Deployment", "cart", 1, 9, ("cpu",))
    assert _plan([_workload()], [ours, theirs]).delete == (ours,)
    assert _plan([], [ours]).delete == (ours,)


def test_those_of_a_policy_that_cannot_be_read_stay() -> None:
    ours = _stored(manifest(_workload()))
    of_another = msgspec.structs.replace(_stored(manifest(_workload(name="shop"))), policy="batch")
    assert _plan([], [ours, of_another], kept={"online"}).delete == (of_another,)


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 60)), unique_by=lambda one: one[0]),
    st.sets(st.sampled_from("abcde")),
    st.sets(st.sampled_from("abcde")),
)
def test_once_applied_nothing_remains_to_be_done(
    wanted: list[tuple[str, int]], left: set[str], users: set[str]
) -> None:
    workloads = [_workload(replicas, name) for name, replicas in wanted]
    theirs = [AutoscalerRecord(f"u-{one}", "shop", one, "Deployment", one, 1, 9, ("cpu",)) for one in users]
    ours = [_stored(manifest(_workload(3, name))) for name in left]
    plan = _plan(workloads, [*theirs, *ours])
    assert all(one.ours for one in plan.delete)
    applied = {one.name: _stored(dict(one.body)) for one in plan.apply}
    standing = {one.name: one for one in ours if one not in plan.delete} | applied
    after = _plan(workloads, [*theirs, *standing.values()])
    assert (after.apply, after.delete) == ((), ())
    assert {one.workload for one in standing.values()} == {
        f"Deployment/shop/{name}" for name, _ in wanted if name not in users
    }
