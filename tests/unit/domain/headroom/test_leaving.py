"""Which balloons leave first, and which nodes they leave."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.headroom.leaving import BALLOON_COST, LEAVING_COST, BalloonNode, leaving_costs, nodes_to_empty
from spillway.domain.headroom.shape import Shape
from spillway.domain.model.names import NodeName, Zone
from spillway.domain.model.usage import Usage
from tests.builders import make_pod

UNIT = Shape(1000, 1000)


def _node(name: str, balloons: int, others: int = 0, *, free: int = 3, **given: Any) -> BalloonNode:
    """A node with room for so many more units."""
    values: dict[str, Any] = {"zone": Zone("a"), "order": 0} | given
    return BalloonNode(
        NodeName(name), free=Usage(50, free * 1000, free * 1000), balloons=balloons, others=others, **values
    )


def test_the_balloons_of_the_node_that_empties_first_leave_first() -> None:
    nodes = {one.name: one for one in (_node("n1", 1, 2, order=9), _node("n2", 2, order=1), _node("n3", 1, order=5))}
    pods = [make_pod(f"p{index}", node=name) for index, name in enumerate(["n1", "n2", "n2", "n3"])]
    costs = leaving_costs(pods, 1, nodes)
    # n1 has other pods and cannot go, so of those with nothing else n3 empties first.
    assert [uid for uid, cost in costs.items() if cost == LEAVING_COST] == [pods[3].uid]
    costs = leaving_costs(pods, 3, nodes)
    assert {uid for uid, cost in costs.items() if cost == BALLOON_COST} == {pods[0].uid}


def test_a_waiting_balloon_needs_no_cost_and_leaves_before_all_others() -> None:
    pods = [make_pod("p0", node="n1"), make_pod("p1", node="")]
    assert leaving_costs(pods, 1, {}) == {pods[0].uid: BALLOON_COST}


def test_a_node_with_nothing_but_balloons_gives_them_to_others_with_room() -> None:
    assert nodes_to_empty([_node("n1", 2), _node("n2", 1, 1, free=2)], UNIT) == ("n1",)
    assert nodes_to_empty([_node("n1", 3), _node("n2", 1, 1, free=2)], UNIT) == ()
    assert nodes_to_empty([_node("n1", 2), _node("n2", 1, 1, zone=Zone("b"))], UNIT) == ()
    assert nodes_to_empty([_node("n1", 2), _node("n2", 1, 1, open=False)], UNIT) == ()
    # It has just been tried.
    assert nodes_to_empty([_node("n1", 2), _node("n2", 1, 1)], UNIT, avoid={NodeName("n1")}) == ()


def test_balloons_do_not_move_to_an_empty_node() -> None:
    assert nodes_to_empty([_node("n1", 2), _node("n2", 0)], UNIT) == ()


NODE = st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 2), st.booleans(), st.integers(0, 9))


@given(st.lists(NODE, max_size=8))
def test_moving_balloons_ends_and_leaves_no_node_that_could_go(
    drawn: list[tuple[str, int, int, bool, int]],
) -> None:
    nodes = [
        _node(str(index), held, others, free=4 - held - min(others, 1), zone=Zone(zone), open=is_open, order=order)
        for index, (zone, held, others, is_open, order) in enumerate(drawn)
    ]
    total = sum(node.balloons for node in nodes)
    for _ in range(len(nodes) + 1):
        found = nodes_to_empty(nodes, UNIT)
        if not found:
            break
        assert len({node.zone for node in nodes if node.name in found}) == len(found)
        nodes = _moved(nodes, found)
    else:
        raise AssertionError("it does not end")
    assert sum(node.balloons for node in nodes) == total
    for node in nodes:
        if node.balloons and not node.others:
            room = sum(
                UNIT.fits_free(one.free)
                for one in nodes
                if one is not node and one.zone == node.zone and one.open and (one.others or one.balloons)
            )
            assert room < node.balloons


def _moved(nodes: list[BalloonNode], emptied: tuple[NodeName, ...]) -> list[BalloonNode]:
    """As the scheduler does, with the preference for nodes that hold pods."""
    left = {node.name: node for node in nodes}
    for name in emptied:
        one = left[name]
        moving = one.balloons
        left[name] = _node(name, 0, free=4, zone=one.zone, order=one.order, open=one.open)
        for node in sorted(nodes, key=lambda node: -node.balloons - node.others):
            room = UNIT.fits_free(left[node.name].free)
            if node.name == name or node.zone != one.zone or not node.open or not (node.others or node.balloons):
                continue
            count = min(room, moving)
            moving -= count
            there = left[node.name]
            left[node.name] = _node(
                node.name, there.balloons + count, there.others, free=room - count, zone=there.zone, order=there.order
            )
    return list(left.values())
