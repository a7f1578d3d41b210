"""The sentences of `spillway explain`."""

from typing import Any, Literal

import pytest

from spillway.api.elasticpolicy import Placement, PolicyMode
from spillway.domain.explain.answers import PlannedMove
from spillway.domain.explain.words import (
    basis_sentence,
    decision_clause,
    kubernetes_clause,
    node_changes,
    placement_sentence,
    pod_changes,
    pod_reasons,
    rank_changes,
    taint_meaning,
)
from spillway.domain.model.names import HOT_TAINT, ZONE_LABEL, NodeName, PodUid, Tier
from spillway.domain.model.places import Claim
from spillway.domain.model.records import Pending, Phase, Taint
from spillway.domain.placement.decide import PlacementReason
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.threshold.basis import Basis
from spillway.domain.threshold.effective import EffectiveThreshold, ThresholdReason
from tests.builders import make_node, make_pod

CLAIM = Claim("online", "default", PolicyMode.ENFORCE, 1, ZONE_LABEL)
KEEPS_FOUR = EffectiveThreshold(4, ThresholdReason.MANUAL)


@pytest.mark.parametrize("reason", ThresholdReason)
def test_every_source_of_a_threshold_has_words(reason: ThresholdReason) -> None:
    three, everything = EffectiveThreshold(3, reason), EffectiveThreshold(None, reason)

    assert placement_sentence(CLAIM, Placement(), three).startswith("3 replicas are kept on physical nodes: ")
    assert placement_sentence(CLAIM, Placement(), everything).startswith("All replicas are")


@pytest.mark.parametrize("basis", Basis)
def test_every_basis_of_a_plan_has_words(basis: Basis) -> None:
    said = basis_sentence(basis.value, 62)

    assert said is not None
    assert said.startswith("The plan assumes ")
    assert ("62 %" in said) == (basis in {Basis.FORECAST, Basis.PAST_DAYS})
    assert "%" not in (basis_sentence(basis.value, None) or "%")


def test_a_basis_of_another_version_is_left_out() -> None:
    assert basis_sentence("", None) is None
    assert basis_sentence("Oracle", 1) is None


def test_workloads_that_are_not_placed() -> None:
    assert "No policy governs" in placement_sentence(None, None, None)
    assert "The class default of the policy online" in placement_sentence(CLAIM, None, None)


@pytest.mark.parametrize("mode", ["Never", "Always"])
def test_a_class_may_leave_the_threshold_no_choice(mode: Literal["Never", "Always"]) -> None:
    placement = Placement(virtual=mode)

    assert f"placement.virtual is {mode}" in placement_sentence(CLAIM, placement, KEEPS_FOUR)
    [said] = pod_changes(CLAIM, Tier.FIXED, KEEPS_FOUR, replicas=9, placement=placement)
    assert "Overflow" in said


@pytest.mark.parametrize("reason", PlacementReason)
def test_every_decision_has_words(reason: PlacementReason) -> None:
    assert decision_clause(reason, "more").endswith(": more")
    assert decision_clause(reason, "")


@pytest.mark.parametrize(
    ("marks", "tier", "words"),
    [
        pytest.param(("virtual", "eci-a,tke-b"), Tier.VIRTUAL, "these pools in this order: eci-a,tke-b", id="decided"),
        pytest.param(("physical", ""), Tier.VIRTUAL, "found no room on physical nodes", id="spilled"),
        pytest.param(("physical", ""), Tier.FIXED, "decided for physical nodes", id="physical"),
        pytest.param(("", ""), Tier.FIXED, "no annotation spillway.dev/placement", id="undecided"),
    ],
)
def test_why_a_pod_is_where_it_is(marks: tuple[str, str], tier: Tier, words: str) -> None:
    found = pod_reasons(make_pod(), make_node(ready=False), tier, "", placement=marks[0], pools=marks[1])

    assert words in (said := " ".join(found))
    assert "n1 is not ready" in said


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (
            PlannedMove("n1", "ZonalBalance/even"),
            "a move for ZonalBalance even, which planned the node n1: the pod prefers",
        ),
        (PlannedMove("n1", None), "prefers the node n1 to all others, as the additional replica of a move does"),
        (PlannedMove("n2", "ElasticPolicy/online"), "which planned the node n2; the scheduler found another one"),
    ],
)
@pytest.mark.parametrize("placement", ["", "physical"])
def test_a_move_planned_the_node_and_not_the_scheduler_alone(move: PlannedMove, words: str, placement: str) -> None:
    said = " ".join(pod_reasons(make_pod(), make_node(), Tier.FIXED, "", placement=placement, pools="", move=move))

    assert words in said
    assert "the scheduler chose this one" not in said
    assert "the scheduler alone" not in said


