from random import Random

from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.names import NodeName, Tier, Zone
from spillway.domain.model.places import NodePlace
from spillway.domain.model.records import NodeRecord
from spillway.domain.scale_down.node_order import emptying_order
from tests.builders import make_node


def node(name: str, created: float) -> NodeRecord:
    return make_node(name, created=created)


def in_zones(nodes: list[NodeRecord]) -> dict[NodeName, NodePlace]:
    """The first letter of a node's name is its zone."""
    return {n.name: NodePlace(tier=Tier.ELASTIC, zone=Zone(n.name[0])) for n in nodes}


def soonest_first(order: dict[NodeName, int]) -> list[str]:
    return [name for name, _ in sorted(order.items(), key=lambda entry: -entry[1])]


def test_the_newest_node_of_each_zone_empties_first_and_zones_take_turns() -> None:
    nodes = [node("a1", 1), node("a2", 5), node("b1", 2), node("b2", 6), node("c1", 3)]
    assert soonest_first(emptying_order(nodes, in_zones(nodes))) == ["b2", "a2", "c1", "b1", "a1"]


def test_a_node_that_holds_pods_that_stay_empties_last() -> None:
    nodes = [node("a1", 1), node("a2", 2), node("a3", 3)]
    for blocked in ({NodeName("a3")}, lambda name: name == "a3"):
        assert soonest_first(emptying_order(nodes, in_zones(nodes), blocked)) == ["a2", "a1", "a3"]


def test_only_elastic_nodes_have_a_place() -> None:
    nodes = [node("a1", 1), node("a2", 2), node("a3", 3)]
    places = in_zones(nodes)
    places[NodeName("a2")] = NodePlace(tier=Tier.FIXED, zone=Zone("a"))
    del places[NodeName("a3")]
    assert set(emptying_order(nodes, places)) == {"a1"}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), min_size=1, max_size=12), st.randoms())
def test_a_new_node_moves_nobody(made: list[tuple[str, int]], random: Random) -> None:
    nodes = [node(f"{zone}{index:02}", float(created)) for index, (zone, created) in enumerate(made)]
    before = emptying_order(nodes, in_zones(nodes))
    newcomer = node(f"{made[0][0]}99", 10.0)
    grown = [*nodes, newcomer]
    random.shuffle(grown)
    after = emptying_order(grown, in_zones(grown))
    assert {name: place for name, place in after.items() if name != newcomer.name} == before
    same_zone = [place for name, place in before.items() if name[0] == newcomer.name[0]]
    assert after[newcomer.name] > max(same_zone)
    assert len(set(after.values())) == len(after)
