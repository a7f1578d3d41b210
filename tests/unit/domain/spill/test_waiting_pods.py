"""Which waiting pods change sides, which way they go, and what keeps them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.elasticpolicy import Placement, WorkloadClass
from spillway.api.podoverlay import PodOverlay
from spillway.api.virtualnodebudget import VirtualNodeBudgetSpec
from spillway.domain.model.names import POOLS, RESERVATION, OwnerUid
from spillway.domain.model.records import NodeRecord, Pending, Phase, PodRecord, Taint
from spillway.domain.placement.pools import Pool
from spillway.domain.spill.waiting_pods import (
    INITIALISING_SECONDS,
    LONGEST_TURN_SECONDS,
    NODE_START_SECONDS,
    NOMINATED_SECONDS,
    TURNS_FORGOTTEN_SECONDS,
    Direction,
    Due,
    SpillPlan,
    StayReason,
    Turns,
    due,
    is_starting,
    keeps,
    plan_spill,
    spill_additions,
)
from tests.builders import make_node, make_pod
from tests.support.json_patch import applied

PLACEMENT = Placement.model_validate({"spillAfter": "60s"})
NEVER = Placement.model_validate({"virtual": "Never"})
ALWAYS = Placement.model_validate({"virtual": "Always"})


def waiting(since: float = 1000.0, **marks: Any) -> PodRecord:
    return make_pod(node="", phase=Phase.PENDING, pending=Pending(unschedulable_since=since, **marks))


@pytest.mark.parametrize(
    ("pod", "placement", "wanted"),
    [
        pytest.param(waiting(placement="physical"), PLACEMENT, Due(Direction.SPILL, 1060.0), id="physical"),
        pytest.param(waiting(), PLACEMENT, Due(Direction.SPILL, 1060.0), id="made while we were away"),
        pytest.param(
            waiting(placement="physical"),
            WorkloadClass(name="x").effective_placement,
            Due(Direction.SPILL, 1060.0),
            id="a class with a threshold only",
        ),
        pytest.param(
            waiting(placement="physical"), ALWAYS, Due(Direction.SPILL, 1060.0), id="Always, no pool was open"
        ),
        pytest.param(waiting(placement="physical"), NEVER, None, id="Never"),
        pytest.param(
            waiting(placement="virtual", pools="eci"), PLACEMENT, Due(Direction.RECALL, 1060.0), id="no pool took it"
        ),
        pytest.param(
            waiting(placement="virtual", pools="eci"), ALWAYS, Due(Direction.RECALL, 1060.0), id="nor this one"
        ),
        pytest.param(waiting(since=0.0, placement="physical"), PLACEMENT, None, id="not tried yet"),
        pytest.param(make_pod(), PLACEMENT, None, id="running"),
        pytest.param(
            make_pod(phase=Phase.PENDING, pending=Pending(unschedulable_since=1000.0)), PLACEMENT, None, id="bound"
        ),
        pytest.param(
            make_pod(node="", phase=Phase.PENDING, terminating=True, pending=Pending(unschedulable_since=1000.0)),
            PLACEMENT,
            None,
            id="terminating",
        ),
    ],
)
def test_who_is_due_and_when(pod: PodRecord, placement: Placement, wanted: Due | None) -> None:
    assert due(pod, placement) == wanted


def test_a_pod_waits_only_briefly_for_nodes_that_their_cloud_does_not_initialise() -> None:
    pod = waiting(placement="virtual", pools="eci")
    assert due(pod, PLACEMENT, initialising=True) == Due(Direction.RECALL, 1000.0 + INITIALISING_SECONDS)


@pytest.mark.parametrize(
    ("placement", "spilled_at", "closed", "wanted"),
    [
        pytest.param(PLACEMENT, 1060.0, False, Due(Direction.SPILL, 1120.0), id="its pools have their time too"),
        pytest.param(PLACEMENT, 1060.0, True, Due(Direction.SPILL, 1060.0), id="they are closed"),
        pytest.param(NEVER, 1060.0, True, None, id="Never by now"),
    ],
)
def test_one_that_has_spilled_already_spills_once_more(
    *, placement: Placement, spilled_at: float, closed: bool, wanted: Due | None
) -> None:
    pod = waiting(placement="physical", pools="eci")
    assert due(pod, placement, spilled_at=spilled_at, closed=closed) == wanted
    assert due(pod, placement, spilled_at=spilled_at, closed=closed, everywhere=True) is None, "no pool is left"


@pytest.mark.parametrize(
    ("spec", "status", "late", "wanted"),
    [
        pytest.param({}, {}, 0.0, None, id="nothing helps it"),
        pytest.param({"priority": 0}, {}, 0.0, None, id="ordinary priority"),
        pytest.param({"priority": -10}, {}, 0.0, StayReason.EXPENDABLE, id="a balloon"),
        pytest.param({"schedulingGates": [{"name": "quota"}]}, {}, 0.0, StayReason.GATED, id="gated"),
        pytest.param({"hostNetwork": True}, {}, 0.0, StayReason.UNSUITABLE, id="virtual nodes cannot run it"),
        pytest.param({}, {"nominatedNodeName": "n1"}, 0.0, StayReason.NOMINATED, id="a balloon makes room"),
        pytest.param({}, {"nominatedNodeName": "n1"}, NOMINATED_SECONDS, None, id="and never went"),
        pytest.param({}, {"nominatedNodeName": ""}, 0.0, None, id="nomination taken back"),
    ],
)
def test_what_keeps_a_pod(spec: dict[str, Any], status: dict[str, Any], late: float, wanted: StayReason | None) -> None:
    assert keeps({"spec": spec, "status": status}, late_seconds=late) is wanted


def test_a_local_volume_keeps_it_too() -> None:
    pod = {"spec": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}]}}
    assert keeps(pod, late_seconds=0.0) is None
    assert keeps(pod, late_seconds=0.0, local_claims=["data-0"]) is StayReason.UNSUITABLE


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"ready": False}, True),
        ({"ready": False, "unschedulable": True}, True),
        ({"ready": True}, True),
        ({"unschedulable": True}, False),
        ({"ready": False, "deleting": True}, False),
    ],
)
def test_a_node_on_its_way(*, changes: dict[str, Any], wanted: bool) -> None:
    node = make_node(created=1000.0, **changes)
    assert is_starting(node, 1000.0 + NODE_START_SECONDS - 1) is wanted
    assert not is_starting(node, 1000.0 + NODE_START_SECONDS)


def virtual(name: str, provider: str = "eci", **changes: Any) -> NodeRecord:
    taint = Taint("virtual-kubelet.io/provider", "NoSchedule", provider)
    return make_node(name, labels={"provider": provider}, taints=(taint,), **changes)


def pool(name: str, *nodes: NodeRecord, closed: str = "", step: int = 0, **overlay: Any) -> Pool:
    spec = {"nodeSelector": {"matchLabels": {"a": "b"}}, **({"podOverlay": overlay} if overlay else {})}
    return Pool(name, VirtualNodeBudgetSpec.model_validate(spec), nodes, closed, step)


def toleration(provider: str) -> dict[str, str]:
    key = "virtual-kubelet.io/provider"
    return {"key": key, "operator": "Equal", "value": provider, "effect": "NoSchedule"}


ECI, ECI_B, TKE = pool("eci-a", virtual("v1")), pool("eci-b", virtual("v2")), pool("tke-b", virtual("v3", "tke"))
TO_ECI, TO_TKE = SpillPlan(("eci-a",), (toleration("eci"),)), SpillPlan(("tke-b",), (toleration("tke"),))
REPLACED = replace(TO_ECI, in_place=False)
SIDECAR = {"name": "logs", "image": "shipper:1"}


@pytest.mark.parametrize(
    ("spec", "pools", "wanted"),
    [
        pytest.param({}, [ECI, TKE], TO_ECI, id="the first in order"),
        pytest.param({}, [], None, id="none is listed"),
        pytest.param({}, [pool("eci-a")], None, id="none has a node"),
        pytest.param({}, [pool("eci-a", virtual("v1", unschedulable=True))], None, id="its nodes are closed"),
        pytest.param({}, [pool("eci-a", virtual("v1"), closed="is held"), TKE], TO_TKE, id="held"),
        pytest.param({}, [pool("eci-a", virtual("v1", ready=False)), TKE], TO_TKE, id="dead"),
        pytest.param({"nodeSelector": {"provider": "tke"}}, [ECI, TKE], TO_TKE, id="the user's selector chooses"),
        pytest.param({"nodeSelector": {"pool": "fixed"}}, [ECI, TKE], None, id="the user's selector forbids"),
        pytest.param({}, [ECI, ECI_B], replace(TO_ECI, pools=("eci-a", "eci-b")), id="one taint, two pools"),
        pytest.param({}, [ECI, pool("eci-b", virtual("v2"), closed="is held")], REPLACED, id="one taint, one held"),
        pytest.param({}, [ECI, pool("eci-b", virtual("v2"), labels={"a": "b"})], REPLACED, id="two overlays"),
        pytest.param({}, [pool("eci-a", virtual("v1"), labels={"a": "b"})], TO_ECI, id="labels are patched"),
        pytest.param({}, [pool("eci-a", virtual("v1"), sidecars=[SIDECAR])], REPLACED, id="a sidecar is not"),
        pytest.param({}, [pool("eci-a", virtual("v1"), step=1)], REPLACED, id="nor is a bigger size"),
    ],
)
def test_the_way_to_virtual_nodes(spec: dict[str, Any], pools: list[Pool], wanted: SpillPlan | None) -> None:
    assert plan_spill({"spec": spec}, pools, lambda _: "") == wanted


def test_a_pool_at_its_limit_is_passed_over_and_not_reached_either() -> None:
    def full(one: Pool) -> str:
        return "is at its limit (pods)" if one.name == "eci-b" else ""

    assert plan_spill({"spec": {}}, [ECI_B, TKE], full) == TO_TKE
    assert plan_spill({"spec": {}}, [ECI, ECI_B], full) == REPLACED


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        pytest.param(ECI, TKE, replace(TO_TKE, pools=("tke-b", "eci-a")), id="it goes on to reach the first"),
        pytest.param(pool("eci-a"), TKE, replace(TO_TKE, pools=("tke-b", "eci-a")), id="also one without nodes now"),
        pytest.param(
            pool("eci-a", virtual("v1"), closed="is held"),
            TKE,
            replace(TO_TKE, pools=("tke-b", "eci-a")),
            id="also one that is closed now",
        ),
        pytest.param(
            pool("eci-a", virtual("v1"), labels={"a": "b"}),
            TKE,
            replace(TO_TKE, in_place=False),
            id="what the first has put on it is not for the second",
        ),
        pytest.param(ECI, pool("tke-b"), None, id="nothing else is left"),
    ],
)
def test_the_way_from_a_pool_that_did_not_take_it(first: Pool, second: Pool, wanted: SpillPlan | None) -> None:
    pod = {"metadata": {"annotations": {POOLS: "eci-a"}}, "spec": {"tolerations": [toleration("eci")]}}

    def full(one: Pool) -> str:
        return "is at its limit (pods)" if one is first else ""

    assert plan_spill(pod, [first, second], full) == wanted


def test_the_way_to_a_pool_that_is_avoided() -> None:
    assert plan_spill({"spec": {}}, [ECI, TKE], lambda _: "", avoid={"eci-a"}) == TO_TKE
    assert plan_spill({"spec": {}}, [ECI], lambda _: "", avoid={"eci-a"}) is None
    assert plan_spill({"spec": {}}, [ECI, TKE], lambda _: "", left_out={"eci-a": "a pod was refused"}) == TO_TKE


def test_a_patch_must_not_open_the_way_to_a_pool_of_somebody_else() -> None:
    assert plan_spill({"spec": {}}, [ECI], lambda _: "", [pool("theirs", virtual("v9"))]) == REPLACED
    assert plan_spill({"spec": {}}, [ECI], lambda _: "", [pool("theirs", virtual("v9", "tke"))]) == TO_ECI


def test_what_is_added_to_a_pod_that_spills_in_place() -> None:
    overlay = PodOverlay.model_validate({"annotations": {"eci/cache": "true"}, "labels": {"team": "pool"}})
    theirs = {"key": "dedicated", "operator": "Exists"}
    metadata = {"annotations": {RESERVATION: "old"}, "labels": {"team": "shop"}}
    pod = {"metadata": metadata, "spec": {"tolerations": [theirs]}}

    additions, conflicts = spill_additions(pod, TO_ECI, overlay, "token")

    after = applied(pod, additions)
    assert after["spec"]["tolerations"] == [theirs, toleration("eci")]
    assert after["metadata"]["annotations"] == {RESERVATION: "token", POOLS: "eci-a", "eci/cache": "true"}
    assert after["metadata"]["labels"] == {"team": "shop"}, "what the user set stays"
    assert len(conflicts) == 1


def test_a_pod_without_any_map_gets_them() -> None:
    overlay = PodOverlay.model_validate({"labels": {"team": "pool"}})
    pod: dict[str, Any] = {"metadata": {}, "spec": {}}
    after = applied(pod, spill_additions(pod, TO_ECI, overlay, "token")[0])
    assert after["metadata"] == {"annotations": {RESERVATION: "token", POOLS: "eci-a"}, "labels": {"team": "pool"}}


OWNER = OwnerUid("rs-web")


def test_many_pods_of_an_owner_may_go_the_same_way_at_once() -> None:
    turns = Turns()
    for _ in range(50):
        assert turns.wait(OWNER, Direction.RECALL, 1000.0, 60.0) == 0.0
        turns.note(OWNER, Direction.RECALL, 1000.0)
    assert turns.wait(OWNER, Direction.SPILL, 1010.0, 60.0) == 50.0
    assert turns.wait(OwnerUid("rs-other"), Direction.SPILL, 1010.0, 60.0) == 0.0


@given(st.lists(st.tuples(st.sampled_from(list(Direction)), st.integers(1, 4000)), max_size=60))
def test_each_change_of_direction_waits_longer(story: list[tuple[Direction, int]]) -> None:
    turns, now = Turns(), 0.0
    last: Direction | None = None
    changes: list[float] = []
    at = 0.0
    for move, seconds in story:
        now += seconds
        if turns.wait(OWNER, move, now, 60.0):
            continue
        turns.note(OWNER, move, now)
        if now - at >= TURNS_FORGOTTEN_SECONDS:
            changes.clear()
        elif last not in {None, move}:
            changes.append(now - at)
        last, at = move, now
    # What is older than that is forgotten, and the pauses begin small again.
    for index, gap in enumerate(changes):
        assert gap >= min(LONGEST_TURN_SECONDS, 60.0 * 2**index)
