"""The recommended replicas of governed workloads, over time."""

from datetime import datetime
from typing import Any

import msgspec

from spillway.api.elasticpolicy import ElasticPolicyStatus, WorkloadScaling
from spillway.controllers.base import World
from spillway.controllers.scaling.controller import LONGEST_SECONDS, ScalingController
from spillway.controllers.scaling.status import scaling_part
from spillway.domain.scaling.autoscalers import METRIC, AutoscalerRecord
from spillway.domain.scaling.demand import STALE_SECONDS, DemandForecast
from spillway.domain.scaling.recommend import Reason
from spillway.state.autoscalers import Autoscalers
from spillway.state.catalog import Kind
from spillway.telemetry.registry import exposition
from tests.builders import make_replicaset, make_statefulset
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.support.world import make_world, resource

NOON = datetime.fromisoformat("2026-03-02T12:00:00+00:00").timestamp()
CART = "Deployment/shop/cart"
EVENING = {"name": "evening", "start": "0 18 * * *", "duration": "5h", "replicas": 12}


class _Watch:
    def __init__(self) -> None:
        self.wanted = False

    def want(self, *, wanted: bool) -> None:
        self.wanted = wanted

    def start(self) -> Any:
        return lambda: None


def _policy(*, version: int = 1, **scaling: Any) -> dict[str, Any]:
    workloads = [{"name": "default", "scaling": scaling} if scaling else {"name": "default"}]
    return resource(Kind.ELASTIC_POLICY, "online", version=version, tiers={}, workloads=workloads)


class _Scene:
    """One workload of four replicas, with an autoscaler of 2 to 50 on CPU and the recommended number."""

    def __init__(self, policy: dict[str, Any], *, autoscaler: bool = True, at: float = NOON, series: int = 10) -> None:
        self.clock = FakeClock(at)
        cart = make_replicaset("cart-1", owner_kind="Deployment", owner_name="cart", owner_uid="d", desired=4)
        self.world: World = make_world([cart, make_statefulset("db", replicas=3)], [policy], self.clock)
        self.recorder, self.autoscalers, self.watch = FakeRecorder(), Autoscalers(), _Watch()
        if autoscaler:
            self.autoscalers.apply(AutoscalerRecord("u", "shop", "cart", "Deployment", "cart", 2, 50, ("cpu", METRIC)))
        self.autoscalers.keep(["u"])
        self.controller = ScalingController(
            self.world, self.recorder, self.autoscalers, self.watch, workload_series=series
        )

    async def look(self) -> float | None:
        return await self.controller.reconcile("*")

    @property
    def cart(self) -> tuple[int, Reason]:
        found = self.world.board.recommendations[CART]
        return found.replicas, found.reason

    def forecast(self, highest: float) -> None:
        made = DemandForecast(self.clock.now(), min(1.0, highest), highest, predictable=True)
        self.world.board.forecasts = {CART: made}

    def change(self, policy: dict[str, Any]) -> None:
        self.world.catalog.replace(Kind.ELASTIC_POLICY, [policy], 60)

    @property
    def status(self) -> ElasticPolicyStatus:
        model = self.world.governance.policies["online"]
        part = scaling_part(model.metadata.name, self.controller.report)
        return model.status.model_copy(update=dict(part.fields))

    @property
    def conditions(self) -> dict[str, str]:
        model = self.world.governance.policies["online"]
        part = scaling_part(model.metadata.name, self.controller.report)
        return {one.type: one.message for one in part.conditions if one.holds}


async def test_a_schedule_counts_from_its_start_to_its_end() -> None:
    scene = _Scene(_policy(schedules=[EVENING]))
    assert await scene.look() == LONGEST_SECONDS
    assert scene.cart == (2, Reason.MINIMUM)
    await scene.clock.advance(6 * 3600 - 10)
    # The pass at the start of a schedule is due when it starts.
    assert await scene.look() == 10
    await scene.clock.advance(10)
    await scene.look()
    assert scene.cart == (12, Reason.SCHEDULE)
    await scene.clock.advance(5 * 3600)
    await scene.look()
    assert scene.cart == (2, Reason.MINIMUM)


async def test_the_start_of_a_schedule_is_told_once() -> None:
    scene = _Scene(_policy(schedules=[EVENING]))
    await scene.look()
    assert not scene.recorder.said
    await scene.clock.advance(6 * 3600)
    await scene.look()
    await scene.look()
    [event] = scene.recorder.said
    assert (event.about, event.what) == ("ElasticPolicy/online", "Normal ScheduleStarted")
    assert "at least 12 replicas, the next change of its schedules is at 2026-03-02T23:00:00Z" in event.message


async def test_a_new_leader_tells_no_schedule_that_has_begun_before() -> None:
    scene = _Scene(_policy(schedules=[EVENING]), at=NOON + 7 * 3600)
    await scene.look()
    assert scene.cart == (12, Reason.SCHEDULE)
    assert not scene.recorder.said


async def test_a_forecast_counts_until_it_is_too_old() -> None:
    scene = _Scene(_policy(forecast={}))
    scene.forecast(8.4)
    await scene.look()
    assert scene.cart == (9, Reason.FORECAST)
    await scene.clock.advance(STALE_SECONDS + 1)
    await scene.look()
    # CPU scales it as well, so there is no reason to keep it.
    assert scene.cart == (2, Reason.MINIMUM)


