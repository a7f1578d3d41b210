"""Consolidation by surge in a replay: fewer node-hours, without an eviction or a missing replica."""

from dataclasses import replace

import pytest

from spillway.domain.surge.patience import DEFAULT_READY_SECONDS
from spillway.simulate.autoscaler import CLUSTER_AUTOSCALER
from spillway.simulate.clairvoyant import fewest_nodes, fewest_nodes_by_zone
from spillway.simulate.contenders import Spillway
from spillway.simulate.measure import Measures
from spillway.simulate.moves import MoveRules
from spillway.simulate.replay import replay
from spillway.simulate.scenario import Scenario, two_peak_days

pytestmark = pytest.mark.xdist_group("simulate-moves")

WORKLOADS = 20


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return two_peak_days(3, days=1, workloads=WORKLOADS)


@pytest.fixture(scope="module")
def moved(scenario: Scenario) -> Measures:
    return replay(scenario, Spillway(moves=MoveRules()), CLUSTER_AUTOSCALER)


def test_moves_empty_nodes_without_an_eviction_or_a_dip(scenario: Scenario, moved: Measures) -> None:
    still = replay(scenario, Spillway(), CLUSTER_AUTOSCALER)
    assert moved.elastic_node_steps < 0.95 * still.elastic_node_steps
    assert (moved.evictions, moved.dips) == (0, 0)
    assert moved.moves > 0
    assert still.moves == 0
    assert max(moved.skews) <= max(still.skews) + 1


def test_moves_of_a_minute_are_bounded(scenario: Scenario) -> None:
    few = replay(scenario, Spillway(moves=MoveRules(per_minute=1)), CLUSTER_AUTOSCALER)
    assert few.moves <= scenario.steps * scenario.step_seconds / 60


def test_replicas_that_become_ready_as_late_as_a_deployment_allows_are_moved(scenario: Scenario) -> None:
    steps = scenario.steps_in(0.9 * DEFAULT_READY_SECONDS)
    slow = tuple(replace(one, startup_steps=steps, rollouts=()) for one in scenario.workloads)
    assert replay(replace(scenario, workloads=slow), Spillway(moves=MoveRules()), CLUSTER_AUTOSCALER).moves > 0


def test_nobody_needs_fewer_nodes_than_the_clairvoyant(scenario: Scenario, moved: Measures) -> None:
    fewest = fewest_nodes(moved, scenario, CLUSTER_AUTOSCALER)
    by_zone = fewest_nodes_by_zone(moved, scenario, CLUSTER_AUTOSCALER)
    assert sum(fewest) < sum(by_zone) <= moved.elastic_node_steps
    assert len(fewest) == len(by_zone) == scenario.steps


def test_a_node_is_kept_for_the_idle_time_of_the_autoscaler() -> None:
    small = replace(two_peak_days(3, days=1, workloads=1), fixed_nodes=1, node_cpu=4.0, node_memory=16.0)
    measures = Measures(requested=[((4.0, 1.0),), ((4.5, 1.0),), *[((4.0, 1.0),)] * 60])
    idle = small.steps_in(CLUSTER_AUTOSCALER.idle_seconds)
    assert fewest_nodes(measures, small, CLUSTER_AUTOSCALER)[: idle + 3] == [0, *[1] * (idle + 1), 0]


def test_a_pod_that_stays_in_its_zone_needs_a_node_there() -> None:
    small = replace(two_peak_days(3, days=1, workloads=1), fixed_nodes=4, node_cpu=4.0, node_memory=16.0)
    # The first zone has two of the fixed nodes.
    apart = ((8.5, 1.0), (4.5, 1.0), (2.0, 17.0))
    even = ((8.0, 1.0), (4.0, 1.0), (3.0, 16.0))
    measures = Measures(requested=[apart, even])
    rules = replace(CLUSTER_AUTOSCALER, idle_seconds=0.0)
    assert fewest_nodes_by_zone(measures, small, rules) == [3, 0]
    assert fewest_nodes(measures, small, rules) == [0, 0]
