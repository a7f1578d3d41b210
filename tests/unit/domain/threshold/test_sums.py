"""The totals of a policy's plan, and the saving of one workload."""

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.threshold.billing import Billing
from spillway.domain.threshold.nodes_worth_owning import NodeSize
from spillway.domain.threshold.prices import Prices
from spillway.domain.threshold.request import PolicyNeed
from spillway.domain.threshold.sums import Saved, Share, owned_load, policy_sums, saving_of
from tests.unit.domain.threshold.threshold_cases import demand

PRICES: Final = Prices(
    owned_node_core=1.0, elastic_core=None, virtual_core=2.0, billing=Billing(3600), elastic_billing=Billing(3600)
)
POLICY: Final = PolicyNeed(name="online", target=1.0, currency="CNY")
CART: Final = Share(demand("cart", [1, 1, 1, 4]), PRICES, owned=1, physical=1, planned=True, learning=False)


def test_nothing_planned_is_nothing_in_use() -> None:
    assert owned_load([]).tolist() == [0.0]
    assert policy_sums(POLICY, [], there=8.0, node=NodeSize(4.0)).auto == 0


def test_owned_loads_add_up_step_by_step() -> None:
    other = replace(CART, demand=demand("pay", [0, 2, 2, 2], 0.5), owned=2)
    assert owned_load([CART, other]).tolist() == [1.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        # One core is owned, three are rented for a quarter of the time: 1 + 3 x 2 / 4 = 2.5.
        pytest.param(CART, Saved(4.0 - 2.5, 0.0), id="the valley is owned"),
        pytest.param(replace(CART, owned=4, physical=4), Saved(0.0, 2.5 - 4.0), id="the peak is owned"),
        # One core is owned, three are elastic for a quarter of the time: 1 + 3 x 0.4 / 4 = 1.3.
        pytest.param(
            replace(CART, physical=4, prices=replace(PRICES, elastic_core=0.4)),
            Saved(4.0 - 1.3, 2.5 - 1.3),
            id="elastic nodes take the wave",
        ),
        pytest.param(replace(CART, prices=replace(PRICES, virtual_core=None)), Saved(), id="no price of virtual nodes"),
        pytest.param(replace(CART, prices=replace(PRICES, owned_node_core=None)), Saved(), id="no price of owned ones"),
    ],
)
def test_the_saving_of_one_workload(share: Share, expected: Saved) -> None:
    found = saving_of(share, target=1.0)
    assert found == pytest.approx(expected) if expected.against_owned is not None else found == expected


def test_the_totals_of_a_policy() -> None:
    learning = replace(CART, demand=demand("new", [1, 1, 1, 1]), planned=False, learning=True)
    manual = replace(CART, demand=demand("old", [1, 1, 1, 1]), planned=False)
    sums = policy_sums(POLICY, [CART, learning, manual], there=3.0, node=NodeSize(1.0))
    assert (sums.name, sums.auto, sums.learning, sums.currency) == ("online", 2, 1, "CNY")
    # Six cores for the peak; 3 are owned and 3 rented for a quarter of the time: 3 + 1.5.
    assert sums.saved_vs_owned == pytest.approx(6.0 - 4.5)
    assert sums.saved_vs_virtual == pytest.approx(0.0)
    assert sums.owned_nodes_advised == 3
    assert min(sums.nodes, key=lambda one: one.cost_per_hour).nodes == 3


@pytest.mark.parametrize("prices", [replace(PRICES, virtual_core=None), replace(PRICES, owned_node_core=0.0)])
def test_without_prices_there_is_no_amount(prices: Prices) -> None:
    sums = policy_sums(POLICY, [replace(CART, prices=prices)], there=3.0, node=NodeSize(1.0))
    assert sums.auto == 1
    assert (sums.saved_vs_owned, sums.saved_vs_virtual, sums.owned_nodes_advised) == (None, None, None)


@given(st.floats(0.5, 20.0), st.floats(0.5, 20.0))
def test_more_owned_cores_than_are_needed_only_cost(there: float, more: float) -> None:
    few = policy_sums(POLICY, [CART], there=there, node=NodeSize(1.0))
    many = policy_sums(POLICY, [CART], there=there + more, node=NodeSize(1.0))
    assert few.saved_vs_owned is not None
    assert many.saved_vs_owned is not None
    assert many.saved_vs_owned <= few.saved_vs_owned + 1e-9


def test_what_cannot_be_priced_has_its_minimum_on_the_advised_nodes() -> None:
    unpriced = replace(
        CART, demand=demand("old", [2, 2, 2, 2], minimum=2), prices=replace(PRICES, owned_node_core=None)
    )

    assert policy_sums(POLICY, [CART], there=1.0, node=NodeSize(1.0)).nodes[0].nodes == 0
    assert policy_sums(POLICY, [CART, unpriced], there=1.0, node=NodeSize(1.0)).nodes[0].nodes == 2


def test_without_a_node_there_are_amounts_and_no_advice() -> None:
    sums = policy_sums(POLICY, [CART], there=1.0, node=None)
    assert sums.saved_vs_owned is not None
    assert (sums.owned_nodes_advised, sums.nodes) == (None, ())
