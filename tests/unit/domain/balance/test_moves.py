"""Which pods would be moved to make nodes even, by tables and by properties that hold for every cluster."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from spillway.domain.balance.move_board import LEAST_GAIN, MOST_PER_NODE, LoadedNode, MovablePod
from spillway.domain.balance.moves import MovePlan, plan_moves
from spillway.domain.model.names import NodeName, Zone
from spillway.domain.model.records import Taint
from spillway.domain.model.usage import Usage
from tests.support.moves import FREE, clusters, limits, node, pod

TAINT = Taint("dedicated", "NoSchedule", "gpu")


def plan(nodes: list[LoadedNode], pods: list[MovablePod], **changes: Any) -> MovePlan:
    return plan_moves(nodes, pods, limits(**changes))


def targets(found: MovePlan) -> list[tuple[str, str]]:
    return [(move.pod, move.target) for move in found.moves]


def full(**left: int) -> LoadedNode:
    """A node on which so little is left of one amount."""
    return node("cold", 30.0, free=structs.replace(FREE, **left))


HOT, WARM, COLD = node("hot", 90.0), node("warm", 50.0), node("cold", 30.0)


def test_the_pod_with_the_greatest_gain_goes_to_the_least_loaded_node() -> None:
    found = plan([HOT, WARM, COLD], [pod("small", "hot", 5.0), pod("large", "hot", 25.0), pod("other", "warm", 20.0)])
    assert targets(found)[0] == ("large", "cold")
    assert (found.before, found.moves[0].source_percent, found.moves[0].target_percent) == (60, (90, 65), (30, 55))
    assert found.moves[0].text == "shop/large: hot (90 % to 65 %) to cold"


def test_a_pod_goes_only_where_its_constraints_allow_it() -> None:
    found = plan([HOT, WARM, COLD], [pod("p", "hot", 20.0)], admits=lambda _, name: name == "warm")
    assert targets(found) == [("p", "warm")]


def test_what_is_taken_beside_cpu_and_memory_is_promised_once() -> None:
    storage = {"ephemeral-storage": 60}
    pods = [pod(name, "hot", 20.0, extended=storage) for name in ("p", "q")]
    for free, moved in ((59, []), (60, ["p"]), (120, ["p", "q"])):
        cold = node("cold", 10.0, extended={"ephemeral-storage": free})
        assert [move.pod for move in plan([node("hot", 99.0), cold], pods).moves] == moved


@pytest.mark.parametrize(
    ("nodes", "pods"),
    [
        pytest.param([node("hot", 50.0), COLD], [pod("p", "hot", 10.0)], id="even enough"),
        pytest.param([HOT, COLD], [pod("p", "hot", 61.0)], id="it would be as uneven the other way round"),
        pytest.param([HOT, COLD], [pod("p", "hot", LEAST_GAIN - 0.1)], id="no gain that shows"),
        pytest.param([HOT, full(cpu_millis=499)], [pod("p", "hot", 20.0)], id="no CPU to request"),
        pytest.param([HOT, full(memory_bytes=0)], [pod("p", "hot", 20.0)], id="no memory to request"),
        pytest.param([HOT, full(pods=0)], [pod("p", "hot", 20.0)], id="no room for a pod"),
        pytest.param([HOT, node("cold", 30.0, accepts=False)], [pod("p", "hot", 20.0)], id="closed"),
        pytest.param([HOT, node("cold", 30.0, taints=frozenset({TAINT}))], [pod("p", "hot", 20.0)], id="tainted"),
        pytest.param(
            [HOT, node("cold", 30.0, "b")],
            [pod("p", "hot", 20.0, zones={Zone("a"): 1, Zone("b"): 2})],
            id="zones would be less even",
        ),
        pytest.param([], [], id="nothing"),
    ],
)
def test_no_move(nodes: list[LoadedNode], pods: list[MovablePod]) -> None:
    assert plan(nodes, pods).moves == ()


@pytest.mark.parametrize(
    "zones",
    [{Zone("a"): 2, Zone("b"): 1}, {Zone("a"): 5, Zone("b"): 1}, {Zone("a"): 1}],
    ids=["stay within the skew", "become more even", "the only replica"],
)
def test_a_move_to_another_zone(zones: dict[Zone, int]) -> None:
    found = plan([HOT, node("cold", 30.0, "b")], [pod("p", "hot", 20.0, zones=zones)])
    assert targets(found) == [("p", "cold")]


def test_a_taint_that_the_pod_tolerates_where_it_is_does_not_keep_it_away() -> None:
    nodes = [node("hot", 90.0, taints=frozenset({TAINT})), node("cold", 30.0, taints=frozenset({TAINT}))]
    assert targets(plan(nodes, [pod("p", "hot", 20.0)])) == [("p", "cold")]


def test_pods_that_fit_nowhere_are_not_tried_for_each_move() -> None:
    """A tenant's large or pinned pods on the busiest nodes: what they cost does not grow with moves times pods."""
    asked: list[str] = []

    def admits(pod: MovablePod, _: NodeName) -> bool:
        asked.append(pod.workload)
        return not pod.workload.endswith("pinned")

    busiest = [node(f"busiest-{index}", 95 - index / 10) for index in range(10)]
    busy = [node(f"busy-{index}", 80) for index in range(10)]
    idle = [node(f"idle-{index}", 10) for index in range(20)]
    pods = [
        pod(f"{kind}-{index}-{one.name}", one.name, 5, workload, requests=requests)
        for one in busiest
        for index in range(10)
        for kind, workload, requests in (
            ("pinned", "Deployment/shop/pinned", Usage(1, 100, 1 << 30)),
            ("large", f"Deployment/shop/large-{one.name}-{index}", Usage(1, 9000, 1 << 30)),
        )
    ]
    pods += [pod(f"small-{one.name}", one.name, 5) for one in busy]
    plan = plan_moves([*busiest, *busy, *idle], pods, limits(admits=admits))
    assert len(plan.moves) == 10
    assert all(move.source.startswith("busy-") for move in plan.moves)
    assert not any("large" in workload for workload in asked)
    assert asked.count("Deployment/shop/pinned") <= len(busy) + len(idle) + len(busiest)


