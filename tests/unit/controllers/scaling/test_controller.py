"""The recommended replicas of governed workloads, over time."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from spillway.api.elasticpolicy import WorkloadScaling
from spillway.controllers.scaling import controller
from spillway.controllers.scaling.controller import LONGEST_SECONDS
from spillway.controllers.scaling.status import scaling_part
from spillway.domain.model.recurring import Timetable
from spillway.domain.scaling.autoscalers import METRIC, AutoscalerRecord
from spillway.domain.scaling.demand import STALE_SECONDS
from spillway.domain.scaling.recommend import ScalingReason
from spillway.telemetry.registry import exposition
from tests.builders import make_namespace, make_replicaset, make_statefulset
from tests.unit.controllers.scaling.scene import CART, EVENING, NOON, TARGET, Scene, policy


def _listed(scene: Scene) -> object:
    return scaling_part("online", scene.controller.report).fields["scaling"]


def _conditions(scene: Scene) -> dict[str, str]:
    return {one.type: one.message for one in scaling_part("online", scene.controller.report).conditions if one.holds}


async def test_a_schedule_counts_from_its_start_to_its_end() -> None:
    scene = Scene(policy(schedules=[EVENING]))
    assert await scene.look() == LONGEST_SECONDS
    assert scene.cart == (2, ScalingReason.MINIMUM)
    await scene.clock.advance(6 * 3600 - 10)
    # The pass at the start of a schedule is due when it starts.
    assert await scene.look() == 10
    await scene.clock.advance(10)
    await scene.look()
    assert scene.cart == (12, ScalingReason.SCHEDULE)
    await scene.clock.advance(5 * 3600)
    await scene.look()
    assert scene.cart == (2, ScalingReason.MINIMUM)


async def test_the_start_of_a_schedule_is_told_once() -> None:
    scene = Scene(policy(schedules=[EVENING]))
    await scene.look()
    assert not scene.recorder.said
    await scene.clock.advance(6 * 3600)
    await scene.look()
    await scene.look()
    [event] = scene.recorder.said
    assert (event.about, event.what) == ("ElasticPolicy/online", "Normal ScheduleStarted")
    assert "at least 12 replicas, the next change of its schedules is at 2026-03-02T23:00:00Z" in event.message


async def test_a_new_leader_tells_no_schedule_that_has_begun_before() -> None:
    scene = Scene(policy(schedules=[EVENING]), at=NOON + 7 * 3600)
    await scene.look()
    assert scene.cart == (12, ScalingReason.SCHEDULE)
    assert not scene.recorder.said


async def test_a_forecast_counts_until_it_is_too_old() -> None:
    scene = Scene(policy(target=TARGET, forecast={}))
    scene.forecast(8.4)
    await scene.look()
    assert scene.cart == (9, ScalingReason.FORECAST)
    await scene.clock.advance(STALE_SECONDS + 1)
    await scene.look()
    # CPU scales it as well, so there is no reason to keep it.
    assert scene.cart == (2, ScalingReason.MINIMUM)


async def test_a_new_leader_without_forecasts_keeps_the_present_number_for_a_while() -> None:
    scene = Scene(policy(target=TARGET, forecast={}))
    await scene.look()
    assert scene.cart == (4, ScalingReason.CURRENT)
    await scene.clock.advance(STALE_SECONDS)
    await scene.look()
    assert scene.cart == (2, ScalingReason.MINIMUM)


async def test_every_governed_workload_with_scaling_has_a_number() -> None:
    scene = Scene(policy(minReplicas=1))
    await scene.look()
    assert {key: one.replicas for key, one in scene.world.board.recommendations.items()} == {
        CART: 2,
        "StatefulSet/shop/db": 1,
    }


async def test_nothing_is_read_or_recommended_without_scaling() -> None:
    scene = Scene(policy(schedules=[EVENING]))
    await scene.look()
    assert scene.watch.wanted
    scene.change(policy(version=2))
    assert await scene.look() is None
    assert not scene.watch.wanted
    assert not scene.world.board.recommendations


async def test_a_bounded_rate_remembers_its_steps() -> None:
    scene = Scene(policy(schedules=[EVENING], maxScalingsPerHour=1), at=NOON + 5 * 3600 + 1801)
    await scene.look()
    assert scene.cart == (12, ScalingReason.HELD)
    await scene.clock.advance(6 * 3600)
    await scene.look()
    assert scene.cart == (2, ScalingReason.MINIMUM)
    await scene.clock.advance(20 * 3600)
    await scene.look()
    assert scene.cart == (12, ScalingReason.SCHEDULE)


async def test_the_last_step_of_an_hour_covers_a_schedule_that_begins_before_the_next_one() -> None:
    soon = EVENING | {"start": "44 12 * * *", "replicas": 20}
    scene = Scene(policy(schedules=[soon], target=TARGET, forecast={}, maxScalingsPerHour=2))
    await scene.look()
    numbers: list[tuple[int, ScalingReason]] = []
    for minutes, highest in ((1, 5.0), (5, 6.0), (38, 6.0)):
        await scene.clock.advance(60 * minutes)
        scene.forecast(highest)
        await scene.look()
        numbers.append(scene.cart)
    assert numbers == [(5, ScalingReason.FORECAST), (20, ScalingReason.HELD), (20, ScalingReason.SCHEDULE)]


async def test_changes_of_recommendations_are_signalled() -> None:
    scene = Scene(policy(schedules=[EVENING]))
    told: list[int] = []
    scene.world.board.recommendations_changed.subscribe(lambda: told.append(scene.cart[0]))
    await scene.look()
    await scene.look()
    await scene.clock.advance(6 * 3600)
    await scene.look()
    assert told == [2, 12]


async def test_the_status_lists_the_numbers_and_where_they_come_from() -> None:
    scene = Scene(policy(schedules=[EVENING], target=TARGET, forecast={"mode": "Preview"}), at=NOON + 7 * 3600)
    scene.forecast(30)
    await scene.look()
    assert _listed(scene) == (
        WorkloadScaling(
            workload=CART, replicas=12, reason="Schedule", schedule="evening", forecast=30, autoscaler="cart"
        ),
        WorkloadScaling(workload="StatefulSet/shop/db", replicas=12, reason="Schedule", schedule="evening"),
    )


async def test_an_invalid_schedule_fails_alone_and_is_told() -> None:
    bad = {**EVENING, "name": "bad", "timeZone": "Mars/Olympus"}
    scene = Scene(policy(schedules=[bad, EVENING]), at=NOON + 7 * 3600)
    await scene.look()
    assert scene.cart == (12, ScalingReason.SCHEDULE)
    message = _conditions(scene)["InvalidSchedule"]
    assert "spec.workloads[default].scaling.schedules[bad].timeZone" in message
    assert "for example Asia/Shanghai" in message


async def test_an_invalid_occasion_is_told_as_a_schedule_is() -> None:
    bad = {"name": "holiday", "start": "0 0 31 2 *", "duration": "24h"}
    scene = Scene(policy(target=TARGET, forecast={"occasions": [bad]}), at=NOON)
    await scene.look()
    message = _conditions(scene)["InvalidSchedule"]
    assert "spec.workloads[default].scaling.forecast.occasions[holiday].start" in message


async def test_schedules_and_occasions_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(entries: Sequence[Any]) -> Timetable[Any]:
        read.append(len(entries))
        return Timetable(entries)

    monkeypatch.setattr(controller, "Timetable", counted)
    occasions = [{"name": "sale", "start": "0 0 11 11 *", "duration": "24h", "like": "Sunday"}]
    scene = Scene(policy(schedules=[EVENING], target=TARGET, forecast={"occasions": occasions}))
    await scene.look()
    await scene.clock.advance(6 * 3600)
    await scene.look()
    assert read == [1, 1]
    assert scene.cart == (12, ScalingReason.SCHEDULE)
    # Until the class changes.
    scene.change(
        policy(version=2, schedules=[EVENING | {"replicas": 20}], target=TARGET, forecast={"occasions": occasions})
    )
    await scene.look()
    assert read == [1, 1, 1, 1]
    assert scene.cart == (20, ScalingReason.SCHEDULE)


async def test_only_changes_of_workloads_with_scaling_require_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = {"name": "plain", "match": {"kinds": ["StatefulSet"]}}
    scene = Scene(policy(schedules=[EVENING]))
    changed = policy(version=2, schedules=[EVENING])
    changed["spec"]["workloads"].insert(0, jobs)
    scene.change(changed)
    await scene.look()
    asked: list[str] = []
    monkeypatch.setattr(scene.controller.queue, "add_after", lambda key, _: asked.append(key))
    list(scene.controller.subscribe())
    state = scene.world.state
    state.apply(make_statefulset("db", replicas=9))
    state.apply(make_replicaset("pay-1", namespace="kube-system", owner_kind="Deployment", owner_name="pay"))
    assert not asked
    cart = make_replicaset("cart-1", owner_kind="Deployment", owner_name="cart", owner_uid="d", desired=6)
    state.apply(cart)
    state.apply(cart)
    assert len(asked) == 1
    # One that no class governs any more has counted before.
    state.remove(cart)
    assert len(asked) == 2
    # The workloads of a namespace may be seen before the namespace is.
    state.apply(make_replicaset("new-1", namespace="new", owner_kind="Deployment", owner_name="new"))
    assert len(asked) == 2
    state.apply(make_namespace("new"))
    assert len(asked) == 3


async def test_workloads_without_an_autoscaler_are_told_once_all_are_known() -> None:
    scene = Scene(policy(schedules=[EVENING]), autoscaler=False)
    await scene.look()
    assert f"{CART}, StatefulSet/shop/db" in _conditions(scene)["NoAutoscaler"]
    scene.autoscalers.clear()
    await scene.look()
    assert "NoAutoscaler" not in _conditions(scene)


async def test_an_autoscaler_that_also_goes_by_cpu_is_not_exact() -> None:
    scene = Scene(policy(schedules=[EVENING], scheduleOnly=True, minReplicas=3))
    await scene.look()
    assert CART in _conditions(scene)["NotExact"]
    record = scene.autoscalers.of(CART)
    assert record is not None
    scene.autoscalers.apply(msgspec.structs.replace(record, metrics=(METRIC,)))
    await scene.look()
    assert "NotExact" not in _conditions(scene)


async def test_only_the_largest_workloads_have_series() -> None:
    scene = Scene(policy(schedules=[EVENING], target=TARGET, forecast={"mode": "Preview"}), series=1)
    scene.forecast(7)
    await scene.look()
    text = exposition().decode()
    assert 'spillway_scaling_recommended_replicas{namespace="shop",kind="Deployment",workload="cart"} 2' in text
    assert 'spillway_scaling_forecast_replicas{namespace="shop",kind="Deployment",workload="cart"} 7' in text
    assert 'kind="StatefulSet",workload="db"' not in "".join(
        line for line in text.splitlines() if line.startswith("spillway_scaling_")
    )
    assert 'spillway_scaling_workloads{reason="Minimum"} 2.0' in text


async def test_autoscalers_are_searched_once_for_what_an_earlier_leader_left() -> None:
    scene = Scene(policy())
    scene.autoscalers.clear()
    await scene.look()
    assert scene.watch.wanted
    scene.autoscalers.keep([])
    await scene.look()
    assert not scene.watch.wanted


async def test_the_floor_of_spillways_own_autoscaler_is_no_bound_of_the_next_number() -> None:
    managed: dict[str, Any] = {"hpa": "Managed", "maxReplicas": 9, "target": {"metric": "cpu", "utilization": 60}}
    scene = Scene(policy(schedules=[EVENING], **managed), at=NOON + 7 * 3600, autoscaler=False)
    record = AutoscalerRecord(
        "m", "shop", "spillway-deployment-cart", "Deployment", "cart", 9, 9, ("cpu",), policy="online"
    )
    scene.autoscalers.apply(record)
    await scene.look()
    assert scene.cart == (9, ScalingReason.SCHEDULE)
    await scene.clock.advance(5 * 3600)
    await scene.look()
    assert scene.cart == (1, ScalingReason.MINIMUM)
