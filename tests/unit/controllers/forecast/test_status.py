"""What the status of a policy says about forecasts."""

from datetime import UTC, datetime

from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus
from spillway.api.forecast import WorkloadForecast
from spillway.controllers.forecast.controller import ForecastController
from spillway.controllers.forecast.status import ForecastContributor, forecast_part
from spillway.controllers.status.part import StatusPart
from spillway.controllers.status.wording import LISTED
from spillway.domain.forecast.refresh import DemandProblem
from spillway.domain.scaling.demand import STALE_SECONDS, DemandForecast
from tests.support.fake_clock import FakeClock
from tests.unit.controllers.forecast.forecast_cases import WEB, Process, controller_of, policy, world_of


def part_of(controller: ForecastController, clock: FakeClock) -> StatusPart:
    model = ElasticPolicy.model_validate(policy())
    now = datetime.fromtimestamp(clock.now(), UTC)
    return ForecastContributor(controller, controller.world.board).part(model, ElasticPolicyStatus(), now)


def told(part: StatusPart) -> dict[str, tuple[bool, str, str]]:
    return {one.type: (one.holds, one.reason, one.message) for one in part.conditions}


async def test_the_forecasts_and_that_all_is_well(clock: FakeClock, process: Process) -> None:
    controller = controller_of(world_of(clock, policy()), process)
    assert told(part_of(controller, clock))["ForecastStale"][:2] == (False, "NoForecasts")
    await controller.reconcile("refresh")

    part = part_of(controller, clock)

    assert part.fields == {
        "forecasts": (WorkloadForecast(workload=WEB, present="5.0", highest="12.3", predictable=True),)
    }
    assert {kind: said[:2] for kind, said in told(part).items()} == {
        "ForecastStale": (False, "ForecastsAreFresh"),
        "DemandUnusable": (False, "DemandIsUsable"),
    }


async def test_one_failure_is_no_alarm_and_a_quarter_of_an_hour_of_them_is(clock: FakeClock, process: Process) -> None:
    controller = controller_of(world_of(clock, policy()), process)
    await controller.reconcile("refresh")
    process.trouble = "PrometheusUnreachable"
    await clock.advance(300)
    await controller.reconcile("refresh")

    part = part_of(controller, clock)
    assert told(part)["ForecastStale"][0] is False
    assert "a refresh has failed: no one answers" in told(part)["ForecastStale"][2]
    assert part.fields["forecasts"] != ()

    await clock.advance(STALE_SECONDS)
    part = part_of(controller, clock)
    holds, reason, message = told(part)["ForecastStale"]
    assert (holds, reason) == (True, "PrometheusUnreachable")
    assert "no one answers; the last ones are of " in message
    assert part.fields["forecasts"] == (), "what is not used is not shown"


async def test_a_first_failure_is_told_at_once(clock: FakeClock, process: Process) -> None:
    controller = controller_of(world_of(clock, policy()), process)
    process.trouble = "ForecastFailed"
    await controller.reconcile("refresh")

    assert told(part_of(controller, clock))["ForecastStale"][:2] == (True, "ForecastFailed")


async def test_the_demand_that_cannot_be_used(clock: FakeClock, process: Process) -> None:
    controller = controller_of(world_of(clock, policy()), process)
    process.problems = (DemandProblem(WEB, "QueryRefused", "bad_data: no PromQL"),)
    await controller.reconcile("refresh")

    holds, reason, message = told(part_of(controller, clock))["DemandUnusable"]
    assert (holds, reason) == (True, "QueryRefused")
    assert message == f"There is no forecast for {WEB}. {WEB}: bad_data: no PromQL."


async def test_the_list_is_bounded_and_has_the_largest(clock: FakeClock, process: Process) -> None:
    controller = controller_of(world_of(clock, policy()), process)
    names = [f"Deployment/shop/{index:03}" for index in range(LISTED + 10)]
    report = controller.report
    report.policies = dict.fromkeys(names, "online") | {"Deployment/shop/other": "another"}
    forecasts = {
        name: DemandForecast(made=clock.now(), present=1.0, highest=float(size), predictable=False)
        for size, name in enumerate([*names, "Deployment/shop/other"])
    }

    part = forecast_part("online", report, forecasts, datetime.fromtimestamp(clock.now(), UTC))

    listed = part.fields["forecasts"]
    assert isinstance(listed, tuple)
    assert [one.workload for one in listed] == names[10:]


async def test_a_policy_without_forecasts_has_no_part(clock: FakeClock, process: Process) -> None:
    controller = controller_of(world_of(clock, policy()), process)
    model = ElasticPolicy.model_validate(policy(None))
    contributor = ForecastContributor(controller, controller.world.board)

    assert contributor.part(model, ElasticPolicyStatus(), datetime.fromtimestamp(0, UTC)) == StatusPart(
        {"forecasts": ()}
    )
