"""Which pods would be moved off nodes with little load of which too much is requested, and that every plan is safe."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.balance.move_board import LEAST_GAIN, MOST_PER_NODE, MOST_REQUESTED, LoadedNode, MovablePod
from spillway.domain.balance.moves import MovePlan, Reason
from spillway.domain.balance.request_moves import plan_request_moves, reserved_nodes
from spillway.domain.model.names import Zone
from spillway.domain.model.usage import Usage
from tests.support.moves import clusters, limits, node, pod

GIB = 1 << 30
BUSY = node("busy", 90.0)


def idle(free_millis: int = 300, percent: float = 10.0, name: str = "idle", **changes: Any) -> LoadedNode:
    """A node with little load, of whose 10 cores so much is free."""
    return node(name, percent, **{"free": Usage(50, free_millis, 8 * GIB), **changes})


def other(percent: float = 40.0, free_millis: int = 4000, name: str = "other", **changes: Any) -> LoadedNode:
    return node(name, percent, **{"free": Usage(50, free_millis, 8 * GIB), **changes})


def wide(name: str, on: str = "idle", *, requested: int = 2000, used: float = 1.0, **changes: Any) -> MovablePod:
    """A pod that requests two cores and uses one percent of ten."""
    return pod(name, on, used, **{"requests": Usage(1, requested, GIB), **changes})


def plan(nodes: list[LoadedNode], pods: list[MovablePod], **changes: Any) -> MovePlan:
    return plan_request_moves(nodes, pods, limits(**changes))


def test_a_pod_that_requests_much_and_uses_little_makes_room_on_an_idle_node() -> None:
    found = plan([BUSY, idle(), other()], [wide("p")])
    assert [move.text for move in found.moves] == ["shop/p: idle (requests 97 % to 77 %) to other"]
    assert found.reason is Reason.REQUESTS
    assert (found.before, found.after) == pytest.approx((7.0, 0.0))
    assert found.moves[0].target_percent == pytest.approx((75.0, 80.0)), "of memory, then of CPU"


def test_the_pod_that_frees_the_most_beyond_its_use_goes_first_and_not_more_than_needed() -> None:
    pods = [wide("small", requested=1000), wide("used", requested=2500, used=22.0), wide("best", requested=2400)]
    assert [move.pod for move in plan([BUSY, idle(), other()], pods).moves] == ["best"]
    assert [move.pod for move in plan([BUSY, idle(0), other(free_millis=9999)], pods[:1]).moves] == ["small"]


def test_the_least_loaded_node_is_relieved_first_and_alone() -> None:
    nodes = [BUSY, idle(percent=20.0, name="warm"), idle(percent=5.0, name="cold"), other()]
    pods = [wide("w", "warm"), wide("c", "cold")]
    assert [move.pod for move in plan(nodes, pods).moves] == ["c"]
    assert [move.pod for move in plan(nodes, pods[:1]).moves] == ["w"], "where the other has no pod that helps"
    assert reserved_nodes(nodes, limits()) == ["cold", "warm"]


@pytest.mark.parametrize(
    ("nodes", "pods"),
    [
        pytest.param([BUSY, idle(free_millis=1000), other()], [wide("p")], id="not beyond 90 percent"),
        pytest.param([node("busy", 30.0), idle(), other(20.0)], [wide("p")], id="no node is busier by enough"),
        pytest.param([BUSY, idle(accepts=False), other()], [wide("p")], id="the idle node is closed"),
        pytest.param([BUSY, idle(), other(free_millis=2900)], [wide("p")], id="the other would be reserved too"),
        pytest.param([BUSY, idle(), other(accepts=False)], [wide("p")], id="the other is closed"),
        pytest.param([BUSY, idle(), other()], [wide("p", requested=200)], id="it frees too little"),
        pytest.param([BUSY, idle(percent=50.0), other()], [wide("p", used=19.0)], id="it uses what it requests"),
        pytest.param(
            [BUSY, idle(), other(zone="b")], [wide("p", zones={Zone("a"): 1, Zone("b"): 2})], id="zones less even"
        ),
        pytest.param([BUSY, idle(), other()], [wide("p", requested=600)], id="others alone reserve it"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_no_move(nodes: list[LoadedNode], pods: list[MovablePod]) -> None:
    assert plan(nodes, pods, admits=lambda _, name: name != "busy").moves == ()


@pytest.mark.parametrize(
    ("used", "moved"), [(1.9, True), (2.1, False)], ids=["it uses next to nothing", "it would return"]
)
def test_a_pod_goes_to_a_busy_node_only_if_moves_for_the_load_would_not_take_it_back(
    used: float, *, moved: bool
) -> None:
    assert bool(plan([BUSY, idle()], [wide("p", used=used)]).moves) is moved


def test_a_plan_is_bounded() -> None:
    pods = [wide(f"p{index}", requested=400) for index in range(9)]
    nodes = [BUSY, idle(0), other()]
    assert len(plan(nodes, pods).moves) == MOST_PER_NODE
    assert len(plan(nodes, pods, most=1).moves) == 1
    assert len(plan(nodes, [wide(f"p{index}", workload="w", requested=400) for index in range(9)]).moves) == 1


@given(clusters(), st.integers(0, 8))
def test_every_plan_is_bounded_and_frees_requests(
    cluster: tuple[list[LoadedNode], list[MovablePod]], most: int
) -> None:
    nodes, pods = cluster
    found = plan(nodes, pods, most=most)
    assert len(found.moves) <= min(most, MOST_PER_NODE)
    assert found.after <= found.before + 1e-9
    by_name, by_uid = {one.name: one for one in nodes}, {one.uid: one for one in pods}
    reserved = reserved_nodes(nodes, limits())
    assert max(Counter(move.workload for move in found.moves).values(), default=0) <= 1
    assert len({move.source for move in found.moves}) <= 1
    asked: Counter[str] = Counter()
    for move in found.moves:
        assert move.source == by_uid[move.pod].node
        assert move.source in reserved
        assert move.target != move.source
        assert by_name[move.target].accepts
        assert move.source_percent[0] > MOST_REQUESTED
        assert move.source_percent[1] <= move.source_percent[0] - LEAST_GAIN + 1e-9
        assert move.target_percent[1] <= MOST_REQUESTED
        asked[move.target] += by_uid[move.pod].requests.cpu_millis
    assert all(asked[name] <= by_name[name].free.cpu_millis for name in by_name)
    assert plan(list(reversed(nodes)), list(reversed(pods)), most=most) == found
