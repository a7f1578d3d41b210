"""The joint allocation on nodes as they are."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.threshold.allocation import allocate
from spillway.domain.threshold.demand import Demand
from spillway.domain.threshold.node_groups import NodeGroup
from spillway.domain.threshold.packing import Nodes, Packing, Requests
from spillway.domain.threshold.placeable import Placeable, allocate_placeable, capped, on_one_node
from tests.unit.domain.threshold.threshold_cases import demand, some_demands

TEN = Nodes((NodeGroup(count=10, cores=10.0),))


def placeable(demands: list[Demand], nodes: Nodes | None = TEN, cores: float = 100.0) -> Placeable:
    """Replicas request as many cores as they use."""
    requests = {one.workload: Requests(one.cpu_cores) for one in demands}
    return allocate_placeable(demands, requests, nodes, capacity_cores=cores, target_utilization=1.0)


def test_pods_larger_than_half_a_node_take_a_node_each() -> None:
    big = demand("big", [19], 5.2)

    assert placeable([big], None).allocation.thresholds[big.workload] == 19
    assert placeable([big]).allocation.thresholds[big.workload] == 10


def test_pods_larger_than_any_node_are_not_planned() -> None:
    assert set(placeable([demand("huge", [4], 12.0)]).allocation.thresholds.values()) == {0}


def test_room_that_large_pods_cannot_use_goes_to_others() -> None:
    first, second, small = demand("a", [10], 6.0), demand("b", [6], 6.0), demand("small", [200], 0.5)

    found = placeable([first, second, small]).allocation.thresholds

    assert found[first.workload] + found[second.workload] == 10
    assert found[small.workload] == 80, "the four cores that are left of each node"


def test_minima_that_find_no_node_hold_and_are_counted() -> None:
    found = placeable([demand("huge", [4], 12.0, minimum=3)])

    assert set(found.allocation.thresholds.values()) == {3}
    assert found.unplaced_cores == 36.0
    assert found.unplaced == tuple(found.allocation.thresholds)


def test_pods_that_no_node_can_hold_take_no_room_from_others() -> None:
    huge, cart = demand("huge", [50], 12.0, minimum=50), demand("cart", [90], 1.0)

    found = placeable([huge, cart])

    assert dict(found.allocation.thresholds) == {huge.workload: 50, cart.workload: 90}
    assert found.unplaced == (huge.workload,)


@settings(max_examples=60)
@given(some_demands(most=5, highest=8), st.integers(1, 6), st.sampled_from([1.0, 4.5, 8.0]))
def test_every_plan_fits_the_sum_and_the_nodes(demands: list[Demand], count: int, cores: float) -> None:
    demands = [replace(one, minimum=0) for one in demands]
    nodes = Nodes((NodeGroup(count=count, cores=cores),))
    found = placeable(demands, nodes, count * cores).allocation

    load = np.sum([one.owned_load(found.thresholds[one.workload]) for one in demands], axis=0)
    assert float(load.max()) <= count * cores + 1e-6
    packing = Packing(demands, {one.workload: Requests(one.cpu_cores) for one in demands}, nodes)
    assert dict(packing.lowered(found.thresholds).thresholds) == dict(found.thresholds)


@settings(max_examples=30)
@given(some_demands(most=5, highest=8), st.floats(1.0, 40.0))
def test_one_node_as_large_as_the_sum_changes_little(demands: list[Demand], cores: float) -> None:
    plain = allocate(demands, capacity_cores=cores, target_utilization=1.0)
    found = placeable(demands, Nodes((NodeGroup(count=1, cores=cores),)), cores)

    if plain.excess_cores == 0:
        assert dict(found.allocation.thresholds) == dict(plain.thresholds)


def test_a_bound_is_never_below_the_minimum() -> None:
    assert capped(demand("a", [9], minimum=4), 2).maximum == 4
    assert capped(demand("a", [9], maximum=3), 5).maximum == 3
    assert capped(demand("a", [9]), None).maximum is None


@pytest.mark.parametrize(
    ("request_cores", "cores", "most"),
    [(6.0, 10.0, 9), (4.0, 5.0, 9), (0.5, 0.5, 9), (12.0, 12.0, 0)],
)
def test_a_replica_takes_its_part_of_a_node_with_as_many_as_fit(request_cores: float, cores: float, most: int) -> None:
    one = on_one_node(demand("a", [9], request_cores), Requests(request_cores), NodeGroup(count=1, cores=10.0), 1.0)

    assert (one.cpu_cores, one.most) == (cores, most)