async def test_a_new_leader_without_forecasts_keeps_the_present_number_for_a_while() -> None:
    scene = _Scene(_policy(forecast={}))
    await scene.look()
    assert scene.cart == (4, Reason.CURRENT)
    await scene.clock.advance(STALE_SECONDS)
    await scene.look()
    assert scene.cart == (2, Reason.MINIMUM)


async def test_every_governed_workload_with_scaling_has_a_number() -> None:
    scene = _Scene(_policy(minReplicas=1))
    await scene.look()
    assert {key: one.replicas for key, one in scene.world.board.recommendations.items()} == {
        CART: 2,
        "StatefulSet/shop/db": 1,
    }


async def test_nothing_is_read_or_recommended_without_scaling() -> None:
    scene = _Scene(_policy(schedules=[EVENING]))
    await scene.look()
    assert scene.watch.wanted
    scene.change(_policy(version=2))
    assert await scene.look() is None
    assert not scene.watch.wanted
    assert not scene.world.board.recommendations


async def test_a_bounded_rate_remembers_its_steps() -> None:
    scene = _Scene(_policy(schedules=[EVENING], maxScalingsPerHour=1), at=NOON + 5 * 3600 + 1801)
    await scene.look()
    assert scene.cart == (12, Reason.HELD)
    await scene.clock.advance(6 * 3600)
    await scene.look()
    assert scene.cart == (2, Reason.MINIMUM)
    await scene.clock.advance(20 * 3600)
    await scene.look()
    assert scene.cart == (12, Reason.SCHEDULE)


async def test_changes_of_recommendations_are_signalled() -> None:
    scene = _Scene(_policy(schedules=[EVENING]))
    told: list[int] = []
    scene.world.board.recommendations_changed.subscribe(lambda: told.append(scene.cart[0]))
    await scene.look()
    await scene.look()
    await scene.clock.advance(6 * 3600)
    await scene.look()
    assert told == [2, 12]


async def test_the_status_lists_the_numbers_and_where_they_come_from() -> None:
    scene = _Scene(_policy(schedules=[EVENING], forecast={"mode": "Preview"}), at=NOON + 7 * 3600)
    scene.forecast(30)
    await scene.look()
    assert scene.status.scaling == (
        WorkloadScaling(
            workload=CART, replicas=12, reason="Schedule", schedule="evening", forecast=30, autoscaler="cart"
        ),
        WorkloadScaling(workload="StatefulSet/shop/db", replicas=12, reason="Schedule", schedule="evening"),
    )


async def test_an_invalid_schedule_fails_alone_and_is_told() -> None:
    bad = {**EVENING, "name": "bad", "timeZone": "Mars/Olympus"}
    scene = _Scene(_policy(schedules=[bad, EVENING]), at=NOON + 7 * 3600)
    await scene.look()
    assert scene.cart == (12, Reason.SCHEDULE)
    message = scene.conditions["InvalidSchedule"]
    assert "spec.workloads[default].scaling.schedules[bad].timeZone" in message
    assert "for example Asia/Shanghai" in message


async def test_an_invalid_occasion_is_told_as_a_schedule_is() -> None:
    bad = {"name": "holiday", "start": "0 0 31 2 *", "duration": "24h"}
    scene = _Scene(_policy(forecast={"occasions": [bad]}), at=NOON)
    await scene.look()
    message = scene.conditions["InvalidSchedule"]
    assert "spec.workloads[default].scaling.forecast.occasions[holiday].start" in message


async def test_workloads_without_an_autoscaler_are_told_once_all_are_known() -> None:
    scene = _Scene(_policy(schedules=[EVENING]), autoscaler=False)
    await scene.look()
    assert f"{CART}, StatefulSet/shop/db" in scene.conditions["NoAutoscaler"]
    scene.autoscalers.clear()
    await scene.look()
    assert "NoAutoscaler" not in scene.conditions


async def test_an_autoscaler_that_also_goes_by_cpu_is_not_exact() -> None:
    scene = _Scene(_policy(schedules=[EVENING], scheduleOnly=True, minReplicas=3))
    await scene.look()
    assert CART in scene.conditions["NotExact"]
    record = scene.autoscalers.of(CART)
    assert record is not None
    scene.autoscalers.apply(msgspec.structs.replace(record, metrics=(METRIC,)))
    await scene.look()
    assert "NotExact" not in scene.conditions


async def test_only_the_largest_workloads_have_series() -> None:
    scene = _Scene(_policy(schedules=[EVENING], forecast={"mode": "Preview"}), series=1)
    scene.forecast(7)
    await scene.look()
    text = exposition().decode()
    assert 'spillway_scaling_recommended_replicas{namespace="shop",kind="Deployment",workload="cart"} 2' in text
    assert 'spillway_scaling_forecast_replicas{namespace="shop",kind="Deployment",workload="cart"} 7' in text
    assert 'kind="StatefulSet",workload="db"' not in "".join(
        line for line in text.splitlines() if line.startswith("spillway_scaling_")
    )
    assert 'spillway_scaling_workloads{reason="Minimum"} 2.0' in text
