"""What the status and Events say about thresholds."""

from typing import Any

import msgspec
import pytest

from spillway.api.elasticpolicy import WorkloadThreshold
from spillway.controllers.threshold.status import not_planned, threshold_part
from spillway.domain.model.names import THRESHOLD
from spillway.telemetry.registry import exposition
from tests.builders import make_replicaset, make_statefulset
from tests.support.fake_clock import FakeClock
from tests.support.fake_recorder import FakeRecorder
from tests.unit.controllers.threshold.controller_cases import (
    WEB,
    Planner,
    controller_of,
    policy,
    status_of,
    told,
    world_of,
)


async def test_without_prometheus_or_history_everything_is_physical_and_the_status_says_why(
    clock: FakeClock, planner: Planner
) -> None:
    without = controller_of(world_of(clock, policy()), None)
    assert await without.reconcile("plan") is None
    await without.reconcile("look")
    assert told(without) == {"Learning": "NoPrometheus"}
    assert without.world.board.thresholds == {}

    planner.keep = None
    young = controller_of(world_of(clock, policy()), planner)
    await young.reconcile("plan")
    await young.reconcile("look")
    assert told(young) == {"Learning": "LearningHistory"}
    assert status_of(young).thresholds == (WorkloadThreshold(workload=WEB, reason="LearningHistory"),)


@pytest.mark.parametrize("reason", ["QueryRefused", "QueryTimedOut"])
async def test_a_query_that_fails_is_told_with_what_prometheus_said(
    clock: FakeClock, planner: Planner, reason: str
) -> None:
    planner.keep, planner.problem, planner.problem_reason = None, "bad_data: unclosed left brace", reason
    controller = controller_of(world_of(clock, policy()), planner)
    await controller.reconcile("plan")
    await controller.reconcile("look")

    assert told(controller) == {"Learning": reason}
    [message] = [one.message for one in status_of(controller).conditions if one.holds]
    assert f"{reason} (1): the history of {WEB} cannot be read: bad_data: unclosed left brace." in message


async def test_reasons_are_counted_and_the_most_frequent_one_is_that_of_the_condition(
    clock: FakeClock, planner: Planner
) -> None:
    world = world_of(clock, policy())
    for index in range(20):
        world.state.apply(make_replicaset(f"w{index:02}", owner_uid=f"d-{index}"))
    controller = controller_of(world, planner)
    planner.keep = None
    await controller.reconcile("plan")
    plan = controller.report.plan
    assert plan is not None
    problems = {3: ("QueryRefused", "bad_data"), **dict.fromkeys(range(4, 16), ("QueryTimedOut", "slow " * 100))}
    controller.report.plan = msgspec.structs.replace(
        plan,
        workloads=tuple(
            msgspec.structs.replace(one, problem_reason=problems[index][0], problem=problems[index][1])
            if index in problems
            else one
            for index, one in enumerate(sorted(plan.workloads, key=lambda one: one.workload))
        ),
    )
    await controller.reconcile("look")

    assert told(controller) == {"Learning": "QueryTimedOut"}
    [message] = [one.message for one in status_of(controller).conditions if one.holds]
    first = ", ".join(f"Deployment/shop/w{index:02}" for index in range(4, 9))
    assert f"QueryTimedOut (12): the history of {first} and 7 more cannot be read: slow slow" in message
    assert "QueryRefused (1): the history of Deployment/shop/w03 cannot be read: bad_data" in message
    assert "LearningHistory (8)" in message
    assert len(message) < 1500


@pytest.mark.parametrize(("problem", "reason"), [("", "HistoryLost"), ("bad_data: no", "QueryRefused")])
async def test_a_threshold_that_outlived_its_history_is_told(
    clock: FakeClock, planner: Planner, problem: str, reason: str
) -> None:
    planner.kept, planner.problem, planner.problem_reason = True, problem, reason if problem else ""
    controller = controller_of(world_of(clock, policy()), planner)
    await controller.reconcile("plan")
    await controller.reconcile("look")

    assert told(controller) == {"StalePlan": reason}
    [message] = [one.message for one in status_of(controller).conditions if one.holds]
    assert message.startswith(f"{WEB} has less than 2 days of history now")
    assert problem in message
    assert [one.replicas for one in status_of(controller).thresholds] == [2]


async def test_minima_above_the_target_are_told(clock: FakeClock, planner: Planner) -> None:
    planner.excess = 5.5
    controller = controller_of(world_of(clock, policy()), planner)
    await controller.reconcile("plan")
    await controller.reconcile("look")

    assert told(controller) == {"OverTarget": "MinimaExceedTarget"}
    [message] = [one.message for one in status_of(controller).conditions if one.holds]
    assert "is 5.5 cores more than the 4.55 that the target allows" in message
    assert b'spillway_threshold_owned_cores{what="excess"} 5.5\n' in exposition()


