import pytest

from spillway.domain.model.names import PodUid, Tier, Zone
from spillway.domain.model.places import NodePlace
from spillway.domain.scale_down.costs import BOUND, cost_writes, free_index, initial_cost, natural_cost
from tests.unit.domain.scale_down.scale_down_cases import pod

NOWHERE = Zone("")


def place(tier: Tier, price_rank: int = 0, zone: str = "") -> NodePlace:
    return NodePlace(tier=tier, zone=Zone(zone), price_rank=price_rank)


@pytest.mark.parametrize(
    ("where", "index", "order", "cost"),
    [
        (place(Tier.FIXED), 0, 7, 0),
        (place(Tier.FIXED), 3, 7, -300),
        (place(Tier.FIXED), 10**9, 0, -999_900),
        (place(Tier.ELASTIC), 0, 0, -1_000_000),
        (place(Tier.ELASTIC), 4, 12, -1_004_012),
        (place(Tier.ELASTIC), 10**9, 10**9, -1_999_999),
        (place(Tier.VIRTUAL), 1, 5, -2_000_100),
        (place(Tier.VIRTUAL, price_rank=1), 0, 5, -3_000_000),
        (place(Tier.VIRTUAL, price_rank=99), 0, 0, -15_000_000),
    ],
)
def test_a_cost_can_be_read(where: NodePlace, index: int, order: int, cost: int) -> None:
    assert initial_cost(where, index_in_zone=index, node_order=order) == cost


def test_equal_indices_in_the_zones_of_a_region_differ() -> None:
    for zones in (["us-east-1a", "us-east-1b", "us-east-1c"], ["zone-0", "zone-1", "zone-2"], ["z-01", "z-10", "z-11"]):
        costs = {initial_cost(place(Tier.FIXED, zone=zone), index_in_zone=2, node_order=0) for zone in zones}
        assert len(costs) == 3


def test_a_candidate_is_born_where_it_stands() -> None:
    assert natural_cost(pod("x", tier=Tier.ELASTIC, node_order=5), index_in_zone=2) == -1_002_005


def test_a_hole_is_filled_first() -> None:
    elastic = place(Tier.ELASTIC)
    assert free_index([-1_000_004, -1_002_007, -300, None], elastic) == 1
    assert free_index([], elastic) == 0


def test_only_victims_above_a_survivor_are_written() -> None:
    pods = [pod("low", deletion_cost=-9), pod("high", deletion_cost=3), pod("stays", deletion_cost=-5)]
    assert cost_writes(pods, [PodUid("low"), PodUid("high")]) == {"high": -6}


def test_equal_costs_are_told_apart() -> None:
    assert cost_writes([pod("goes"), pod("stays")], [PodUid("goes")]) == {"goes": -1}


def test_where_all_or_none_go_nothing_is_written() -> None:
    pods = [pod("x"), pod("y")]
    assert cost_writes(pods, [PodUid("x"), PodUid("y")]) == {}
    assert cost_writes(pods, []) == {}


def test_a_few_survivors_are_lifted_rather_than_many_victims_lowered() -> None:
    going = [pod(f"v{n:02}", deletion_cost=0) for n in range(40)]
    staying = [pod("s1", deletion_cost=-7), pod("s2", deletion_cost=9)]
    assert cost_writes([*going, *staying], [p.uid for p in going]) == {"s1": 1}


def test_victims_are_lowered_where_lifting_saves_little() -> None:
    going = [pod(f"v{n:02}", deletion_cost=0) for n in range(19)]
    writes = cost_writes([*going, pod("s1", deletion_cost=-7)], [p.uid for p in going])
    assert set(writes.values()) == {-8}
    assert len(writes) == 19


def test_without_room_below_survivors_are_lifted() -> None:
    pods = [pod("goes", deletion_cost=0), pod("floor", deletion_cost=-(2**31)), pod("stays", deletion_cost=50)]
    writes = cost_writes(pods, [PodUid("goes")])
    assert writes == {"goes": -BOUND, "floor": 1 - BOUND}
