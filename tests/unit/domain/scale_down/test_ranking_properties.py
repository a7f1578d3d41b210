from itertools import combinations
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.domain.model.names import PodUid, Tier, Zone
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.kubernetes_order import kubernetes_class
from spillway.domain.scale_down.ranking import plan_scale_down
from tests.unit.domain.scale_down.scale_down_cases import NOW, by_uid, is_ready, pod, replicasets, skew, zones_of

counts = st.integers(-1, 14)
skews = st.integers(1, 3)
mirrors = st.booleans()


def planned(pods: list[Candidate], count: int, max_skew: int, *, mirror: bool = False) -> tuple[PodUid, ...]:
    return plan_scale_down(pods, count, max_skew=max_skew, mirror=mirror, now=NOW).uids


@given(pods=replicasets(), count=counts, max_skew=skews, mirror=mirrors)
def test_as_many_victims_as_asked_and_there_are_and_none_twice(
    pods: list[Candidate], count: int, max_skew: int, *, mirror: bool
) -> None:
    victims = planned(pods, count, max_skew, mirror=mirror)
    assert len(victims) == len(set(victims)) == max(0, min(count, len(pods)))
    assert set(victims) <= set(by_uid(pods))


@given(pods=replicasets(), count=counts, max_skew=skews, mirror=mirrors)
def test_no_pod_goes_while_kubernetes_would_take_a_less_ready_one(
    pods: list[Candidate], count: int, max_skew: int, *, mirror: bool
) -> None:
    victims = set(planned(pods, count, max_skew, mirror=mirror))
    gone = [kubernetes_class(p) for p in pods if p.uid in victims]
    left = [kubernetes_class(p) for p in pods if p.uid not in victims]
    assert not gone or not left or max(gone) <= min(left)


@given(replicasets(all_ready=True), counts, skews)
def test_virtual_pods_go_first_and_the_dearest_pool_before_all(
    pods: list[Candidate], count: int, max_skew: int
) -> None:
    def keeping(pod: Candidate) -> tuple[bool, int]:
        return (pod.tier is not Tier.VIRTUAL, -pod.price_rank if pod.tier is Tier.VIRTUAL else 0)

    victims = set(planned(pods, count, max_skew))
    gone = [keeping(p) for p in pods if p.uid in victims]
    left = [keeping(p) for p in pods if p.uid not in victims]
    assert not gone or not left or max(gone) <= min(left)


@given(replicasets(all_ready=True), counts, skews)
def test_in_a_rollout_virtual_pods_go_last_and_the_cheapest_pool_first(
    pods: list[Candidate], count: int, max_skew: int
) -> None:
    def keeping(pod: Candidate) -> tuple[bool, int]:
        return (pod.tier is Tier.VIRTUAL, pod.price_rank if pod.tier is Tier.VIRTUAL else 0)

    victims = set(planned(pods, count, max_skew, mirror=True))
    gone = [keeping(p) for p in pods if p.uid in victims]
    left = [keeping(p) for p in pods if p.uid not in victims]
    assert not gone or not left or max(gone) <= min(left)


def test_a_pod_without_a_zone_goes_before_the_last_one_of_the_emptiest_zone() -> None:
    pods = [
        pod("a", tier=Tier.VIRTUAL, zone=Zone("zone-a")),
        pod("none", tier=Tier.VIRTUAL, zone=Zone("")),
        *(pod(f"b{index}", tier=Tier.FIXED, zone=Zone("zone-b")) for index in range(4)),
    ]
    assert planned(pods, 1, 1) == (PodUid("none"),)


@settings(max_examples=150)
@given(replicasets(max_size=9, all_ready=True), st.integers(0, 9), skews)
def test_zones_are_never_less_even_than_they_have_to_be(pods: list[Candidate], count: int, max_skew: int) -> None:
    count = min(count, len(pods))
    zones = zones_of(pods)
    plan = planned(pods, count, max_skew)
    reached = skew([p for p in pods if p.uid not in plan], zones)

    def tiers(uids: tuple[PodUid, ...]) -> list[tuple[bool, int]]:
        """What the rules above that of zones demand: as many from each virtual pool, the most expensive first."""
        known = by_uid(pods)
        chosen = [known[uid] for uid in uids]
        return sorted((p.tier is Tier.VIRTUAL, p.price_rank if p.tier is Tier.VIRTUAL else 0) for p in chosen)

    best = min(
        skew([p for p in pods if p.uid not in choice], zones)
        for choice in combinations([p.uid for p in pods], count)
        if tiers(choice) == tiers(plan)
    )
    assert reached <= max(max_skew, best)


@given(pods=replicasets(), count=counts, max_skew=skews, mirror=mirrors, random=st.randoms(use_true_random=False))
def test_the_sequence_in_which_pods_are_given_means_nothing(
    pods: list[Candidate], count: int, max_skew: int, *, mirror: bool, random: Random
) -> None:
    shuffled = list(pods)
    random.shuffle(shuffled)
    assert planned(shuffled, count, max_skew, mirror=mirror) == planned(pods, count, max_skew, mirror=mirror)


@given(pods=replicasets(), count=st.integers(0, 13), max_skew=skews, mirror=mirrors)
def test_fewer_victims_are_the_first_of_more(pods: list[Candidate], count: int, max_skew: int, *, mirror: bool) -> None:
    less = planned(pods, count, max_skew, mirror=mirror)
    more = planned(pods, count + 1, max_skew, mirror=mirror)
    assert more[: len(less)] == less


@given(replicasets(all_ready=True), skews, st.integers(0, 12))
def test_going_down_in_two_steps_ends_where_one_step_ends(pods: list[Candidate], max_skew: int, first: int) -> None:
    """HPA may take 3 and then 4 instead of 7: what is left is the same, as long as no zone runs empty in between."""
    whole = planned(pods, len(pods), max_skew)
    step = set(whole[:first])
    rest = [p for p in pods if p.uid not in step]
    if zones_of(rest) == zones_of(pods):
        assert planned(rest, len(rest), max_skew) == whole[first:]


@given(replicasets())
def test_every_pod_that_is_not_ready_goes_before_any_ready_one(pods: list[Candidate]) -> None:
    unready = [p.uid for p in pods if not is_ready(p)]
    assert set(planned(pods, len(unready), 1)) == set(unready)


@given(replicasets(all_ready=True), skews)
def test_of_zones_that_may_give_the_least_loaded_one_does(pods: list[Candidate], max_skew: int) -> None:
    """The first victim's zone: no other pod of its tier is in a less loaded zone that keeps the skew."""
    plan = plan_scale_down(pods, 1, max_skew=max_skew, now=NOW)
    if not plan.victims:
        return
    known, zones = by_uid(pods), zones_of(pods)
    victim = known[plan.uids[0]]
    reached = skew([p for p in pods if p is not victim], zones)
    peers = [p for p in pods if (p.tier, p.price_rank) == (victim.tier, victim.price_rank) and p.zone]
    if not victim.zone or reached > max_skew:
        return
    for other in peers:
        keeps = skew([p for p in pods if p is not other], zones) <= max_skew
        assert not keeps or other.zone_weight >= victim.zone_weight
