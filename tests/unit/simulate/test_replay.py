"""Steps of five minutes, as a backtest has them, give nearly the figures of steps of 15 seconds."""

from dataclasses import replace

import pytest

from spillway.simulate.autoscaler import CLUSTER_AUTOSCALER, CLUSTER_AUTOSCALER_DRAINS, AutoscalerRules
from spillway.simulate.contenders import Contender, Flat, Plain, Spillway
from spillway.simulate.course import Course
from spillway.simulate.replay import replay
from spillway.simulate.scenario import Scenario, two_peak_days

TARGET = 0.65
COARSE_SECONDS = 300
CONTENDERS: dict[str, Contender] = {"plain": Plain(), "flat": Flat(), "spillway": Spillway(looks_after=False)}


def fine() -> Scenario:
    made = two_peak_days(3, days=1, workloads=20)
    return replace(made, workloads=tuple(replace(one, rollouts=(), startup_steps=4) for one in made.workloads))


def coarse(scenario: Scenario) -> Scenario:
    """The same with the highest demand of each five minutes; a start-up of a minute is less than half a step."""
    joined = COARSE_SECONDS // scenario.step_seconds
    return replace(
        scenario,
        demand=scenario.demand.reshape(len(scenario.workloads), -1, joined).max(axis=2),
        step_seconds=COARSE_SECONDS,
        workloads=tuple(replace(one, startup_steps=0) for one in scenario.workloads),
    )


@pytest.mark.parametrize("rules", [CLUSTER_AUTOSCALER, CLUSTER_AUTOSCALER_DRAINS], ids=["when empty", "drains"])
def test_node_hours_and_use_hardly_depend_on_the_length_of_a_step(rules: AutoscalerRules) -> None:
    hours: dict[tuple[str, str], float] = {}
    used: dict[tuple[str, str], float] = {}
    for name, contender in CONTENDERS.items():
        for step, scenario in (("fine", fine()), ("coarse", coarse(fine()))):
            course = Course(scenario, TARGET)
            measures = replay(scenario, contender, rules, course)
            hours[name, step] = measures.elastic_node_steps * scenario.step_seconds / 3600
            used[name, step] = float(course.used_cores.sum() / course.allocatable_cores.sum())
    for name in CONTENDERS:
        assert hours[name, "coarse"] == pytest.approx(hours[name, "fine"], rel=0.15)
        assert used[name, "coarse"] == pytest.approx(used[name, "fine"], abs=0.03)
    for step in ("fine", "coarse"):
        assert hours["flat", step] < hours["plain", step]
        assert hours["spillway", step] < hours["plain", step]
