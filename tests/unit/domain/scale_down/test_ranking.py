from typing import Any

import msgspec
import pytest

from spillway.domain.model.names import Tier
from spillway.domain.model.records import Phase
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.ranking import VictimReason, explain, plan_scale_down
from tests.unit.domain.scale_down.scale_down_cases import pod


def test_virtual_pods_go_dearest_pool_first_then_elastic_then_fixed() -> None:
    pods = [
        pod("fixed"),
        pod("elastic", tier=Tier.ELASTIC, node_order=3),
        pod("cheap", tier=Tier.VIRTUAL, price_rank=0),
        pod("dear", tier=Tier.VIRTUAL, price_rank=1),
    ]
    plan = plan_scale_down(pods, 4, max_skew=1)
    assert plan.uids == ("dear", "cheap", "elastic", "fixed")
    assert [v.reason for v in plan.victims] == [
        VictimReason.VIRTUAL,
        VictimReason.VIRTUAL,
        VictimReason.ELASTIC,
        VictimReason.FIXED,
    ]


def test_the_example_of_the_documentation() -> None:
    pods = [
        pod("web-1", zone="a"),
        pod("web-2", zone="b"),
        pod("web-3", zone="c", tier=Tier.ELASTIC, node_order=0),
        pod("web-4", zone="b", tier=Tier.ELASTIC, node_order=1),
        pod("web-5", zone="a", ready=False),
        pod("web-6", zone="c", tier=Tier.VIRTUAL),
    ]
    assert plan_scale_down(pods, 4, max_skew=1).uids == ("web-5", "web-6", "web-4", "web-3")


def test_a_rollout_frees_fixed_nodes_first_and_virtual_ones_last() -> None:
    pods = [
        pod("dear", tier=Tier.VIRTUAL, price_rank=1),
        pod("cheap", tier=Tier.VIRTUAL, price_rank=0),
        pod("soon", tier=Tier.ELASTIC, node_order=9),
        pod("late", tier=Tier.ELASTIC, node_order=1),
        pod("fixed"),
    ]
    plan = plan_scale_down(pods, 5, max_skew=1, mirror=True)
    assert plan.uids == ("fixed", "late", "soon", "cheap", "dear")


def test_an_unready_pod_on_a_fixed_node_goes_before_a_ready_one_on_a_virtual_node() -> None:
    pods = [pod("virtual", tier=Tier.VIRTUAL), pod("starting", ready=False, deletion_cost=5)]
    plan = plan_scale_down(pods, 1, max_skew=1)
    assert plan.uids == ("starting",)
    assert plan.victims[0].reason is VictimReason.NOT_READY


@pytest.mark.parametrize("mirror", [False, True])
def test_a_pod_that_a_surge_replaces_goes_before_every_other_ready_one(*, mirror: bool) -> None:
    pods = [pod("virtual", tier=Tier.VIRTUAL), pod("moved", zone="b", replaced=True), pod("starting", ready=False)]
    plan = plan_scale_down(pods, 2, max_skew=1, mirror=mirror)
    assert plan.uids == ("starting", "moved")
    assert plan.victims[1].reason is VictimReason.REPLACED


def test_pods_that_serve_nothing_go_in_the_order_of_kubernetes() -> None:
    pods = [
        pod("ready"),
        pod("unready", ready=False),
        pod("unknown", phase=Phase.UNKNOWN, ready=False),
        pod("pending", phase=Phase.PENDING, ready=False),
        pod("unassigned", node="", phase=Phase.PENDING, ready=False),
    ]
    plan = plan_scale_down(pods, 4, max_skew=1)
    assert [v.reason for v in plan.victims] == [
        VictimReason.UNASSIGNED,
        VictimReason.PENDING,
        VictimReason.PHASE_UNKNOWN,
        VictimReason.NOT_READY,
    ]


def test_zones_come_before_elastic_and_fixed() -> None:
    pods = [
        pod("a-fixed-1", zone="a"),
        pod("a-fixed-2", zone="a"),
        pod("a-fixed-3", zone="a"),
        pod("b-elastic-1", zone="b", tier=Tier.ELASTIC, node_order=1),
    ]
    plan = plan_scale_down(pods, 2, max_skew=1)
    assert {uid[0] for uid in plan.uids} == {"a"}
    assert plan.victims[0].reason is VictimReason.ZONE_SKEW


def test_a_wider_skew_leaves_room_for_the_tiers() -> None:
    pods = [
        pod("a-fixed-1", zone="a"),
        pod("a-fixed-2", zone="a"),
        pod("b-elastic-1", zone="b", tier=Tier.ELASTIC, node_order=1),
        pod("b-elastic-2", zone="b", tier=Tier.ELASTIC, node_order=1),
    ]
    assert plan_scale_down(pods, 2, max_skew=2).uids == ("b-elastic-1", "b-elastic-2")
    assert {uid[0] for uid in plan_scale_down(pods, 2, max_skew=1).uids} == {"a", "b"}


