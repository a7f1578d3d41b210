from spillway.domain.model.names import NodeName, PodUid, Tier, Zone
from spillway.domain.model.places import NodePlace
from spillway.domain.scale_down.costs import initial_cost
from spillway.webhooks.initial_costs import InitialCosts
from tests.builders import make_pod
from tests.support.fake_clock import FakeClock

FIXED_A = NodePlace(tier=Tier.FIXED, zone=Zone("a"))
FIXED_B = NodePlace(tier=Tier.FIXED, zone=Zone("b"))
VIRTUAL_A = NodePlace(tier=Tier.VIRTUAL, zone=Zone("a"), pool="eci")


def _zone(node: NodeName) -> Zone:
    return Zone(node[:1])


def test_a_burst_that_the_informer_has_not_seen_gets_distinct_costs() -> None:
    initial = InitialCosts(FakeClock(0.0))
    pods = [make_pod(f"web-{index}", node="") for index in range(40)]
    costs = [initial.cost(pod, FIXED_A, 0, pods, _zone) for pod in pods]
    assert len(set(costs)) == 40
    assert costs == sorted(costs, reverse=True)


def test_zones_and_tiers_count_by_themselves() -> None:
    initial = InitialCosts(FakeClock(0.0))
    first = initial.cost(make_pod("web-1"), FIXED_A, 0, (), _zone)
    other_zone = initial.cost(make_pod("web-2"), FIXED_B, 0, (), _zone)
    other_tier = initial.cost(make_pod("web-3"), VIRTUAL_A, 0, (), _zone)
    assert first == initial_cost(FIXED_A, index_in_zone=0, node_order=0)
    assert other_zone == initial_cost(FIXED_B, index_in_zone=0, node_order=0)
    assert other_tier == initial_cost(VIRTUAL_A, index_in_zone=0, node_order=0)
    assert other_tier < first


def test_a_sibling_is_counted_once_when_the_informer_shows_it() -> None:
    initial = InitialCosts(FakeClock(0.0))
    pod = make_pod("web-1", node="")
    cost = initial.cost(pod, FIXED_A, 0, [pod], _zone)
    bound = make_pod("web-1", node="a1", deletion_cost=cost, cost_written=cost)
    second = initial.cost(make_pod("web-2", node=""), FIXED_A, 0, [bound], _zone)
    assert second == initial_cost(FIXED_A, index_in_zone=1, node_order=0)


def test_a_lost_siblings_index_is_used_again() -> None:
    initial = InitialCosts(FakeClock(0.0))
    costs = [initial_cost(FIXED_A, index_in_zone=index, node_order=0) for index in (0, 2)]
    siblings = [make_pod(f"web-{cost}", node="a1", deletion_cost=cost, cost_written=cost) for cost in costs]
    gone = make_pod("web-gone", node="a1", deletion_cost=-100, cost_written=-100, terminating=True)
    assert initial.cost(make_pod("new"), FIXED_A, 0, [*siblings, gone], _zone) == initial_cost(
        FIXED_A, index_in_zone=1, node_order=0
    )


def test_a_binding_that_never_happened_is_forgotten() -> None:
    clock = FakeClock(0.0)
    initial = InitialCosts(clock, memory_seconds=10.0)
    first = initial.cost(make_pod("web-1"), FIXED_A, 0, (), _zone)
    clock.forward(5.0)
    assert initial.cost(make_pod("web-2"), FIXED_A, 0, (), _zone) != first
    clock.forward(25.0)
    assert initial.cost(make_pod("web-3"), FIXED_A, 0, (), _zone) == first
    assert initial._given.keys() == {"rs-web"}
    assert initial._given[make_pod().owner_uid].keys() == {PodUid("uid-web-3")}


def test_the_same_pod_bound_again_keeps_its_place() -> None:
    initial = InitialCosts(FakeClock(0.0))
    first = initial.cost(make_pod("web-1"), FIXED_A, 0, (), _zone)
    assert initial.cost(make_pod("web-1"), FIXED_A, 0, (), _zone) == first


def test_an_elastic_pod_carries_its_nodes_place_in_the_emptying_order() -> None:
    place = NodePlace(tier=Tier.ELASTIC, zone=Zone("a"))
    initial = InitialCosts(FakeClock(0.0))
    early = initial.cost(make_pod("web-1"), place, 9, (), _zone)
    assert early == initial_cost(place, index_in_zone=0, node_order=9)