def test_a_workload_and_a_node_move_a_bounded_number_of_pods() -> None:
    pods = [pod(f"web-{index}", "hot", 5.0, "Deployment/shop/web") for index in range(3)]
    assert len(plan([HOT, COLD], pods).moves) == 1
    others = [pod(f"p{index}", "hot", 5.0) for index in range(9)]
    assert len(plan([HOT, COLD], others).moves) == MOST_PER_NODE
    assert len(plan([HOT, COLD], others, most=1).moves) == 1


@pytest.mark.parametrize(("gone", "come", "moves"), [(0, 0, 2), (1, 0, 1), (2, 0, 0), (0, 1, 1), (0, 2, 0)])
def test_the_moves_of_other_resources_count_in_the_bound_for_each_node(gone: int, come: int, moves: int) -> None:
    hot, cold = replace(HOT, others_gone=gone), replace(COLD, others_come=come)
    assert len(plan([hot, cold], [pod(f"p{index}", "hot", 5.0) for index in range(9)]).moves) == moves


@pytest.mark.parametrize(
    ("hot", "moves", "after"), [(50.0, 0, 20.0), (51.0, 2, 12.0)], ids=["accepted", "more than accepted"]
)
def test_a_plan_begins_above_what_is_accepted_and_ends_well_below(hot: float, moves: int, after: float) -> None:
    nodes = [node("hot", hot), node("mild", 34.0), COLD]
    found = plan(nodes, [pod(f"p{index}", "hot", 2.5) for index in range(9)])
    assert (len(found.moves), found.before, found.after) == (moves, hot - 30.0, after)


@given(clusters(), st.integers(0, 8))
def test_every_plan_is_bounded_and_makes_nodes_no_less_even(
    cluster: tuple[list[LoadedNode], list[MovablePod]], most: int
) -> None:
    nodes, pods = cluster
    found = plan(nodes, pods, most=most)
    assert len(found.moves) <= most
    assert found.after <= found.before + 1e-9
    by_name = {one.name: one for one in nodes}
    by_uid = {one.uid: one for one in pods}
    assert max(Counter(move.workload for move in found.moves).values(), default=0) <= 1
    for side in ("source", "target"):
        assert max(Counter(getattr(move, side) for move in found.moves).values(), default=0) <= MOST_PER_NODE
    asked: Counter[NodeName] = Counter()
    for move in found.moves:
        assert move.source == by_uid[move.pod].node != move.target
        assert by_name[move.target].accepts
        busier = max(move.source_percent[0], move.target_percent[0])
        assert max(move.source_percent[1], move.target_percent[1]) <= busier - LEAST_GAIN + 1e-9
        asked[move.target] += by_uid[move.pod].requests.cpu_millis
    assert all(asked[name] <= by_name[name].free.cpu_millis for name in asked)
    assert plan(list(reversed(nodes)), list(reversed(pods)), most=most) == found


@pytest.mark.parametrize(("open_", "admitted"), [(True, True), (True, False), (False, True)])
def test_a_zone_to_which_no_pod_has_come_yet_counts_if_pods_may_come_there(*, open_: bool, admitted: bool) -> None:
    """Moved from zone a to b, pods would have to be moved on to c to keep zones even."""
    nodes = [node("a1", 90.0, "a"), node("b1", 20.0, "b"), node("c1", 85.0, "c", accepts=open_)]
    zones = {Zone("a"): 2, Zone("b"): 2}
    pods = [pod(name, "a1", 20.0, "Deployment/shop/w", zones=zones) for name in ("p1", "p2")]
    found = plan_moves(nodes, pods, limits(max_skew=2, admits=lambda _, name: name != "c1" or admitted))
    assert [move.target for move in found.moves] == ([] if open_ and admitted else ["b1"])
