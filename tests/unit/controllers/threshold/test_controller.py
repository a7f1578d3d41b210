"""When thresholds are planned, what is published, and what a failure leaves standing."""

from typing import Any

import pytest

from spillway.api.elasticpolicy import Saving, WorkloadThreshold
from spillway.controllers.threshold.controller import fingerprint_of
from spillway.domain.model.names import NodeName
from spillway.domain.threshold.request import Stance
from spillway.telemetry import threshold as metrics
from tests.builders import make_namespace, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.unit.controllers.threshold.controller_cases import (
    HOUR,
    WEB,
    Planner,
    Store,
    controller_of,
    policy,
    status_of,
    told,
    world_of,
)


async def test_planned_published_kept_and_told(clock: FakeClock, planner: Planner) -> None:
    world, store, events = world_of(clock, policy()), Store(), FakeRecorder()
    controller = controller_of(world, planner, store, events)

    assert await controller.reconcile("plan") == HOUR
    await controller.reconcile("look")

    assert world.board.thresholds == {WEB: 2}
    assert store.saved[0].thresholds() == {WEB: 2}
    assert [said[:2] for said in events.said] == [("ElasticPolicy/online", "Normal ThresholdsPlanned")]
    status = status_of(controller)
    assert status.thresholds == (
        WorkloadThreshold(
            workload=WEB,
            replicas=2,
            reason="Auto",
            confidence=90,
            basis="Forecast",
            forecast_loss_percent=62,
            saving_per_hour="5.40",
            saving_per_hour_against_virtual="-1.20",
        ),
    )
    assert status.owned_nodes_advised == 3
    assert status.saving == Saving(per_hour="5.40", per_hour_against_virtual="-0.25", currency="CNY")
    assert not told(controller)
    assert b'spillway_workload_replicas{namespace="shop",kind="Deployment",workload="web"} 3\n' in (
        metrics.WORKLOAD_REPLICAS.text
    )
    assert b'workload="web",reason="Auto"} 2\n' in metrics.THRESHOLD.text
    assert [(one.labels, one.value) for one in next(iter(metrics.PLANNED.collect())).samples] == [
        ({"policy": "online", "basis": "Forecast"}, 1)
    ]
    assert b'workload="web",against="owned"} 5.4\n' in metrics.WORKLOAD_SAVING.text
    assert b'workload="web",against="virtual"} -1.2\n' in metrics.WORKLOAD_SAVING.text


async def test_the_request_counts_what_is_owned_and_who_is_not_ours(clock: FakeClock, planner: Planner) -> None:
    await controller_of(world_of(clock, policy()), planner).reconcile("plan")

    [request] = planner.requests
    # 8 cores, of which a DaemonSet's pod requests one; the elastic node is not owned.
    assert (request.capacity_cores, request.node_cores) == (7.0, 8.0)
    assert (request.capacity_gib, request.node_gib) == (31.0, 32.0)
    assert request.policies[0].elastic_cores == 4.0
    [web] = request.workloads
    assert (web.workload, web.stance, web.replicas, web.request_cores, web.load) == (WEB, "Auto", 3, 0.5, 0.65)


async def test_a_workload_that_sleeps_is_planned_with_what_its_replicas_requested(
    clock: FakeClock, planner: Planner
) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, planner)
    await controller.reconcile("plan")
    for index in range(3):
        world.state.remove(make_pod(f"web-{index}"))
    for _ in range(2):
        await clock.advance(HOUR)
        await controller.reconcile("plan")

    assert [(one.workloads[0].request_cores, one.workloads[0].request_gib) for one in planner.requests] == [
        (0.5, 1.0)
    ] * 3


async def test_a_workload_that_is_awake_between_plans_alone_is_known_all_the_same(
    clock: FakeClock, planner: Planner
) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, planner)
    await controller.reconcile("look")
    for index in range(3):
        world.state.remove(make_pod(f"web-{index}"))
    await controller.reconcile("look")
    await controller.reconcile("plan")

    assert [planner.requests[0].workloads[0].request_cores] == [0.5]


@pytest.mark.parametrize(
    ("more", "annotation", "stance", "pinned"),
    [
        pytest.param({}, "", Stance.AUTO, 0, id="auto"),
        pytest.param({}, "7", Stance.PINNED, 7, id="annotation"),
        pytest.param({}, "many", Stance.AUTO, 0, id="a bad annotation is none"),
        pytest.param({"placement": {"virtual": "Never"}}, "7", Stance.PHYSICAL, 0, id="never"),
        pytest.param({"placement": {"virtual": "Always"}}, "", Stance.VIRTUAL, 0, id="always"),
    ],
)
async def test_how_a_workload_takes_part(  # noqa: PLR0917
    clock: FakeClock, planner: Planner, more: dict[str, Any], annotation: str, stance: Stance, pinned: int
) -> None:
    await controller_of(world_of(clock, policy(**more), annotation=annotation), planner).reconcile("plan")

    [need] = planner.requests[0].workloads
    assert (need.stance, need.pinned) == (stance, pinned)