def test_pods_in_no_zone_do_not_count_and_are_free_to_go_while_zones_are_even() -> None:
    pods = [
        pod("nowhere-1", zone="", tier=Tier.ELASTIC, node_order=9),
        pod("nowhere-2", zone="", tier=Tier.ELASTIC, node_order=9),
        pod("a", zone="a", tier=Tier.ELASTIC),
        pod("b", zone="b", tier=Tier.ELASTIC),
    ]
    assert set(plan_scale_down(pods, 2, max_skew=1).uids) == {"nowhere-1", "nowhere-2"}


def test_workloads_leave_the_same_elastic_node_whatever_their_pods_cost() -> None:
    pods = [
        pod("stays", tier=Tier.ELASTIC, node_order=1, deletion_cost=-1_900_000),
        pod("goes", tier=Tier.ELASTIC, node_order=2, deletion_cost=-1_000_000),
    ]
    assert plan_scale_down(pods, 1, max_skew=1).uids == ("goes",)


def test_on_fixed_nodes_the_fullest_node_gives_first() -> None:
    pods = [
        pod("alone", node="n1", created=9.0),
        pod("one", node="n2", created=1.0),
        pod("two", node="n2", created=2.0),
    ]
    plan = plan_scale_down(pods, 2, max_skew=1)
    assert plan.uids == ("two", "alone")
    assert [v.reason for v in plan.victims] == [VictimReason.FIXED_DOUBLED, VictimReason.FIXED]


LOADED = {"a": 100, "b": 0, "c": 40}
"""How much each zone is preferred for new replicas."""


def loaded(zone: str, number: int, **fields: Any) -> Candidate:
    return pod(f"{zone}{number}", zone=zone, zone_weight=LOADED[zone], **fields)


def test_the_least_loaded_zone_gives_first_within_the_skew() -> None:
    pods = [loaded(zone, number) for zone in LOADED for number in range(3)]
    assert [uid[0] for uid in plan_scale_down(pods, 9, max_skew=1).uids] == list("bcabcabca")
    wider = plan_scale_down(pods, 9, max_skew=2)
    assert [uid[0] for uid in wider.uids] == list("bbccabcaa")
    assert wider.victims[0].reason is VictimReason.ZONE_LOAD
    # Zones that count as equal give by the rules that follow.
    equal = [msgspec.structs.replace(one, zone_weight=0) for one in pods]
    assert plan_scale_down(equal, 1, max_skew=2).uids == ("a0",)


def test_the_load_of_zones_comes_after_the_tier_and_before_the_node() -> None:
    pods = [
        loaded("b", 0),
        loaded("a", 0, tier=Tier.ELASTIC, node_order=9),
        loaded("c", 0, tier=Tier.ELASTIC, node_order=1),
        loaded("c", 1, tier=Tier.ELASTIC, node_order=2),
        loaded("b", 1, node_hot=True),
    ]
    assert plan_scale_down(pods, 5, max_skew=5).uids == ("c1", "c0", "a0", "b1", "b0")


def test_in_a_rollout_the_load_of_zones_means_nothing() -> None:
    pods = [loaded("a", 0), loaded("b", 0)]
    assert plan_scale_down(pods, 1, max_skew=2, mirror=True).uids == ("a0",)


def test_of_fixed_nodes_with_as_many_pods_a_hot_one_gives_first() -> None:
    pods = [pod("new", node="n1", created=9.0), pod("hot", node="n2", node_hot=True), pod("old", node="n3")]
    plan = plan_scale_down(pods, 2, max_skew=1)
    assert plan.uids == ("hot", "new")
    assert [victim.reason for victim in plan.victims] == [VictimReason.FIXED_HOT, VictimReason.FIXED]


@pytest.mark.parametrize(
    ("pods", "first"),
    [
        ([pod("x", deletion_cost=0), pod("y", deletion_cost=-1)], "y"),
        ([pod("x", created=1.0), pod("y", created=2.0)], "y"),
        ([pod("x"), pod("y")], "x"),
    ],
    ids=["lowest stored cost", "newest", "uid"],
)
def test_among_equals(pods: list[Candidate], first: str) -> None:
    assert plan_scale_down(pods, 1, max_skew=1).uids == (first,)


@pytest.mark.parametrize("reason", VictimReason)
def test_every_reason_has_a_sentence(reason: VictimReason) -> None:
    victim = pod("web-1", node="n1", zone="z1", pool="eci-a", tier=Tier.VIRTUAL)
    assert explain(reason, victim).startswith("pod web-1 deleted: ")
    assert "{" not in explain(reason)
    if reason is VictimReason.VIRTUAL:
        tier = "virtual pool eci-a is the most expensive tier still in use"
        assert explain(reason, victim) == f"pod web-1 deleted: {tier}"
