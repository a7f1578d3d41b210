"""Moves that bring the zones of workloads within maxSkew, and that no plan makes zones less even."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.balance.move_board import MOST_PER_NODE, LoadedNode, MovablePod
from spillway.domain.balance.skew import zone_skew
from spillway.domain.balance.zone_moves import fullest_zone, moves_beside, open_zones, plan_zone_moves
from spillway.domain.model.host_ports import HostPort
from spillway.domain.model.names import NodeName, PodUid, Zone
from spillway.domain.model.records import Taint
from spillway.domain.model.usage import Usage

A, B, C = Zone("a"), Zone("b"), Zone("c")
GPU = frozenset({Taint("gpu", "NoSchedule")})


def node(name: str, zone: Zone, percent: float = 50.0, *, free: int = 4000) -> LoadedNode:
    return LoadedNode(NodeName(name), zone, Usage(10, 8000, 8000), Usage(9, free, free), percent=percent)


def pod(name: str, on: str, workload: str = "web", *, cpu: int = 500, **zones: int) -> MovablePod:
    counts = {Zone(zone): count for zone, count in zones.items()}
    return MovablePod(PodUid(name), f"shop/{name}", workload, NodeName(on), Usage(1, cpu, cpu), 0, 0, counts)


NODES = (node("a1", A, 60.0), node("a2", A, 80.0), node("b1", B, 70.0), node("c1", C, 40.0), node("c2", C, 30.0))


def anywhere(_: MovablePod, __: NodeName) -> bool:
    return True


def planned(*pods: MovablePod, nodes: tuple[LoadedNode, ...] = NODES, max_skew: int = 1, most: int = 10) -> list[str]:
    return [move.text for move in plan_zone_moves(nodes, pods, max_skew=max_skew, most=most, admits=anywhere)]


def test_a_pod_goes_from_the_most_loaded_node_of_the_fullest_zone_to_the_least_loaded_of_the_emptiest() -> None:
    pods = pod("p", "a1", a=4, b=3), pod("q", "a2", a=4, b=3)
    assert planned(*pods) == ["shop/q: a2 (a, 4 replicas) to c2 (c, 0)"]


@pytest.mark.parametrize(
    ("pods", "nodes", "target"),
    [
        pytest.param(pod("p", "a1", a=2, b=1, c=1), NODES, None, id="even enough"),
        pytest.param(pod("p", "b1", a=4, b=3, c=2), NODES, None, id="not in the fullest zone"),
        pytest.param(pod("p", "a1", a=3), NODES[:2], None, id="one zone alone"),
        pytest.param(
            pod("p", "a1", a=3), (*NODES[:3], node("c1", C, free=100)), "b1", id="no room in the emptiest zone"
        ),
        pytest.param(
            pod("p", "a1", a=3, b=2), (*NODES[:3], replace(NODES[3], taints=GPU)), None, id="tainted, and b has enough"
        ),
        pytest.param(
            pod("p", "a1", a=3, b=3), (*NODES[:3], replace(NODES[3], accepts=False)), None, id="the zone is closed"
        ),
    ],
)
def test_where_a_pod_goes(pods: MovablePod, nodes: tuple[LoadedNode, ...], target: str | None) -> None:
    moves = plan_zone_moves(nodes, [pods], max_skew=1, most=10, admits=anywhere)
    assert [move.target for move in moves] == ([] if target is None else [target])


def test_a_node_gets_few_pods_at_once_and_a_plan_is_bounded() -> None:
    nodes = (*NODES, *(node(f"a{n}", A) for n in range(3, 10)))
    pods = [pod(f"p{n}", f"a{n}", f"w{n}", a=3, b=3) for n in range(1, 10)]
    targets = Counter(move.target for move in plan_zone_moves(nodes, pods, max_skew=1, most=10, admits=anywhere))
    assert targets == {"c1": MOST_PER_NODE, "c2": MOST_PER_NODE}
    assert len(planned(*pods, nodes=nodes, most=1)) == 1
    busy = tuple(replace(one, others_come=1) if one.name == "c1" else one for one in nodes)
    targets = Counter(move.target for move in plan_zone_moves(busy, pods, max_skew=1, most=10, admits=anywhere))
    assert targets == {"c1": MOST_PER_NODE - 1, "c2": MOST_PER_NODE}


def test_what_is_taken_beside_cpu_and_memory_is_promised_once() -> None:
    pods = [replace(pod(f"p{n}", f"a{n}", f"w{n}", a=3), host_ports=(HostPort(80),)) for n in (1, 2)]
    taken = replace(NODES[2], host_ports=(HostPort(80),))
    moves = plan_zone_moves((*NODES[:2], taken, NODES[3]), pods, max_skew=1, most=10, admits=anywhere)
    assert [(move.pod, move.target) for move in moves] == [("p2", "c1")]


def test_few_pods_leave_a_node_at_once_and_those_of_others_take_their_turn() -> None:
    nodes = (*NODES[:2], *(node(f"b{n}", B) for n in range(9)))
    pods = [pod(f"p{n}", "a1", f"w{n}", a=3) for n in range(9)]
    moves = plan_zone_moves(nodes, pods, max_skew=1, most=10, admits=anywhere)
    assert [move.workload for move in moves] == ["w0", "w1"]
    for changed in (replace(nodes[0], others_gone=1), replace(nodes[0], others_gone=2)):
        moves = plan_zone_moves((changed, *nodes[1:]), pods, max_skew=1, most=10, admits=anywhere)
        assert len(moves) == MOST_PER_NODE - changed.others_gone, "with those of other resources"
    both = [*pods, *(pod(f"q{n}", "a2", f"w{n}", a=3) for n in range(9))]
    moves = plan_zone_moves(nodes, both, max_skew=1, most=10, admits=anywhere)
    assert Counter(move.source for move in moves) == {"a1": MOST_PER_NODE, "a2": MOST_PER_NODE}
    assert len({move.workload for move in moves}) == len(moves)


@pytest.mark.parametrize(
    ("leaving", "begin"),
    [
        ([], ["p", "q", "r"]),
        (["a1"], ["p", "r"]),
        (["a1", "a1"], ["r"]),
        (["a1", "a1", "a2", "a2"], []),
        (["b1", "b1"], ["p", "q", "r"]),
    ],
)
def test_moves_that_begin_count_those_that_are_in_progress_from_the_same_node(
    leaving: list[str], begin: list[str]
) -> None:
    pods = [pod("p", "a1", "w1", a=3), pod("q", "a1", "w2", a=3), pod("r", "a2", "w3", a=3)]
    moves = plan_zone_moves(NODES, pods, max_skew=1, most=10, admits=anywhere)
    assert sorted(move.pod for move in moves_beside(moves, map(NodeName, leaving))) == begin


@pytest.mark.parametrize(
    ("allowed", "targets"),
    [("a1 a2", []), ("a1 a2 b1", ["b1"]), ("a1 a2 b1 c1", ["c1"])],
    ids=["its own zone alone", "not the emptiest zone", "one node of the emptiest zone"],
)
def test_a_pod_goes_only_where_its_constraints_allow_it(allowed: str, targets: list[str]) -> None:
    pods = [pod("p", "a1", a=4, b=2)]
    moves = plan_zone_moves(NODES, pods, max_skew=1, most=10, admits=lambda _, name: name in allowed.split())
    assert [move.target for move in moves] == targets


@given(
    st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=6),
    st.integers(1, 3),
    st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_no_move_makes_zones_less_even(counts: list[tuple[int, ...]], max_skew: int, accepts: list[bool]) -> None:
    nodes = [replace(one, accepts=takes) for one, takes in zip(NODES, accepts, strict=True)]
    zones = open_zones(nodes)
    pods = [
        pod(f"{index}-{zone}", f"{zone}1", f"w{index}", a=of[0], b=of[1], c=of[2])
        for index, of in enumerate(counts)
        for zone in "abc"
        if of["abc".index(zone)]
    ]
    for move in plan_zone_moves(nodes, pods, max_skew=max_skew, most=10, admits=anywhere):
        of = counts[int(move.workload[1:])]
        before = dict(zip((A, B, C), of, strict=True))
        assert move.zones[0] == fullest_zone(before, zones, max_skew)
        after = Counter(before)
        after[move.zones[0]] -= 1
        after[move.zones[1]] += 1
        assert zone_skew(after, zones) <= zone_skew(before, zones)
        assert sum(after[zone] ** 2 for zone in zones) < sum(before[zone] ** 2 for zone in zones)