async def test_a_rollout_requests_no_more_replicas_than_its_deployment(clock: FakeClock, planner: Planner) -> None:
    world = world_of(clock, policy())
    old = make_replicaset("old", owner_uid="deploy-web", owner_name="web", replicas=3, desired=4, revision=1)
    world.state.apply(old)
    world.state.apply(make_replicaset("web", replicas=2, desired=4, revision=2))
    controller = controller_of(world, planner)

    await controller.reconcile("plan")
    await controller.reconcile("look")

    assert [need.replicas for need in planner.requests[0].workloads] == [4]
    assert b'spillway_workload_replicas{namespace="shop",kind="Deployment",workload="web"} 4\n' in (
        metrics.WORKLOAD_REPLICAS.text
    )


@pytest.mark.parametrize(
    ("told", "count"),
    [
        pytest.param({"replicas": 1_000_000, "refused": "exceeded quota"}, 3, id="a quota refuses its pods"),
        pytest.param({"desired": 1_000_000}, 3, id="a number that its Deployment does not ask for"),
        pytest.param({"replicas": 5, "desired": 5}, 5, id="pods that are being created"),
    ],
)
async def test_replicas_that_cannot_be_created_are_no_demand(
    told: dict[str, Any], count: int, clock: FakeClock, planner: Planner
) -> None:
    world = world_of(clock, policy())
    world.state.apply(make_replicaset("web", **told))
    controller = controller_of(world, planner)

    await controller.reconcile("plan")
    await controller.reconcile("look")

    assert [need.replicas for need in planner.requests[0].workloads] == [count]
    assert f'workload="web"}} {count}\n'.encode() in metrics.WORKLOAD_REPLICAS.text


async def test_demand_by_query_and_load_by_utilization(clock: FakeClock, planner: Planner) -> None:
    by_query = {"target": {"query": 'sum(rps{app="$(workload)",ns="$(namespace)"})', "perReplica": "200"}}
    by_cpu = {"target": {"metric": "cpu", "utilization": 60}}
    await controller_of(world_of(clock, policy(scaling=by_query)), planner).reconcile("plan")
    await controller_of(world_of(clock, policy(scaling=by_cpu)), planner).reconcile("plan")

    first, second = (request.workloads[0] for request in planner.requests)
    assert (first.query, first.per_replica, first.load) == ('sum(rps{app="web",ns="shop"})', 200.0, 0.65)
    assert (second.query, second.load) == ("", 0.6)


async def test_a_history_too_short_to_plan_from_is_read_for_as_long_as_it_takes(
    clock: FakeClock, planner: Planner
) -> None:
    await controller_of(world_of(clock, policy(threshold={"mode": "Auto", "history": "1d"})), planner).reconcile("plan")

    assert planner.requests[0].workloads[0].history_seconds == 2 * 86_400


async def test_at_most_once_a_period_unless_the_policies_change(clock: FakeClock, planner: Planner) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, planner)
    await controller.reconcile("plan")
    await clock.advance(HOUR / 2)
    assert await controller.reconcile("plan") == HOUR / 2
    assert len(planner.requests) == 1

    world.catalog.upsert("ElasticPolicy", policy(threshold={"mode": "Auto", "max": 5}, version=2))
    assert await controller.reconcile("plan") == HOUR
    await clock.advance(HOUR)
    await controller.reconcile("plan")
    assert len(planner.requests) == 3
    assert planner.requests[1].previous == {WEB: 2}


async def test_a_change_that_does_not_matter_asks_for_no_plan(clock: FakeClock) -> None:
    before = fingerprint_of(world_of(clock, policy()))

    assert before
    assert fingerprint_of(world_of(clock, policy(mode="Recommend"))) != before, "its pods stay where they are"
    schedules = [{"name": "evening", "start": "0 18 * * *", "duration": "1h", "replicas": 4}]
    assert fingerprint_of(world_of(clock, policy(scaling={"schedules": schedules}))) == before
    assert fingerprint_of(world_of(clock, policy(threshold={"priority": 5}))) != before
    of_forecast = {"schedules": schedules, "forecast": {"startup": "7m"}}
    assert fingerprint_of(world_of(clock, policy(scaling=of_forecast))) != before, "virtual nodes bill the start-up"
    assert not fingerprint_of(world_of(clock, policy(threshold={"mode": "Manual", "replicas": 3})))


