"""What is read of workloads, and for how long it counts."""

from typing import Any

import msgspec
import pytest

from spillway.controllers.balance.workload_looks import LONGEST_LOOK_SECONDS, LOOK_SECONDS, WorkloadLooks
from spillway.domain.fit.placement import NOWHERE
from spillway.domain.surge.hindrance import Left
from spillway.kube import paths
from spillway.kube.errors import ApiError, RequestError, TooLargeError, TooSlowError, UnreachableError
from spillway.state.catalog import Kind
from tests.builders import make_namespace, make_node, make_pod, make_replicaset
from tests.support.rebalancing import SETTLE_SECONDS, Scene
from tests.support.world import resource

STAYS = {"metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}, "spec": {}}
CLAIM = {"spec": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}}
ON_DISKS = {"spec": {"nodeSelector": {"disk": "ssd"}}}
API = make_replicaset("api")


async def read(scene: Scene, looks: WorkloadLooks) -> None:
    await looks.read(scene.world.state.replicasets[API.uid], scene.world.state.pods[make_pod("api-1").uid])


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("newer", [STAYS, CLAIM])
async def test_the_template_of_a_rollout_says_nothing_about_the_pods_before_it(
    newer: dict[str, Any], *, paused: bool
) -> None:
    scene = Scene(mode="Active", by="Evict")
    looks = WorkloadLooks(scene.surges, scene.clock.now)
    scene.rolled_out, scene.spec = newer, {"paused": paused}
    await read(scene, looks)
    assert looks.reason(API.uid) is (Left.PAUSED if paused else None)
    scene.clock.forward(LOOK_SECONDS + 1.0)
    assert looks.due(API.uid)


@pytest.mark.parametrize(("own", "reason"), [(STAYS, Left.DO_NOT_DISRUPT), (CLAIM, Left.VOLUMES)])
async def test_pods_of_a_template_that_keeps_them_stay_while_another_one_is_rolled_out(
    own: dict[str, Any], reason: Left
) -> None:
    scene = Scene(mode="Active", by="Evict")
    looks = WorkloadLooks(scene.surges, scene.clock.now)
    scene.annotations = (own.get("metadata") or {}).get("annotations", {})
    scene.template, scene.rolled_out = own["spec"], {"spec": {}}
    await read(scene, looks)
    scene.clock.forward(LOOK_SECONDS + 1.0)
    assert looks.reason(API.uid) is reason
    assert not looks.due(API.uid)


async def test_the_nodes_that_pods_may_use_are_those_of_their_own_template() -> None:
    scene = Scene(mode="Active", by="Evict")
    looks = WorkloadLooks(scene.surges, scene.clock.now)
    node = next(iter(scene.world.state.nodes.values()))
    scene.rolled_out = ON_DISKS
    await read(scene, looks)
    assert looks.admits(API.uid, node)
    scene.rolled_out, scene.template = {"spec": {}}, ON_DISKS["spec"]
    await read(scene, looks)
    assert not looks.admits(API.uid, node)


async def test_pods_are_moved_after_a_rollout_to_a_template_that_keeps_pods_was_taken_back() -> None:
    scene = Scene(mode="Active", by="Evict")
    scene.rolled_out = STAYS
    await scene.later()
    scene.rolled_out = None
    await scene.later(LOOK_SECONDS + SETTLE_SECONDS)
    assert scene.evicted


@pytest.mark.parametrize("by", ["Evict", "Surge"])
async def test_a_workload_that_cannot_be_read_is_left_and_the_others_are_moved(by: str) -> None:
    scene = Scene(mode="Active", by=by)
    scene.workloads.objects[paths.DEPLOYMENTS.named("api", namespace="shop")] = TooLargeError(1)
    await scene.later()
    moves = scene.controller.moves("even")
    assert moves is not None
    assert "Deployment/shop/api: Unread" in moves.left
    assert scene.planned
    assert not any("api" in pod for pod in scene.planned)


@pytest.mark.parametrize("error", [UnreachableError("connection refused"), ApiError(503, "ServiceUnavailable", "")])
async def test_an_api_server_that_does_not_answer_says_nothing_about_a_workload(error: RequestError) -> None:
    scene = Scene(mode="Active", by="Evict")
    looks = WorkloadLooks(scene.surges, scene.clock.now)
    scene.workloads.objects[paths.AUTOSCALERS.within("shop")] = error
    with pytest.raises(type(error)):
        await read(scene, looks)
    assert looks.get(API.uid) is None
    scene.workloads.objects[paths.AUTOSCALERS.within("shop")] = TooSlowError(1.0)
    await read(scene, looks)
    assert looks.reason(API.uid) is Left.UNREAD
    scene.clock.forward(LOOK_SECONDS + 1.0)
    assert looks.due(API.uid)


async def test_a_replicaset_that_nothing_owns_may_get_another_template() -> None:
    scene = Scene(mode="Active", by="Evict")
    looks = WorkloadLooks(scene.surges, scene.clock.now)
    scene.world.state.apply(msgspec.structs.replace(API, replicas=2, owner_uid="", owner_kind="", owner_name=""))
    scene.template = CLAIM["spec"]
    await read(scene, looks)
    assert looks.reason(API.uid) is Left.VOLUMES
    scene.clock.forward(LOOK_SECONDS + 1.0)
    assert looks.due(API.uid)


