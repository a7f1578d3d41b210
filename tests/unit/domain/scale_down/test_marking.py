from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.model.names import Tier
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.costs import BOUND, free_index, initial_cost, is_band_violation
from spillway.domain.scale_down.marking import next_victims, upkeep
from spillway.domain.scale_down.ranking import plan_scale_down
from tests.unit.domain.scale_down.scale_down_cases import INT32, NOW, deleted, is_ready, pod, replicasets, written

any_cost = st.integers(-INT32, INT32 - 1) | st.integers(-30, 0) | st.integers(-3_000_000, 0)
depths = st.integers(0, 12)
skews = st.integers(1, 3)


@settings(max_examples=150)
@given(replicasets(max_size=14, costs=any_cost), depths, skews)
def test_any_scale_down_within_the_depth_needs_no_write(pods: list[Candidate], depth: int, max_skew: int) -> None:
    marked = written(pods, next_victims(pods, depth, max_skew=max_skew))
    ready = [p for p in marked if is_ready(p)]
    for count in range(min(depth, len(ready)) + 1):
        assert deleted(ready, count) == set(plan_scale_down(ready, count, max_skew=max_skew, now=NOW).uids)


@given(replicasets(max_size=14, costs=any_cost), depths, skews)
def test_marking_does_not_change_the_plan(pods: list[Candidate], depth: int, max_skew: int) -> None:
    marked = written(pods, next_victims(pods, depth, max_skew=max_skew))
    before = plan_scale_down(pods, depth, max_skew=max_skew, now=NOW)
    if all(is_ready(p) for p in pods):
        assert plan_scale_down(marked, depth, max_skew=max_skew, now=NOW) == before


@settings(max_examples=150)
@given(replicasets(max_size=14, costs=any_cost), depths, skews)
def test_at_rest_there_is_nothing_to_write(pods: list[Candidate], depth: int, max_skew: int) -> None:
    marked = written(pods, next_victims(pods, depth, max_skew=max_skew))
    assert next_victims(marked, depth, max_skew=max_skew) == {}
    kept = written(pods, upkeep(pods, depth, max_skew=max_skew))
    assert upkeep(kept, depth, max_skew=max_skew) == {}


@given(replicasets(max_size=14, costs=any_cost), depths)
def test_written_costs_are_bounded_and_on_ready_pods_only(pods: list[Candidate], depth: int) -> None:
    for writes in (next_victims(pods, depth, max_skew=1), upkeep(pods, depth, max_skew=1)):
        assert all(abs(cost) <= BOUND for cost in writes.values())
        assert set(writes) <= {p.uid for p in pods if is_ready(p)}


@given(replicasets(max_size=14, costs=any_cost), depths)
def test_after_upkeep_only_the_next_victims_stand_outside_their_band(pods: list[Candidate], depth: int) -> None:
    kept = [p for p in written(pods, upkeep(pods, depth, max_skew=1)) if is_ready(p)]
    marked = plan_scale_down(kept, depth, max_skew=1, now=NOW).uids
    assert not [p.uid for p in kept if p.uid not in marked and is_band_violation(p.deletion_cost, p.place)]


def test_pods_that_were_never_stamped_get_the_order_of_the_plan() -> None:
    pods = [
        pod("f1", zone="", tier=Tier.FIXED, created=1.0, stamped=False),
        pod("f2", zone="", tier=Tier.FIXED, created=2.0, stamped=False),
        pod("e1", zone="", tier=Tier.ELASTIC, node_order=7, created=3.0, stamped=False),
        pod("v1", zone="", tier=Tier.VIRTUAL, created=4.0, stamped=False),
    ]
    assert upkeep(pods, 0, max_skew=1) == {
        "f1": 0,
        "f2": -100,
        "e1": -1_000_007,
        "v1": -2_000_000,
    }


def test_a_wave_of_births_on_even_zones_needs_no_mark() -> None:
    pods: list[Candidate] = []
    for number in range(30):
        tier = Tier.FIXED if number < 12 else Tier.ELASTIC if number < 24 else Tier.VIRTUAL
        zone = "abc"[number % 3]
        where = pod("x", tier=tier, zone=zone).place
        index = free_index([p.deletion_cost for p in pods if p.zone == zone], where)
        pods.append(
            pod(
                f"u{number:02}",
                tier=tier,
                zone=zone,
                node=f"{tier}-{number}",
                node_order=number if tier is Tier.ELASTIC else 0,
                created=float(number),
                ready_since=float(number),
                deletion_cost=initial_cost(
                    where, index_in_zone=index, node_order=number if tier is Tier.ELASTIC else 0
                ),
            )
        )
    assert next_victims(pods, 30, max_skew=1) == {}
    assert upkeep(pods, 30, max_skew=1) == {}