async def test_a_lost_prometheus_leaves_the_last_plan_and_says_so(clock: FakeClock, planner: Planner) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, planner)
    await controller.reconcile("plan")
    await controller.reconcile("look")
    await clock.advance(HOUR)
    planner.trouble = "PrometheusUnreachable"

    pauses = [await controller.reconcile("plan") for _ in range(7)]

    assert pauses == [30, 60, 120, 240, 480, 900, 900]
    assert world.board.thresholds == {WEB: 2}
    assert told(controller) == {"StalePlan": "PrometheusUnreachable"}
    [stale] = [one for one in status_of(controller).conditions if one.type == "StalePlan"]
    assert "1970-01-01T00:16:40Z stays in force" in stale.message

    planner.trouble = ""
    await controller.reconcile("plan")
    assert not told(controller)


async def test_a_new_leader_begins_with_the_kept_plan(clock: FakeClock, planner: Planner) -> None:
    store = Store()
    await controller_of(world_of(clock, policy()), planner, store).reconcile("plan")
    await clock.advance(600)

    world = world_of(clock, policy())
    heir = controller_of(world, planner, Store(store.saved[0]))
    assert not world.board.thresholds_read.is_set()
    assert await heir.reconcile("plan") == HOUR - 600
    assert world.board.thresholds_read.is_set()
    assert world.board.thresholds == {WEB: 2}
    assert len(planner.requests) == 1


async def test_elastic_nodes_count_for_a_day_after_they_are_gone_also_for_a_new_leader(
    clock: FakeClock, planner: Planner
) -> None:
    world, store = world_of(clock, policy()), Store()
    controller = controller_of(world, planner, store)
    await controller.reconcile("plan")
    world.state.remove(world.state.nodes[NodeName("e1")])
    await clock.advance(12 * HOUR)
    await controller.reconcile("plan")
    heir = controller_of(world, planner, Store(store.saved[-1]))
    for hours in (11, 2):
        await clock.advance(hours * HOUR)
        await heir.reconcile("plan")

    assert [one.policies[0].elastic_cores for one in planner.requests] == [4.0, 4.0, 4.0, 0.0]


async def test_no_class_of_mode_auto_asks_for_nothing_and_withdraws(clock: FakeClock, planner: Planner) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, planner)
    await controller.reconcile("plan")
    world.catalog.upsert("ElasticPolicy", policy(threshold={"mode": "Manual", "replicas": 4}, version=2))
    assert await controller.reconcile("plan") is None
    await controller.reconcile("look")

    assert world.board.thresholds == {}
    assert [(one.workload, one.replicas, one.reason) for one in status_of(controller).thresholds] == [
        (WEB, 4, "Manual")
    ]
    assert len(planner.requests) == 1


async def test_only_the_largest_workloads_have_series_but_the_history_is_whole(
    clock: FakeClock, planner: Planner
) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, planner, workload_series=0)
    await controller.reconcile("plan")
    await controller.reconcile("look")

    assert b"{" not in metrics.THRESHOLD.text
    assert b"{" not in metrics.CONFIDENCE.text
    assert b"{" not in metrics.WORKLOAD_SAVING.text
    assert b'workload="web"} 3\n' in metrics.WORKLOAD_REPLICAS.text


async def test_no_history_is_kept_of_a_workload_that_is_not_planned(clock: FakeClock) -> None:
    world = world_of(clock, policy(threshold={"mode": "Manual", "replicas": 2}))
    await controller_of(world, None, workload_series=0).reconcile("look")
    assert b"{" not in metrics.WORKLOAD_REPLICAS.text

    await controller_of(world, None, workload_series=1).reconcile("look")
    assert b'workload="web"} 3\n' in metrics.WORKLOAD_REPLICAS.text
    assert b'workload="web",reason="Manual"} 2\n' in metrics.THRESHOLD.text


async def test_only_changes_of_governed_workloads_require_another_look(
    clock: FakeClock, planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, planner)
    asked: list[str] = []
    monkeypatch.setattr(controller.queue, "add_after", lambda key, _: asked.append(key))
    list(controller.subscribe())
    world.state.apply(make_replicaset("proxy", namespace="kube-system", replicas=3))
    assert not asked
    world.state.apply(make_replicaset("web", replicas=9, revision=7))
    assert asked == ["look"]
    # The workloads of a namespace may be seen before the namespace is.
    world.state.apply(make_replicaset("new", namespace="new"))
    assert asked == ["look"]
    world.state.apply(make_namespace("new"))
    assert asked == ["look", "look"]
