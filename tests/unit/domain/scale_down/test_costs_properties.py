import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.model.names import Tier, Zone
from spillway.domain.model.places import NodePlace
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.costs import BOUND, cost_writes, free_index, initial_cost, is_band_violation
from spillway.domain.scale_down.kubernetes_order import kubernetes_class
from spillway.domain.scale_down.ranking import plan_scale_down
from tests.unit.domain.scale_down.scale_down_cases import INT32, NOW, deleted, is_ready, replicasets, written

any_cost = st.integers(-INT32, INT32 - 1)
places = st.builds(
    NodePlace,
    tier=st.sampled_from(Tier),
    zone=st.just(Zone("a")),
    price_rank=st.integers(0, 10),
)
large = st.integers(0, 3_000_000)


@settings(max_examples=150)
@given(
    pods=replicasets(max_size=20, costs=any_cost | st.sampled_from([0, 0, -1, INT32 - 1, -INT32])),
    count=st.integers(0, 30),
    max_skew=st.integers(1, 3),
    mirror=st.booleans(),
)
def test_kubernetes_deletes_exactly_the_planned_pods(
    pods: list[Candidate], count: int, max_skew: int, *, mirror: bool
) -> None:
    plan = plan_scale_down(pods, count, max_skew=max_skew, mirror=mirror, now=NOW).uids
    writes = cost_writes(pods, plan)
    assert deleted(written(pods, writes), count) == set(plan)


@given(replicasets(max_size=20, costs=any_cost), st.integers(0, 30))
def test_what_is_written_is_bounded_and_only_on_ready_pods(pods: list[Candidate], count: int) -> None:
    writes = cost_writes(pods, plan_scale_down(pods, count, max_skew=1, now=NOW).uids)
    assert all(abs(cost) <= BOUND for cost in writes.values())
    assert set(writes) <= {p.uid for p in pods if is_ready(p)}


@given(replicasets(max_size=20), st.integers(0, 30))
def test_a_second_call_has_nothing_left_to_write(pods: list[Candidate], count: int) -> None:
    plan = plan_scale_down(pods, count, max_skew=1, now=NOW).uids
    assert cost_writes(written(pods, cost_writes(pods, plan)), plan) == {}


@given(replicasets(max_size=20, costs=any_cost), st.integers(0, 30))
def test_writes_are_never_more_than_the_ready_victims_within_our_bounds(pods: list[Candidate], count: int) -> None:
    ours = [msgspec.structs.replace(p, deletion_cost=max(-BOUND + 1, min(p.deletion_cost, BOUND))) for p in pods]
    plan = set(plan_scale_down(ours, count, max_skew=1, now=NOW).uids)
    ready = [p for p in ours if p.uid in plan and is_ready(p)]
    assert len(cost_writes(ours, plan)) <= len(ready)


@given(places, places, st.tuples(large, large), st.tuples(large, large))
def test_born_costs_never_cross_tiers(a: NodePlace, b: NodePlace, at_a: tuple[int, int], at_b: tuple[int, int]) -> None:
    rank = {Tier.VIRTUAL: 0, Tier.ELASTIC: 1, Tier.FIXED: 2}
    cost_a = initial_cost(a, index_in_zone=at_a[0], node_order=at_a[1])
    cost_b = initial_cost(b, index_in_zone=at_b[0], node_order=at_b[1])
    key_a = (rank[a.tier], -a.price_rank if a.tier is Tier.VIRTUAL else 0)
    key_b = (rank[b.tier], -b.price_rank if b.tier is Tier.VIRTUAL else 0)
    if key_a < key_b:
        assert cost_a < cost_b
    assert abs(cost_a) <= BOUND
    assert not is_band_violation(cost_a, a)
    assert is_band_violation(cost_a, b) == (key_a != key_b)


@given(places, st.lists(st.integers(0, 12), unique=True), st.integers(0, 900))
def test_the_free_index_is_the_lowest_that_nobody_holds(place: NodePlace, held: list[int], order: int) -> None:
    costs = [initial_cost(place, index_in_zone=index, node_order=order) for index in held]
    index = free_index([*costs, None, 5], place)
    assert index not in held
    assert set(range(index)) <= set(held)


@given(replicasets(max_size=20), st.integers(0, 30))
def test_pods_that_kubernetes_takes_anyway_are_not_written(pods: list[Candidate], count: int) -> None:
    plan = plan_scale_down(pods, count, max_skew=1, now=NOW).uids
    classes = {p.uid: kubernetes_class(p) for p in pods}
    if all(not is_ready(p) for p in pods if p.uid in plan):
        assert cost_writes(pods, plan) == {}
    assert all(classes[uid] == (True, 2, True) for uid in cost_writes(pods, plan))
