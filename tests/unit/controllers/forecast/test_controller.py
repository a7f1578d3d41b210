"""When forecasts are refreshed, what is asked and published, and what a failure leaves standing."""

from datetime import UTC, datetime
from typing import Any

import pytest

from spillway.domain.forecast.occasions import Occasion
from spillway.domain.forecast.pace import Pace
from spillway.domain.forecast.refresh import NO_SAMPLES, DemandNeed, DemandProblem, DemandSource, RefreshProblem
from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.scaling.demand import STALE_SECONDS, DemandForecast
from spillway.state.catalog import Kind
from spillway.telemetry import forecast as metrics
from tests.builders import make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.unit.controllers.forecast.forecast_cases import CPU, WEB, Process, controller_of, policy, world_of

DB = "StatefulSet/shop/db"


async def test_asked_published_and_measured(clock: FakeClock, process: Process) -> None:
    world = world_of(clock, policy(window="1h", startup="90s", history="7d", price="2.5"))
    heard: list[bool] = []
    world.board.forecasts_changed.subscribe(lambda: heard.append(True))
    controller = controller_of(world, process)

    await controller.reconcile("refresh")

    [request] = process.requests
    assert request.now == clock.now()
    assert request.needs == (
        DemandNeed(
            WEB,
            DemandSource.CPU,
            per_replica=0.25,
            history_seconds=7 * 86_400.0,
            window_seconds=3600.0,
            startup_seconds=90.0,
            price=2.5,
        ),
    )
    assert world.board.forecasts == {
        WEB: DemandForecast(made=clock.now(), present=5.0, highest=12.34, predictable=True)
    }
    assert heard == [True]
    labels = b'{namespace="shop",kind="Deployment",workload="web"} '
    assert b"spillway_forecast_demand_replicas" + labels + b"12.34\n" in metrics.DEMAND.text
    assert b"spillway_forecast_present_replicas" + labels + b"5\n" in metrics.PRESENT.text
    assert b"spillway_forecast_predictable" + labels + b"1\n" in metrics.PREDICTABLE.text


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        pytest.param(CPU, ("cpu", "", 0.25), id="cpu"),
        pytest.param({"metric": "memory", "utilization": 80}, ("memory", "", 0.8 * 2**30), id="memory"),
        pytest.param(
            {"query": 'sum(q{ns="$(namespace)",app="$(workload)",$(matchers)})', "perReplica": "200"},
            ("query", 'sum(q{ns="shop",app="web",$(matchers)})', 200.0),
            id="query",
        ),
    ],
)
async def test_what_one_replica_carries(
    clock: FakeClock, process: Process, target: dict[str, Any], asked: tuple[str, str, float]
) -> None:
    await controller_of(world_of(clock, policy(target)), process).reconcile("refresh")

    [need] = process.requests[0].needs
    assert (need.source, need.query, need.per_replica) == asked


@pytest.mark.parametrize(
    ("headroom", "startup", "beyond"),
    [
        pytest.param({"from": "Forecast"}, "90s", 90.0, id="one start-up"),
        pytest.param({"from": "Forecast", "nodeStartup": "6m"}, "20s", 360.0, id="the start-up of a node"),
        pytest.param({"from": "Forecast"}, "0s", 180.0, id="a node takes some time in any case"),
        pytest.param(
            {"from": "Fixed", "min": {"pods": 2}, "nodeStartup": "6m"}, "90s", 0.0, id="headroom without forecasts"
        ),
        pytest.param(None, "90s", 0.0, id="no headroom"),
    ],
)
async def test_headroom_asks_for_the_demand_beyond_the_window(
    clock: FakeClock, process: Process, headroom: dict[str, Any] | None, startup: str, beyond: float
) -> None:
    process.later = 20.5
    world = world_of(clock, policy(startup=startup, headroom=headroom))
    await controller_of(world, process).reconcile("refresh")

    assert process.requests[0].needs[0].beyond_seconds == beyond
    assert world.board.forecasts[WEB].later == 20.5


async def test_with_a_bound_on_scalings_the_demand_is_forecast_for_as_long_as_a_step_lasts(
    clock: FakeClock, process: Process
) -> None:
    world = world_of(clock, policy(window="30m", startup="5m", per_hour=1))
    await controller_of(world, process).reconcile("refresh")

    assert process.requests[0].needs[0].window_seconds == 65 * 60


