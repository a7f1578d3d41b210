"""The simulator as a whole: what its contenders promise must hold in a day of its own making."""

import pytest

from spillway.simulate.autoscaler import (
    CLUSTER_AUTOSCALER,
    CLUSTER_AUTOSCALER_DRAINS,
    KARPENTER_WHEN_EMPTY,
    AutoscalerRules,
)
from spillway.simulate.contenders import Contender, Flat, Plain, Spillway
from spillway.simulate.measure import Measures
from spillway.simulate.replay import replay
from spillway.simulate.scenario import STEPS_A_DAY, Scenario, two_peak_days

pytestmark = pytest.mark.xdist_group("simulate")


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return two_peak_days(7, days=1, workloads=12)


@pytest.fixture(scope="module")
def measures(scenario: Scenario) -> dict[str, Measures]:
    contenders: dict[str, Contender] = {"plain": Plain(), "flat": Flat(), "spillway": Spillway()}
    return {name: replay(scenario, contender, CLUSTER_AUTOSCALER) for name, contender in contenders.items()}


def test_a_scenario_follows_from_its_seed_and_has_two_peaks() -> None:
    one, same, other = two_peak_days(1, days=1), two_peak_days(1, days=1), two_peak_days(2, days=1)
    assert (one.demand == same.demand).all()
    assert one.workloads == same.workloads
    assert (one.demand != other.demand).any()
    total = one.demand.sum(axis=0)
    night, noon, dip, evening = (total[int(STEPS_A_DAY * hour / 24)] for hour in (4, 11, 15.5, 20))
    assert night < dip < noon
    assert dip < evening


def test_the_same_scenario_gives_the_same_result(scenario: Scenario, measures: dict[str, Measures]) -> None:
    assert replay(scenario, Spillway(), CLUSTER_AUTOSCALER).summary() == measures["spillway"].summary()


def test_spillway_deletes_what_it_plans_and_virtual_first(measures: dict[str, Measures]) -> None:
    figures = measures["spillway"].summary()
    assert figures["victims"] > 100
    assert figures["planned_victims_deleted"] == figures["victims"]
    assert figures["virtual_first_violations"] == 0
    assert figures["zone_skew_avoidable_max"] == 0
    assert figures["evictions"] == 0


def test_spillway_writes_little_and_nothing_while_idle(measures: dict[str, Measures]) -> None:
    figures = measures["spillway"].summary()
    assert figures["extra_api_writes_per_deleted_pod"] <= 1
    assert figures["idle_writes_per_minute"] == 0


def test_plain_kubernetes_writes_nothing_and_misses_the_plan(measures: dict[str, Measures]) -> None:
    figures = measures["plain"].summary()
    assert figures["extra_api_writes_per_deleted_pod"] == 0
    assert figures["planned_victims_deleted"] < figures["victims"]


def test_spillway_needs_fewer_elastic_nodes_than_plain_kubernetes(measures: dict[str, Measures]) -> None:
    assert measures["spillway"].elastic_node_steps < measures["plain"].elastic_node_steps


def test_every_replay_serves_the_same_load(measures: dict[str, Measures]) -> None:
    victims = [m.victims for m in measures.values()]
    assert max(victims) - min(victims) <= 0.05 * max(victims)


@pytest.mark.parametrize(
    ("rules", "evicts"), [(CLUSTER_AUTOSCALER_DRAINS, True), (KARPENTER_WHEN_EMPTY, False)], ids=["drain", "when empty"]
)
def test_only_a_draining_autoscaler_evicts(scenario: Scenario, rules: AutoscalerRules, *, evicts: bool) -> None:
    measured = replay(scenario, Plain(), rules)
    assert (measured.evictions > 0) == evicts