@pytest.mark.parametrize(
    ("pending", "words"),
    [
        (Pending(gated=True), "scheduling gate"),
        (Pending(reason="Unschedulable", message="0/3 nodes"), "(Unschedulable: 0/3 nodes)"),
        (None, "on no node."),
    ],
)
def test_a_pod_without_a_node(pending: Pending | None, words: str) -> None:
    waiting = make_pod(node=NodeName(""), phase=Phase.PENDING, pending=pending)

    assert words in next(pod_reasons(waiting, None, None, "", placement="", pools=""))


@pytest.mark.parametrize(
    ("claim", "tier", "words"),
    [
        pytest.param(None, Tier.FIXED, "no policy governs the workload", id="ungoverned"),
        pytest.param(CLAIM, Tier.VIRTUAL, "A threshold of 9 or more", id="virtual"),
        pytest.param(CLAIM, Tier.FIXED, "A threshold below 4", id="physical"),
        pytest.param(CLAIM, None, "no room for 60s, it may go to virtual nodes", id="waiting"),
    ],
)
def test_what_would_change_it(claim: Claim | None, tier: Tier | None, words: str) -> None:
    assert words in next(pod_changes(claim, tier, KEEPS_FOUR, replicas=9, placement=Placement()))


def test_a_virtual_replica_is_brought_back_only_if_its_class_says_so() -> None:
    for placement, expected in ((Placement(), True), (Placement(bring_back=False), False)):
        said = " ".join(pod_changes(CLAIM, Tier.VIRTUAL, KEEPS_FOUR, replicas=9, placement=placement))
        assert ("is brought back" in said) is expected


def test_a_policy_in_recommend_is_said_first() -> None:
    claim = Claim("online", "default", PolicyMode.RECOMMEND, 1, ZONE_LABEL)

    assert "mode Recommend" in next(pod_changes(claim, Tier.FIXED, None, replicas=1, placement=None))


@pytest.mark.parametrize("decided_by", ["Spillway", "Kubernetes", "OtherClient", "Ordinal"])
def test_when_a_pod_goes(decided_by: str) -> None:
    assert rank_changes(2, 5, decided_by).startswith("It is deleted when its owner is scaled to 3 replicas or fewer")


def test_the_last_pod_goes_with_all() -> None:
    assert rank_changes(5, 5, "Spillway").startswith("It is deleted when its owner is scaled to 0 replicas.")


def test_the_rules_of_kubernetes() -> None:
    ready = Candidate(uid=PodUid("a"), node=NodeName("n1"), deletion_cost=-5)

    assert "this pod: -5" in kubernetes_clause(ready)
    assert "not ready" in kubernetes_clause(Candidate(uid=PodUid("a"), node=NodeName("n1"), ready=False))


@pytest.mark.parametrize(
    ("node", "facts", "words"),
    [
        pytest.param({"unschedulable": True, "cordoned_by": "eci-a"}, {}, "uncordon eci-a", id="cordoned"),
        pytest.param({"unschedulable": True}, {}, "Another client", id="closed-by-another"),
        pytest.param({}, {"elastic": True, "staying": 2}, "2 of its pods", id="kept"),
        pytest.param({}, {"elastic": True, "emptied": 1}, "The next scale-downs", id="next"),
        pytest.param({"taints": (Taint(HOT_TAINT, "PreferNoSchedule"),)}, {}, "removes its soft taints", id="hot"),
    ],
)
def test_what_would_change_a_node(node: dict[str, Any], facts: dict[str, Any], words: str) -> None:
    given = {"staying": 0, "elastic": False, "emptied": None, **facts}

    assert words in " ".join(node_changes(make_node(**node), **given))


def test_only_taints_of_spillway_have_a_meaning() -> None:
    assert taint_meaning(Taint(HOT_TAINT, "PreferNoSchedule"))
    assert taint_meaning(Taint("dedicated", "NoSchedule")) is None