async def test_the_days_that_a_user_names_are_asked_with_each_workload(process: Process) -> None:
    clock = FakeClock(datetime(2026, 10, 1, 8, tzinfo=UTC).timestamp())
    day = {"name": "holiday", "start": "0 0 1 10 *", "duration": "24h", "like": "Sunday", "factor": "0.5"}
    later = {"name": "sale", "start": "0 0 11 11 *", "duration": "24h", "factor": "3"}
    await controller_of(world_of(clock, policy(occasions=[day, later])), process).reconcile("refresh")

    begin = datetime(2026, 10, 1, tzinfo=UTC).timestamp()
    assert process.requests[0].needs[0].occasions == (Occasion(begin, begin + 86_400, 4, 0.5),)


async def test_a_statefulset_is_forecast_as_well(clock: FakeClock, process: Process) -> None:
    world = world_of(clock, policy(), statefulset=True)
    await controller_of(world, process).reconcile("refresh")

    assert {one.workload for one in process.requests[0].needs} == {WEB, DB}


async def test_it_is_refreshed_soon_after_each_step_and_at_once_while_histories_are_read(
    clock: FakeClock, process: Process
) -> None:
    controller = controller_of(world_of(clock, policy()), process)

    pause = await controller.reconcile("refresh")
    assert pause is not None
    assert (clock.now() + pause) % 300 == pytest.approx(27.0), "20 s for late samples, and its own offset"
    assert 0 < pause <= 300

    assert process.requests[0].seconds == 0, "the first forecasts do not wait for older history"
    process.backlog = 3
    assert await controller.reconcile("refresh") == 1.0
    assert process.requests[1].seconds > 0
    process.older_trouble = RefreshProblem("PrometheusUnreachable", "away")
    assert await controller.reconcile("refresh") == pytest.approx(pause), "after a failure there is no hurry"


async def test_a_changed_request_is_asked_with_the_next_refresh(clock: FakeClock, process: Process) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, process)
    await controller.reconcile("refresh")
    for index in range(3):
        world.state.apply(make_pod(f"web-{index}", cpu_millis=2000))
    await controller.reconcile("refresh")

    assert [request.needs[0].per_replica for request in process.requests] == [0.25, 1.0]


async def test_a_workload_that_sleeps_keeps_what_its_replicas_requested(clock: FakeClock, process: Process) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, process)
    await controller.reconcile("refresh")
    world.state.apply(make_replicaset(replicas=0))
    for index in range(3):
        world.state.remove(make_pod(f"web-{index}"))
    for _ in range(2):
        await controller.reconcile("refresh")

    assert [request.needs[0].per_replica for request in process.requests] == [0.25] * 3


async def test_a_workload_that_never_had_a_replica_is_not_asked_for(clock: FakeClock, process: Process) -> None:
    world = world_of(clock, policy())
    for index in range(3):
        world.state.remove(make_pod(f"web-{index}"))
    controller = controller_of(world, process)
    await controller.reconcile("refresh")

    assert process.requests[0].needs == ()
    assert controller.report.problems == {}, "its first pod will tell what it requests"


@pytest.mark.parametrize(
    ("target", "reason", "message"),
    [
        pytest.param({"query": "up", "perReplica": "0"}, "PerReplicaIsZero", "perReplica is 0", id="nothing each"),
        pytest.param({"metric": "memory", "utilization": 60}, "NoRequest", "request no memory", id="no request"),
    ],
)
async def test_what_cannot_be_asked_is_told_on_the_workload(
    clock: FakeClock, process: Process, target: dict[str, Any], reason: str, message: str
) -> None:
    world, events = world_of(clock, policy(target)), FakeRecorder()
    for index in range(3):
        world.state.apply(make_pod(f"web-{index}", memory_bytes=0))
    controller = controller_of(world, process, events)
    for _ in range(2):
        await controller.reconcile("refresh")

    assert controller.report.problems[WEB].reason == reason
    [said] = events.said
    assert said[:2] == ("Deployment/web", "Warning DemandUnusable")
    assert message in said.message


async def test_no_samples_are_no_problem_of_a_workload_without_replicas(clock: FakeClock, process: Process) -> None:
    world, events = world_of(clock, policy()), FakeRecorder()
    process.problems = (DemandProblem(WEB, NO_SAMPLES, "nothing for a while"),)
    controller = controller_of(world, process, events)
    await controller.reconcile("refresh")
    assert set(controller.report.problems) == {WEB}
    assert world.board.forecasts == {}
    assert len(events.said) == 1

    world.state.apply(make_replicaset(replicas=0))
    await controller.reconcile("refresh")
    assert controller.report.problems == {}