async def test_the_nodes_are_those_for_a_pod_as_it_is_admitted_now() -> None:
    scene = Scene(mode="Active", by="Evict")
    looks = WorkloadLooks(scene.surges, scene.clock.now)
    without = make_node("without a zone")
    scene.world.state.apply(without)
    await read(scene, looks)
    assert looks.admits(API.uid, without)
    changes: list[tuple[int, dict[str, Any], bool]] = [(2, {"zoneSpread": {}}, False), (3, {}, True)]
    for version, spread, admits in changes:
        balance = resource(Kind.ZONAL_BALANCE, "even", version=version, **scene.balance["spec"], **spread)
        scene.world.catalog.replace(Kind.ZONAL_BALANCE, [balance], 60)
        await looks.refresh()
        assert looks.admits(API.uid, without) is admits


async def test_a_label_of_the_namespace_decides_as_well() -> None:
    spread = {"zoneSpread": {}, "match": {"namespaces": {"matchLabels": {"team": "shop"}}}}
    scene = Scene(mode="Active", by="Evict", spec=spread)
    looks = WorkloadLooks(scene.surges, scene.clock.now)
    without = make_node("without a zone")
    await read(scene, looks)
    assert looks.admits(API.uid, without)
    scene.world.state.apply(make_namespace("shop", team="shop"))
    await looks.refresh()
    assert not looks.admits(API.uid, without)


async def test_a_replicaset_that_is_gone_is_forgotten() -> None:
    scene = Scene(mode="Active", by="Evict")
    looks = WorkloadLooks(scene.surges, scene.clock.now)
    await read(scene, looks)
    await looks.refresh()
    assert looks.get(API.uid) is not None
    scene.world.state.remove(scene.world.state.replicasets[API.uid])
    await looks.refresh()
    assert looks.get(API.uid) is None


async def test_of_a_template_of_any_size_only_what_decides_about_nodes_is_kept() -> None:
    scene = Scene(mode="DryRun")
    looks = WorkloadLooks(scene.surges, scene.clock.now)
    command = {"preStop": {"exec": {"command": ["/stop", *map(str, range(10_000))]}}}
    scene.template = {**ON_DISKS["spec"], "containers": [{"name": "main", "lifecycle": command}]}
    await read(scene, looks)
    look = looks.get(API.uid)
    assert look is not None
    assert look.fit is not None
    assert look.spec == look.fit.spec == ON_DISKS["spec"]


async def test_a_template_with_more_than_can_be_kept_fits_on_no_node() -> None:
    scene = Scene(mode="DryRun")
    looks = WorkloadLooks(scene.surges, scene.clock.now)
    scene.template = {"tolerations": [{"operator": "Exists", "key": str(index)} for index in range(10_000)]}
    await read(scene, looks)
    look = looks.get(API.uid)
    assert look is not None
    assert look.spec is NOWHERE
    assert not any(looks.admits(API.uid, node) for node in scene.world.state.nodes.values())


async def test_a_reason_that_stays_the_same_is_read_less_often() -> None:
    scene = Scene(mode="Active", by="Evict")
    looks = WorkloadLooks(scene.surges, scene.clock.now)
    scene.spec = {"paused": True}
    for seconds in (LOOK_SECONDS, 2 * LOOK_SECONDS, LONGEST_LOOK_SECONDS, LONGEST_LOOK_SECONDS):
        await read(scene, looks)
        scene.clock.forward(seconds)
        assert not looks.due(API.uid)
        scene.clock.forward(1.0)
        assert looks.due(API.uid)
    for spec in ({}, {}, {"paused": True}):
        scene.spec = spec
        await read(scene, looks)
        scene.clock.forward(LOOK_SECONDS + 1.0)
        assert looks.due(API.uid), "it is another answer, or nothing is against it"


@pytest.mark.parametrize("resource", [paths.AUTOSCALERS, paths.RESOURCE_QUOTAS])
@pytest.mark.parametrize("unreadable", [False, True])
async def test_what_bounds_the_replicas_of_a_namespace_is_read_once_in_a_pass(
    resource: paths.ApiResource, *, unreadable: bool
) -> None:
    scene = Scene(mode="Active", by="Evict")
    looks = WorkloadLooks(scene.surges, scene.clock.now)
    path = resource.within("shop")
    if unreadable:
        scene.workloads.objects[path] = TooLargeError(1)
    for times in (1, 2):
        await looks.refresh()
        for app in ("api", "web"):
            owner = scene.world.state.replicasets[make_replicaset(app).uid]
            await looks.read(owner, scene.world.state.pods[make_pod(f"{app}-1").uid])
            assert (looks.reason(owner.uid) is Left.UNREAD) is unreadable
        assert scene.workloads.read.count(path) == times


async def test_what_was_read_before_the_clock_was_set_back_is_read_again() -> None:
    scene = Scene(mode="Active", by="Evict")
    looks = WorkloadLooks(scene.surges, scene.clock.now)
    await read(scene, looks)
    assert not looks.due(API.uid)
    scene.clock.forward(-1.0)
    assert looks.due(API.uid)