@pytest.mark.parametrize(("excess", "reason"), [(0.0, "MinimaFindNoNode"), (5.5, "MinimaExceedTarget")])
async def test_minima_that_find_no_node_are_told_with_their_workloads(
    clock: FakeClock, planner: Planner, excess: float, reason: str
) -> None:
    planner.excess = excess
    planner.unplaced = {f"Deployment/shop/w{index}": 2.0 for index in range(7)}
    controller = controller_of(world_of(clock, policy()), planner)
    await controller.reconcile("plan")
    await controller.reconcile("look")

    assert told(controller) == {"OverTarget": reason}
    [message] = [one.message for one in status_of(controller).conditions if one.holds]
    assert "has room for 14 cores of the replicas of Deployment/shop/w0" in message
    assert "and 2 more" in message
    assert ("more than the 4.55 that the target allows" in message) == (excess > 0)


async def test_a_bad_annotation_that_stands_is_told_once(clock: FakeClock, planner: Planner) -> None:
    events = FakeRecorder()
    controller = controller_of(world_of(clock, policy(), annotation="many"), planner, events=events)
    await controller.reconcile("plan")
    await controller.reconcile("look")
    await controller.reconcile("look")

    bad = [(about, message) for about, what, message in events.said if what == "Warning InvalidThreshold"]
    assert [about for about, _ in bad] == ["Deployment/web"]
    assert THRESHOLD in bad[0][1]
    assert told(controller) == {"InvalidThreshold": "BadAnnotation"}


async def test_the_list_is_bounded_to_the_largest(clock: FakeClock, planner: Planner) -> None:
    world = world_of(clock, policy())
    for index in range(80):
        world.state.apply(make_replicaset(f"w{index:02}", replicas=index, owner_uid=f"d-{index}"))
    controller = controller_of(world, planner)
    await controller.reconcile("plan")
    await controller.reconcile("look")

    names = [one.workload for one in status_of(controller).thresholds]
    assert len(names) == 64
    assert "Deployment/shop/w79" in names
    assert "Deployment/shop/w03" not in names


@pytest.mark.parametrize(
    ("more", "workloads", "named"),
    [
        pytest.param({}, ["StatefulSet/shop/db", "CloneSet/shop/game", WEB], True, id="any kind"),
        pytest.param({"match": {"kinds": ["StatefulSet"]}}, ["StatefulSet/shop/db"], True, id="that kind"),
        pytest.param({"match": {"kinds": ["Deployment"]}}, ["StatefulSet/shop/db"], False, id="another kind"),
        pytest.param({}, [WEB, "Rollout/shop/r", "Job/shop/j", "CronJob/shop/c"], False, id="planned, or no service"),
    ],
)
async def test_auto_for_a_kind_without_replicasets_is_told_as_void(
    clock: FakeClock, planner: Planner, more: dict[str, Any], workloads: list[str], *, named: bool
) -> None:
    world = world_of(clock, policy(**more))
    controller = controller_of(world, planner)
    await controller.reconcile("plan")
    await controller.reconcile("look")
    model = world.governance.policies["online"]

    found = not_planned(model, workloads, controller.report)

    assert found.holds == named
    assert ("StatefulSet/shop/db" in found.message) == named
    assert WEB not in found.message
    assert found in threshold_part("online", controller.report, found).conditions


async def test_the_status_lists_statefulsets_with_their_own_number(clock: FakeClock, planner: Planner) -> None:
    world = world_of(clock, policy())
    world.state.apply(make_statefulset("db", threshold="1"))
    world.state.apply(make_statefulset("queue"))
    world.state.apply(make_statefulset("bad", threshold="many"))
    controller = controller_of(world, planner)
    await controller.reconcile("look")

    part = threshold_part("online", controller.report)
    thresholds: Any = part.fields["thresholds"]
    listed = {one.workload: (one.replicas, one.reason) for one in thresholds}
    assert listed["StatefulSet/shop/db"] == (1, "Annotation")
    assert listed["StatefulSet/shop/queue"] == (None, "NotPlanned")
    [invalid] = [one for one in part.conditions if one.type == "InvalidThreshold"]
    assert invalid.holds
    assert "StatefulSet/shop/bad" in invalid.message
    void = not_planned(
        world.governance.policies["online"], ["StatefulSet/shop/db", "StatefulSet/shop/queue"], controller.report
    )
    assert "StatefulSet/shop/queue" in void.message
    assert "StatefulSet/shop/db" not in void.message, "it has a number"
