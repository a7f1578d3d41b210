"""The cost of a day: one price table for all contenders."""

import pytest

from demo.costs import FIXED_NODE_HOUR, PRICES, VIRTUAL_POD_HOUR, cost, saving, saving_share
from demo.manifests import FIXED_NODES, spillway_resources


def test_a_virtual_pod_costs_what_the_budget_of_the_demo_says() -> None:
    [price] = [one["spec"]["price"] for one in spillway_resources() if one["kind"] == "VirtualNodeBudget"]

    assert pytest.approx(0.95 * float(price["cpuHour"]) + float(price["memoryGiBHour"]) / 4) == VIRTUAL_POD_HOUR


def test_fixed_nodes_are_paid_for_all_day_and_the_rest_by_its_hours() -> None:
    found = cost(hours=24, elastic_node_hours=200, virtual_pod_hours=100)

    assert found == {"fixed": 51.84, "elastic": 80.0, "virtual": 4.9, "total": 136.74}
    assert found["fixed"] == pytest.approx(FIXED_NODES * 24 * FIXED_NODE_HOUR)
    assert {price.key for price in PRICES} == set(found) - {"total"}


@pytest.mark.parametrize(
    ("plain", "own", "saved", "share"),
    [
        pytest.param(100.0, 90.0, 10.0, 0.1, id="cheaper"),
        pytest.param(100.0, 104.5, -4.5, -0.045, id="more expensive"),
        pytest.param(100.0, 100.0, 0.0, 0.0, id="the same"),
    ],
)
def test_a_saving_is_what_plain_kubernetes_cost_more(plain: float, own: float, saved: float, share: float) -> None:
    figures = {"plain": {"cost": {"total": plain}}, "spillway": {"cost": {"total": own}}}

    assert saving(figures, "spillway") == saved
    assert saving_share(figures, "spillway") == share
    assert saving(figures, "plain") is None
    assert saving({"spillway": figures["spillway"]}, "spillway") is None
