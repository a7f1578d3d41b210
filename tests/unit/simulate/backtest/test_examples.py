"""The examples of the backtest: the known arithmetic comes out exactly, and every contender is measured."""

import pytest

from spillway.simulate.backtest.bounds import CLAIRVOYANT, OWNED
from spillway.simulate.backtest.examples import EXAMPLES
from spillway.simulate.backtest.run import FLAT, PLAIN, SPILLWAY, Result, run

pytestmark = pytest.mark.xdist_group("backtest-examples")


@pytest.fixture(scope="module")
def evening() -> Result:
    return run(EXAMPLES["evening-peak"]())


def test_seventy_percent_owned_and_the_rest_virtual_for_four_hours_costs_18_6_instead_of_24(evening: Result) -> None:
    assert evening.of(OWNED).figures.cost == pytest.approx(24.0, abs=1e-9)
    assert evening.of(SPILLWAY).figures.cost == pytest.approx(18.6, abs=1e-9)
    assert evening.saved_percent(OWNED) == pytest.approx(22.5, abs=1e-9)
    spillway = evening.of(SPILLWAY).figures
    assert spillway.owned_cost == pytest.approx(24 * 0.7, abs=1e-9)
    assert spillway.virtual_cost == pytest.approx(1.5 * 4 * 0.3, abs=1e-9)


def test_the_threshold_is_what_the_owned_nodes_hold(evening: Result) -> None:
    assert [one.replicas for one in evening.thresholds] == [(None,), (70,)]


def test_knowing_the_schedule_is_as_good_as_knowing_the_future(evening: Result) -> None:
    assert evening.of(CLAIRVOYANT).figures.cost == pytest.approx(evening.of(SPILLWAY).figures.cost, abs=1e-9)
    assert evening.of(SPILLWAY).figures.unmet_percent == 0


def test_without_a_deletion_order_virtual_pods_outlive_the_peak(evening: Result) -> None:
    hours = {name: evening.of(name).figures.virtual_core_hours for name in (PLAIN, FLAT, SPILLWAY)}
    assert hours[SPILLWAY] == pytest.approx(120.0)
    assert hours[SPILLWAY] < hours[FLAT] < hours[PLAIN]
