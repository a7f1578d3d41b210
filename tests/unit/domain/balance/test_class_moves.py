"""Which pods would be moved to spread a load class over nodes, and that every plan is safe."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.balance.class_moves import Shares, class_points, crowded_nodes, plan_class_moves
from spillway.domain.balance.classes import LoadClass
from spillway.domain.balance.load import Weights
from spillway.domain.balance.move_board import LEAST_GAIN, MOST_PER_NODE, LoadedNode, MovablePod
from spillway.domain.balance.moves import MovePlan, Reason
from spillway.domain.model.names import NodeName
from spillway.domain.model.usage import Usage
from tests.support.moves import clusters, limits, node, pod

CPU, MEMORY = LoadClass.CPU, LoadClass.MEMORY
FULL, EMPTY = node("full", 50.0), node("empty", 50.0)


def shares(load_class: LoadClass = CPU, **percent: float) -> Shares:
    return {load_class: {NodeName(name): value for name, value in percent.items()}}


def plan(
    nodes: list[LoadedNode], pods: list[MovablePod], of: Shares, load_class: LoadClass = CPU, **changes: Any
) -> MovePlan:
    bounds = {"weights": Weights(50, 50), **changes}
    return plan_class_moves(nodes, [(load_class, one) for one in pods], of, limits(**bounds))


def test_a_pod_goes_from_the_node_that_is_full_of_its_class_to_the_one_with_the_least_of_it() -> None:
    some = node("some", 50.0)
    found = plan([FULL, some, EMPTY], [pod("p", "full", 10.0), pod("q", "full", 5.0)], shares(full=80.0, some=65.0))
    assert [move.text for move in found.moves] == [
        "shop/p: full (cpu-bound 80 % to 70 %) to empty",
        "shop/q: full (cpu-bound 70 % to 65 %) to empty",
    ]
    assert (found.reason, found.before, found.after) == (Reason.CLASSES, 60.0, 30.0)
    assert found.moves[0].target_percent == (0.0, 10.0)


def test_memory_counts_for_the_class_that_is_bound_by_it() -> None:
    one = pod("p", "full", 0.0, used_bytes=(1 << 35) * 0.15)
    found = plan([FULL, EMPTY], [one], shares(MEMORY, full=60.0), MEMORY)
    assert [move.text for move in found.moves] == ["shop/p: full (memory-bound 60 % to 45 %) to empty"]
    assert class_points(MEMORY, FULL, 0.0, 1 << 34) == 50.0
    assert class_points(CPU, node("none", 0.0, allocatable=Usage()), 100.0, 0.0) == 0.0


@pytest.mark.parametrize(
    ("nodes", "of", "points"),
    [
        pytest.param([FULL, EMPTY], shares(full=20.0), 10.0, id="spread enough"),
        pytest.param([FULL, node("empty", 50.0, "b")], shares(full=80.0), 10.0, id="another zone"),
        pytest.param([FULL, node("empty", 50.0, accepts=False)], shares(full=80.0), 10.0, id="closed"),
        pytest.param([FULL, EMPTY], shares(full=80.0), LEAST_GAIN - 0.1, id="no gain that shows"),
        pytest.param([FULL, EMPTY], shares(full=40.0), 39.0, id="it would be crowded there"),
        pytest.param([FULL, EMPTY], shares(full=80.0, empty=70.0), 10.0, id="as crowded there"),
        pytest.param(
            [FULL, node("empty", 50.0, free=Usage(50, 1400, 1 << 33))], shares(full=80.0), 10.0, id="reserved then"
        ),
        pytest.param([node("full", 30.0), node("empty", 70.0)], shares(full=80.0), 10.0, id="the load would be uneven"),
        pytest.param([], {}, 10.0, id="nothing"),
    ],
)
def test_no_move(nodes: list[LoadedNode], of: Shares, points: float) -> None:
    assert plan(nodes, [pod("p", "full", points)] if nodes else [], of).moves == ()


def test_a_class_is_crowded_by_zone_and_on_the_nodes_beyond_what_is_accepted() -> None:
    nodes = [FULL, EMPTY, node("far", 50.0, "b"), node("away", 50.0, "b")]
    of = {CPU: {NodeName("full"): 30.0, NodeName("far"): 15.0}, MEMORY: {NodeName("away"): 21.0}}
    assert crowded_nodes(nodes, of, 20.0) == {(CPU, "full"), (MEMORY, "away")}


def test_a_plan_is_bounded_over_all_classes() -> None:
    pods = [pod(f"p{index}", "full", 5.0) for index in range(9)]
    assert len(plan([FULL, EMPTY], pods, shares(full=80.0)).moves) == MOST_PER_NODE
    assert len(plan([FULL, EMPTY], pods, shares(full=80.0), most=1).moves) == 1
    same = [pod(f"p{index}", "full", 5.0, "Deployment/shop/web") for index in range(9)]
    assert len(plan([FULL, EMPTY], same, shares(full=80.0)).moves) == 1


def gaps(nodes: list[LoadedNode], of: Mapping[tuple[LoadClass, str], float]) -> dict[tuple[LoadClass, str], float]:
    """By class and zone, the largest share minus the smallest on a node that accepts pods."""
    found: dict[tuple[LoadClass, str], float] = {}
    for load_class in LoadClass:
        for zone in {one.zone for one in nodes}:
            here = [one for one in nodes if one.zone == zone]
            lowest = [of.get((load_class, one.name), 0.0) for one in here if one.accepts]
            if lowest:
                found[load_class, zone] = max(of.get((load_class, one.name), 0.0) for one in here) - min(lowest)
    return found


@given(clusters(), st.lists(st.sampled_from(LoadClass), min_size=12, max_size=12), st.integers(0, 8), st.data())
def test_every_plan_is_bounded_and_spreads_classes_no_worse(
    cluster: tuple[list[LoadedNode], list[MovablePod]], drawn: list[LoadClass], most: int, data: st.DataObject
) -> None:
    nodes, pods = cluster
    by_name = {one.name: one for one in nodes}
    class_of = {one.uid: drawn[index] for index, one in enumerate(pods)}
    of: dict[tuple[LoadClass, str], float] = {
        (one, name): data.draw(st.floats(0, 40)) for one in LoadClass for name in by_name
    }
    for one in pods:
        of[class_of[one.uid], one.node] += class_points(class_of[one.uid], by_name[one.node], one.used_millis, 0)
    given_shares = {one: {name: of[one, name] for name in by_name} for one in LoadClass}
    classed = [(class_of[one.uid], one) for one in pods]
    found = plan_class_moves(nodes, classed, given_shares, limits(most=most))
    assert len(found.moves) <= most
    assert found.after <= found.before + 1e-9
    assert max(Counter(move.workload for move in found.moves).values(), default=0) <= 1
    for side in ("source", "target"):
        assert max(Counter(getattr(move, side) for move in found.moves).values(), default=0) <= MOST_PER_NODE
    before = gaps(nodes, of)
    for move in found.moves:
        load_class = class_of[move.pod]
        assert (load_class, move.source) in crowded_nodes(nodes, given_shares, 20.0)
        assert by_name[move.source].zone == by_name[move.target].zone
        assert by_name[move.target].accepts
        assert max(move.source_percent[1], move.target_percent[1]) <= move.source_percent[0] - LEAST_GAIN + 1e-9
        of[load_class, move.source], of[load_class, move.target] = move.source_percent[1], move.target_percent[1]
    assert all(gap <= before[key] + 1e-9 for key, gap in gaps(nodes, of).items())
    assert plan_class_moves(list(reversed(nodes)), list(reversed(classed)), given_shares, limits(most=most)) == found
