"""Large pods find a node in the plan, and not only room in the sum."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.threshold.demand import Demand
from spillway.domain.threshold.node_groups import NodeGroup
from spillway.domain.threshold.packing import Nodes, Packing, Requests, fitting
from tests.unit.domain.threshold.threshold_cases import demand

TEN: tuple[NodeGroup, ...] = (NodeGroup(count=10, cores=10.0, gib=20.0),)


def lowered(
    sizes: dict[str, Requests], thresholds: dict[str, int], rooms: Sequence[NodeGroup] = TEN, **minimum: int
) -> dict[str, int]:
    """Workloads that need their threshold at every step."""
    demands = [demand(name, [count], minimum=minimum.get(name, 0)) for name, count in thresholds.items()]
    packing = Packing(demands, {f"Deployment/shop/{name}": size for name, size in sizes.items()}, Nodes(tuple(rooms)))
    found = packing.lowered({f"Deployment/shop/{name}": count for name, count in thresholds.items()})
    return {name.rpartition("/")[2]: count for name, count in found.thresholds.items()}


@pytest.mark.parametrize(
    ("requests", "room", "expected"),
    [
        (Requests(6.0), NodeGroup(count=1, cores=10.0), 1),
        (Requests(0.1), NodeGroup(count=1, cores=0.3), 3),
        (Requests(11.0), NodeGroup(count=1, cores=10.0), 0),
        (Requests(1.0, 9.0), NodeGroup(count=1, cores=10.0, gib=20.0), 2),
        (Requests(0.0), NodeGroup(count=1, cores=10.0), math.inf),
    ],
)
def test_how_many_fit_on_a_node(requests: Requests, room: NodeGroup, expected: float) -> None:
    assert fitting(requests, room) == expected


@pytest.mark.parametrize(
    ("sizes", "thresholds", "expected"),
    [
        pytest.param({"a": Requests(6.0)}, {"a": 19}, {"a": 10}, id="larger than half a node"),
        pytest.param({"a": Requests(11.0)}, {"a": 9}, {"a": 0}, id="larger than any node"),
        pytest.param({"a": Requests(1.0, 11.0)}, {"a": 19}, {"a": 10}, id="larger than half the memory"),
        pytest.param({"a": Requests(6.0), "b": Requests(6.0)}, {"a": 7, "b": 7}, {"a": 7, "b": 3}, id="two share"),
        pytest.param({"a": Requests(6.0), "b": Requests(4.0)}, {"a": 10, "b": 10}, {"a": 10, "b": 10}, id="they match"),
        pytest.param({"a": Requests(6.0), "b": Requests(4.0)}, {"a": 10, "b": 11}, {"a": 10, "b": 10}, id="one more"),
        pytest.param({"a": Requests(0.5)}, {"a": 999}, {"a": 999}, id="small pods are the sum's concern"),
        pytest.param({"a": Requests(0.0)}, {"a": 999}, {"a": 999}, id="no requests"),
    ],
)
def test_a_threshold_is_as_high_as_its_replicas_find_nodes(
    sizes: dict[str, Requests], thresholds: dict[str, int], expected: dict[str, int]
) -> None:
    assert lowered(sizes, thresholds) == expected


def test_small_pods_on_nodes_that_are_nearly_full_are_placed_too() -> None:
    rooms = (NodeGroup(count=1, cores=8.0), NodeGroup(count=40, cores=0.4))

    assert lowered({"a": Requests(0.5)}, {"a": 40}, rooms) == {"a": 16}


def test_minima_come_first_and_hold_even_where_they_find_no_node() -> None:
    sizes = {"a": Requests(6.0), "b": Requests(6.0)}

    assert lowered(sizes, {"a": 10, "b": 4}, b=4) == {"a": 6, "b": 4}
    assert lowered(sizes, {"a": 10, "b": 12}, b=12) == {"a": 0, "b": 12}
    packing = Packing([demand("b", [12], minimum=12)], {"Deployment/shop/b": Requests(6.0)}, Nodes(TEN))
    assert packing.lowered({"Deployment/shop/b": 12}).unplaced_cores == 2.0


def test_those_that_peak_at_different_times_use_the_same_nodes() -> None:
    day, night = demand("day", [10, 0]), demand("night", [0, 10])
    packing = Packing([day, night], {one.workload: Requests(6.0) for one in (day, night)}, Nodes(TEN))
    wanted = {one.workload: 10 for one in (day, night)}

    assert packing.lowered(wanted).thresholds == wanted


def test_a_replica_beyond_the_cycle_takes_its_place_at_every_step() -> None:
    grown, night = demand("grown", [2, 0]), demand("night", [0, 10])
    packing = Packing([grown, night], {one.workload: Requests(6.0) for one in (grown, night)}, Nodes(TEN))

    found = packing.lowered({grown.workload: 6, night.workload: 10}).thresholds

    assert sum(found.values()) == 10 + 2


@st.composite
def packings(draw: st.DrawFn) -> tuple[list[Demand], dict[str, Requests], Nodes, dict[str, int]]:
    rooms = draw(
        st.lists(
            st.builds(
                NodeGroup,
                count=st.integers(1, 4),
                cores=st.sampled_from([1.5, 4.0, 8.0]),
                gib=st.sampled_from([4.0, 16.0]),
            ),
            min_size=1,
            max_size=3,
        )
    )
    demands, requests, thresholds = [], {}, {}
    for index in range(draw(st.integers(1, 5))):
        replicas = draw(st.lists(st.integers(0, 9), min_size=4, max_size=4))
        one = demand(f"w{index}", replicas, minimum=draw(st.integers(0, 2)), priority=draw(st.integers(0, 1)))
        demands.append(one)
        size = Requests(draw(st.sampled_from([1.0, 2.5, 5.0, 9.0])), draw(st.sampled_from([0.0, 1.0, 6.0])))
        requests[one.workload] = size
        thresholds[one.workload] = one.minimum + draw(st.integers(0, 9))
    return demands, requests, Nodes(tuple(rooms)), thresholds


@given(packings())
def test_thresholds_are_only_lowered_and_never_below_the_minimum(
    case: tuple[list[Demand], dict[str, Requests], Nodes, dict[str, int]],
) -> None:
    demands, requests, nodes, thresholds = case

    found = Packing(demands, requests, nodes).lowered(thresholds).thresholds

    assert all(one.minimum <= found[one.workload] <= thresholds[one.workload] for one in demands)


@settings(max_examples=150)
@given(packings())
def test_what_is_left_fits_onto_the_nodes_at_every_step_by_a_placement_pod_by_pod(
    case: tuple[list[Demand], dict[str, Requests], Nodes, dict[str, int]],
) -> None:
    demands, requests, nodes, thresholds = case
    demands = [replace(one, minimum=0) for one in demands]
    thresholds = {one.workload: min(thresholds[one.workload], one.peak) for one in demands}
    packing = Packing(demands, requests, nodes)
    found = packing.lowered(thresholds).thresholds
    large = [one for one in demands if nodes.is_large(requests[one.workload])]

    for step in range(4):
        free = sorted((room.cores, room.gib) for room in nodes.rooms for _ in range(room.count))
        order = sorted(
            large,
            key=lambda one: (
                -one.priority,
                max(fitting(requests[one.workload], room) for room in nodes.rooms),
                -float(one.whole_replicas().mean()) * one.cpu_cores,
                one.workload,
            ),
        )
        for one in order:
            size = requests[one.workload]
            for _ in range(int(min(one.replicas[step], found[one.workload]))):
                at = next((i for i, left in enumerate(free) if left[0] >= size.cores and left[1] >= size.gib), None)
                assert at is not None, (one.workload, step)
                free[at] = (free[at][0] - size.cores, free[at][1] - size.gib)


def test_many_large_workloads_on_many_nodes_are_placed_by_stretches_of_the_day() -> None:
    random = np.random.default_rng(1)
    demands = [demand(f"w{index:04}", random.integers(0, 20, 288).tolist()) for index in range(400)]
    requests = {one.workload: Requests(9.0) for one in demands}
    thresholds = {one.workload: one.peak for one in demands}

    found = Packing(demands, requests, Nodes((NodeGroup(count=3000, cores=16.0),))).lowered(thresholds).thresholds

    load = np.sum([np.minimum(one.replicas, found[one.workload]) for one in demands], axis=0)
    assert 0 < load.max() <= 3000