async def test_a_failure_leaves_the_forecasts_which_age(clock: FakeClock, process: Process) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, process)
    await controller.reconcile("refresh")
    before = dict(world.board.forecasts)
    process.trouble = "PrometheusUnreachable"

    pauses = [await controller.reconcile("refresh") for _ in range(8)]

    assert pauses == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]
    assert world.board.forecasts == before
    assert not before[WEB].is_stale(clock.now() + STALE_SECONDS)
    assert before[WEB].is_stale(clock.now() + STALE_SECONDS + 1)
    assert not controller.report.stale(clock.now() + STALE_SECONDS)
    assert controller.report.stale(clock.now() + STALE_SECONDS + 1)
    process.trouble = ""
    await controller.reconcile("refresh")
    assert not controller.report.trouble


async def test_the_forecast_of_a_workload_whose_demand_alone_fails_ages_for_a_day(
    clock: FakeClock, process: Process
) -> None:
    world = world_of(clock, policy(), statefulset=True)
    controller = controller_of(world, process)
    await controller.reconcile("refresh")
    before = world.board.forecasts[WEB]

    process.problems = (DemandProblem(WEB, "QueryFails", "bad_data"),)
    clock.forward(STALE_SECONDS + 1)
    await controller.reconcile("refresh")
    assert set(world.board.forecasts) == {WEB, DB}
    assert world.board.forecasts[WEB] == before
    assert before.is_stale(clock.now())
    assert not world.board.forecasts[DB].is_stale(clock.now())
    assert controller.report.problems.keys() == {WEB}

    clock.forward(DAY_SECONDS)
    await controller.reconcile("refresh")
    assert set(world.board.forecasts) == {DB}


@pytest.mark.parametrize("resource", [policy(None), policy(mode="Disabled")], ids=["no target", "disabled"])
async def test_nobody_is_asked_while_no_class_wants_a_forecast(
    clock: FakeClock, process: Process, resource: dict[str, Any]
) -> None:
    controller = controller_of(world_of(clock, resource), process)

    assert await controller.reconcile("refresh") is None
    assert process.requests == []


async def test_a_policy_that_wants_none_any_more_withdraws_them(clock: FakeClock, process: Process) -> None:
    world = world_of(clock, policy())
    controller = controller_of(world, process)
    await controller.reconcile("refresh")
    assert world.board.forecasts

    world.catalog.replace(Kind.ELASTIC_POLICY, [policy(version=2, mode="Disabled")], 60)
    await controller.reconcile("refresh")

    assert world.board.forecasts == {}
    assert b'workload="web"' not in metrics.DEMAND.text
    assert process.closed, "its memory is given back"


async def test_without_a_prometheus_the_report_says_so(clock: FakeClock) -> None:
    controller = controller_of(world_of(clock, policy()), None)

    assert await controller.reconcile("refresh") is None
    assert controller.report.trouble == "NoPrometheus"


async def test_the_series_are_bounded(clock: FakeClock, process: Process) -> None:
    world = world_of(clock, policy(), statefulset=True)
    await controller_of(world, process, workload_series=1).reconcile("refresh")

    assert len(world.board.forecasts) == 2
    assert metrics.DEMAND.text.count(b"\nspillway_forecast_demand_replicas{") == 1


async def test_demand_that_runs_faster_than_the_clock(clock: FakeClock, process: Process) -> None:
    """A day in eight minutes: a step of the grid is over after a second and two thirds."""
    pace = Pace(speed=180.0, meets=clock.now() + 600.0)
    world = world_of(clock, policy())
    controller = controller_of(world, process, pace=pace)
    process.made = pace.demand_time(clock.now()) - 90.0

    again = await controller.reconcile("refresh")

    assert process.requests[0].now == pytest.approx(clock.now() + 600.0 - 180 * 600.0)
    assert world.board.forecasts[WEB].made == pytest.approx(clock.now() - 0.5), (
        "what others read is in the clock's time"
    )
    assert again is not None
    assert 0.0 < again <= 300 / 180
    steps = (pace.demand_time(clock.now() + again) - 27.0) / 300.0
    assert steps == pytest.approx(round(steps), abs=1e-4), "27 s of demand after the end of a step"
