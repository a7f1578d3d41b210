"""One decision after the other, by the real counts, policies and limits."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.fit import other_pods
from spillway.domain.fit.node_affinity import allows
from spillway.domain.fit.taint_toleration import INITIALISING
from spillway.domain.model import names
from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.owners import workload_of
from spillway.domain.model.pod_terms import required_pod_terms
from spillway.domain.model.records import Pending, Phase, Taint
from spillway.domain.model.usage import Usage
from spillway.domain.placement.decide import PlacementReason
from spillway.domain.placement.plan import NewPod, PodPlacement
from spillway.domain.placement.refusals import PoolChanges
from spillway.domain.policies.governance import Governance
from spillway.domain.pools.verdict import PoolVerdict
from spillway.state.board import Board
from spillway.state.mark_proof import MarkProof
from spillway.state.pool_membership import PoolMembership
from spillway.state.reservations import SETTLE_SECONDS, Reservations
from spillway.state.usage import LiveUsage
from spillway.webhooks.placer import NOT_APPEARED, Placer
from tests.builders import VAST, make_namespace, make_node, make_pod, make_replicaset, make_state
from tests.support.json_patch import added, applied
from tests.support.placement import incoming, labels_of, manual, placing, taint_of

OWNER = OwnerUid("rs-web")


class Scene:
    """A placer over a state of one node a pool and one fixed node."""

    def __init__(self, governance: Governance, proof: MarkProof | None = None) -> None:
        self.state = make_state()
        self.state.apply(make_node("f1"))
        for pool in governance.budgets:
            self.state.apply(make_node(f"v-{pool}", labels=labels_of(pool), taints=(taint_of(pool),), **VAST))
        self.governance = governance
        self.seconds = 1000.0
        self.board = Board(lambda: self.seconds)
        membership = PoolMembership(self.state, lambda: self.governance, proof=proof)
        self.usage = LiveUsage(self.state, membership, Reservations(lambda: self.seconds))
        self.placer = Placer(self.usage, self.board, lambda: self.governance)

    def new_pod(self, pod: Mapping[str, Any] | None = None, **changes: Any) -> NewPod:
        claim = self.governance.claim(make_namespace("shop"), "Deployment", {"app": "web"})
        assert claim is not None
        workload_class = self.governance.class_of(claim)
        assert workload_class is not None
        return NewPod(pod or incoming(), OWNER, "Deployment/shop/web", claim, workload_class, **changes)

    def place(self, pod: Mapping[str, Any] | None = None, *, act: bool = True, **changes: Any) -> PodPlacement:
        return self.placer.place(self.new_pod(pod, **changes), act=act)


def _result(placed: PodPlacement, pod: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """The pod with the patch applied."""
    return applied(pod or incoming(), placed.additions)


def _said(placed: PodPlacement) -> tuple[str, PlacementReason]:
    return placed.decision.nodes.value, placed.decision.reason


def test_a_burst_that_nobody_has_seen_yet_lands_exactly_as_the_threshold_says() -> None:
    scene = Scene(placing(manual(12)))
    decisions = [scene.place().decision.virtual for _ in range(30)]
    assert decisions == [False] * 12 + [True] * 18


def test_marks_copied_into_a_template_do_not_make_a_physical_pod_look_spilled() -> None:
    scene = Scene(placing(manual(1)))
    pod = incoming()
    copied = {**pod, "metadata": {**pod.get("metadata", {}), "annotations": {names.POOLS: "a", "mine": "1"}}}
    marks = _result(scene.place(copied), copied)["metadata"]["annotations"]
    assert (marks[names.PLACEMENT], marks[names.POOLS], marks["mine"]) == ("physical", "", "1")


def test_a_virtual_pod_may_run_on_the_pools_alone_and_tolerates_them() -> None:
    scene = Scene(placing(manual(0), {"a": {}, "b": {}}))
    pod = _result(placed := scene.place())
    assert placed.pools == ("a", "b")
    assert not allows(pod["spec"], scene.state.nodes[make_node("f1").name])
    assert all(allows(pod["spec"], make_node(f"v-{pool}", labels=labels_of(pool))) for pool in "ab")
    assert [toleration["value"] for toleration in pod["spec"]["tolerations"]] == ["a", "b"]
    marks = pod["metadata"]["annotations"]
    assert marks[names.PLACEMENT] == "virtual"
    assert marks[names.POOLS] == "a,b"
    assert marks[names.POLICY] == "online"
    assert scene.usage.reservations.get(marks[names.RESERVATION]) is not None


def test_a_physical_pod_gets_marks_and_nothing_else() -> None:
    scene = Scene(placing(manual(1)))
    pod = _result(scene.place())
    assert pod["spec"] == incoming()["spec"]
    assert set(pod["metadata"]["annotations"]) == {names.PLACEMENT, names.RESERVATION, names.POLICY}


def test_a_dry_run_promises_nothing_and_uses_no_redirect_up() -> None:
    scene = Scene(placing(manual(1)))
    scene.board.redirect(OWNER, virtual=True)
    for _ in range(3):
        placed = scene.place(act=False)
        assert _said(placed) == ("physical", PlacementReason.BELOW_THRESHOLD)
        assert names.RESERVATION not in _result(placed)["metadata"]["annotations"]
    assert scene.usage.total(OWNER) == 0
    assert _said(scene.place()) == ("virtual", PlacementReason.REPLACED)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"threshold": {"mode": "Auto"}}, ("physical", PlacementReason.LEARNING_HISTORY)),
        ({"placement": {}}, ("physical", PlacementReason.NO_THRESHOLD)),
        ({"placement": {"virtual": "Always"}}, ("virtual", PlacementReason.ALWAYS)),
        (manual(0, virtual="Never"), ("physical", PlacementReason.NEVER)),
        (manual(0), ("virtual", PlacementReason.BEYOND_THRESHOLD)),
    ],
)
def test_the_class_says_how(given: dict[str, Any], expected: tuple[str, PlacementReason]) -> None:
    assert _said(Scene(placing(given)).place()) == expected


def test_the_plan_and_the_annotation_count() -> None:
    scene = Scene(placing({"threshold": {"mode": "Auto"}}))
    scene.board.thresholds = {"Deployment/shop/web": 1}
    assert [scene.place().decision.virtual for _ in range(2)] == [False, True]
    assert not scene.place(annotation="3").decision.virtual
    placed = scene.place(annotation="many")
    assert placed.decision.virtual
    assert not scene.placer.may_be_virtual(scene.new_pod(annotation="9"))
    assert scene.placer.may_be_virtual(scene.new_pod())


def test_a_bad_annotation_is_told() -> None:
    scene = Scene(placing(manual(3)))
    assert "must be a whole number" in scene.place(annotation="many").problem


def test_a_job_has_no_threshold() -> None:
    assert _said(Scene(placing(manual(0))).place(numbered=False)) == ("physical", PlacementReason.NO_THRESHOLD)


def test_a_redirect_is_followed_once() -> None:
    scene = Scene(placing(manual(0), {"a": {}, "b": {}}))
    scene.board.redirect(OWNER, physical=True)
    scene.board.redirect(OWNER, avoid=frozenset({"a"}))
    assert _said(scene.place()) == ("physical", PlacementReason.REPLACED)
    assert scene.place().pools == ("b",)
    assert scene.place().pools == ("a", "b")


def test_every_pod_of_an_owner_avoids_the_pools_that_did_not_take_one_of_them() -> None:
    scene = Scene(placing(manual(0), {"a": {}, "b": {}}))
    scene.board.avoid(OWNER, {"a"}, 600.0, namespace="shop")
    assert [scene.place().pools for _ in range(3)] == [("b",)] * 3
    scene.board.avoid(OWNER, {"b"}, 600.0, namespace="shop")
    placed = scene.place()
    assert _said(placed) == ("physical", PlacementReason.NO_POOL)
    assert "b: did not take one of its workload's pods" in placed.because
    scene.seconds += 600
    assert scene.place().pools == ("a", "b")


def test_what_virtual_nodes_cannot_run_stays_and_says_why() -> None:
    placed = Scene(placing(manual(0))).place(incoming(hostNetwork=True))
    assert _said(placed) == ("physical", PlacementReason.UNSUITABLE)
    assert "hostNetwork" in placed.because


@pytest.mark.parametrize(
    ("spec", "verdict", "says"),
    [
        ({"cordon": "Hold"}, PoolVerdict(), "a: is held"),
        ({"cordon": "Hold", "cordonUntil": "1970-01-01T00:16:39Z"}, PoolVerdict(), ""),
        ({}, PoolVerdict(takes=False, reason="Unhealthy"), "a: is unhealthy"),
        ({}, PoolVerdict(takes=False, reason="OutOfStock"), "a: is out of stock"),
        ({"limits": {"pods": 0}}, PoolVerdict(), "a: is at its limit (pods)"),
        ({"limits": {"cpu": "400m"}}, PoolVerdict(), "a: is at its limit (cpu)"),
    ],
)
def test_a_pool_that_takes_nothing_is_passed_over(spec: dict[str, Any], verdict: PoolVerdict, says: str) -> None:
    scene = Scene(placing(manual(0), {"a": spec}))
    scene.board.verdicts = {"a": verdict}
    placed = scene.place()
    assert placed.decision.virtual == (not says)
    assert says in placed.because
    with_next = Scene(placing(manual(0), {"a": spec, "b": {}}))
    with_next.board.verdicts = {"a": verdict}
    assert with_next.place().pools == (("b",) if says else ("a", "b"))


def test_a_pool_is_passed_over_while_no_node_of_it_is_ready_and_open_again_at_once() -> None:
    scene = Scene(placing(manual(0), {"a": {}, "b": {}}))
    node = make_node("v-a", labels=labels_of("a"), taints=(taint_of("a"),))
    assert scene.place().pools == ("a", "b")
    scene.state.apply(msgspec.structs.replace(node, ready=False))
    assert scene.place().pools == ("b",)
    scene.state.apply(node)
    assert scene.place().pools == ("a", "b")


def test_a_pool_is_open_again_as_soon_as_its_budget_says_so() -> None:
    scene = Scene(placing(manual(0), {"a": {"cordon": "Hold"}}))
    assert not scene.place().decision.virtual
    scene.governance = placing(manual(0), {"a": {}})
    assert scene.place().decision.virtual


def test_a_burst_stays_within_the_limits_whatever_the_informer_shows_of_it() -> None:
    scene = Scene(placing(manual(0), {"a": {"limits": {"cpu": "2"}}, "b": {"limits": {"pods": 3}}}))
    placed = [scene.place(incoming(cpu="500m")) for _ in range(10)]
    assert [one.pools for one in placed] == [("a", "b")] * 3 + [("a",)] + [()] * 6
    assert scene.usage.on("a").used.cpu_millis == 2000


def _resized(scene: Scene, pool: str, **changes: Any) -> None:
    node = scene.state.nodes[NodeName(f"v-{pool}")]
    scene.state.apply(msgspec.structs.replace(node, **changes))


@pytest.mark.parametrize(
    "room",
    [
        pytest.param({"cpu_millis": 2_100}, id="cpu"),
        pytest.param({"memory_bytes": 4 << 30}, id="memory"),
        pytest.param({"pods_allocatable": 4}, id="pods"),
    ],
)
def test_a_burst_fills_the_nodes_of_a_pool_and_no_more(room: dict[str, int]) -> None:
    scene = Scene(placing(manual(0), {"a": {}, "b": {}}))
    _resized(scene, "a", **room)
    placed = [scene.place(incoming(cpu="500m")) for _ in range(6)]
    assert [one.pools for one in placed] == [("a", "b")] * 4 + [("b",)] * 2
    _resized(scene, "b", pods_allocatable=2)
    kept = scene.place()
    assert _said(kept) == ("physical", PlacementReason.NO_POOL)
    assert "a: has no node with room for it; b: has no node with room for it" in kept.because


def test_a_pod_that_is_larger_than_what_any_node_has_left_finds_no_room() -> None:
    scene = Scene(placing(manual(0)))
    labels, taints = labels_of("a"), (taint_of("a"),)
    for index in (1, 2):
        scene.state.apply(make_node(f"v-a-{index}", labels=labels, taints=taints, cpu_millis=3000))
    _resized(scene, "a", cpu_millis=3000)
    assert not scene.place(incoming(cpu="4")).decision.virtual, "9 cores are free, and 3 on one node"
    scene.state.apply(make_pod("held", node="v-a", cpu_millis=2000))
    assert scene.place(incoming(cpu="3")).decision.virtual
    scene.state.apply(make_pod("other", node="v-a-1", cpu_millis=500))
    scene.state.apply(make_pod("another", node="v-a-2", cpu_millis=500))
    assert not scene.place(incoming(cpu="3")).decision.virtual


def test_a_pool_all_of_whose_nodes_have_a_taint_for_a_while_is_passed_over() -> None:
    scene = Scene(placing(manual(0), {"a": {}, "b": {}}))
    unavailable = Taint("node.kubernetes.io/network-unavailable", "NoSchedule")
    _resized(scene, "a", taints=(taint_of("a"), unavailable))
    assert scene.place().pools == ("b",)
    _resized(scene, "b", taints=(taint_of("b"), unavailable))
    assert "a: has no node without the taint node.kubernetes.io/network-unavailable" in scene.place().because


def test_a_node_that_is_about_to_be_initialised_takes_pods_in_a_moment() -> None:
    scene = Scene(placing(manual(0)))
    _resized(scene, "a", taints=(taint_of("a"), Taint(str(INITIALISING["key"]), "NoSchedule", "true")))
    assert scene.place().pools == ("a",)


@pytest.mark.parametrize(
    "affinity",
    [
        pytest.param([{"topologyKey": f"zone-{index}", "labelSelector": {}} for index in range(9)], id="many terms"),
        pytest.param([{"topologyKey": "zone", "labelSelector": {}, "namespaceSelector": {}}], id="many pods"),
    ],
)
def test_a_pod_that_takes_too_long_to_compare_stays_physical(
    affinity: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_pods, "COMPARED_MAX", 2)
    scene = Scene(placing(manual(0)))
    for index in range(3):
        scene.state.apply(make_pod(f"other-{index}", namespace="others"))
    required = {"requiredDuringSchedulingIgnoredDuringExecution": affinity}
    kept = scene.place(incoming(affinity={"podAntiAffinity": required}))
    assert _said(kept) == ("physical", PlacementReason.NO_POOL)
    assert "can only be asked about" in kept.because


def test_the_months_cost_must_be_known_where_it_is_limited() -> None:
    price = {"currency": "CNY", "cpuHour": "3600", "memoryGiBHour": "0", "minimumSeconds": 1}
    scene = Scene(placing(manual(0), {"a": {"limits": {"costPerMonth": "10"}, "price": price}}))
    assert "not known yet" in scene.place().because
    scene.board.spent = {"a": Decimal(9)}
    assert [scene.place(incoming(cpu="500m")).decision.virtual for _ in range(3)] == [True, True, False]


def test_a_ladder_makes_the_pod_bigger_and_counts_it_so() -> None:
    stock = {"detect": [{"reason": "NoStock"}], "ladder": [{"cpu": "2", "memory": "4Gi"}]}
    scene = Scene(placing(manual(0), {"a": {"stockOut": stock}}))
    scene.board.verdicts = {"a": PoolVerdict(step=1)}
    pod = _result(scene.place())
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "2", "memory": "4096Mi"}
    assert scene.usage.on("a").used == Usage(1, 2000, 4 << 30)


def test_a_size_asked_by_annotation_is_billed_and_marked() -> None:
    stock = {
        "detect": [{"reason": "NoStock"}],
        "ladder": [{"cpu": "2", "memory": "4Gi"}],
        "annotation": {"key": "example.com/specs"},
    }
    scene = Scene(placing(manual(0), {"a": {"stockOut": stock}}))
    scene.board.verdicts = {"a": PoolVerdict(step=1)}
    pod = _result(scene.place())
    assert pod["metadata"]["annotations"]["example.com/specs"] == "2-4Gi"
    assert pod["metadata"]["annotations"][names.SIZE] == f"2000m-{4 << 30}"
    assert scene.usage.on("a").used == Usage(1, 500, 1 << 30)
    assert scene.usage.on("a").billed == Usage(1, 2000, 4 << 30)


def test_the_mark_of_a_size_has_a_proof_and_none_that_a_user_wrote_is_signed() -> None:
    stock = {
        "detect": [{"reason": "NoStock"}],
        "ladder": [{"cpu": "2", "memory": "4Gi"}, {"cpu": "64", "memory": "4Gi"}],
        "annotation": {"key": "example.com/specs"},
    }
    scene = Scene(placing(manual(0), {"a": {"stockOut": stock}}), MarkProof())
    scene.board.verdicts = {"a": PoolVerdict(step=1)}
    membership, forged = scene.usage.membership, f"64000m-{4 << 30}"

    mark = _result(scene.place())["metadata"]["annotations"][names.SIZE]
    assert membership.size_in(mark, "shop", OWNER) == f"2000m-{4 << 30}"
    for own in ({names.SIZE: forged}, {names.SIZE: forged, "example.com/specs": "64-4Gi"}):
        pod = incoming()
        pod["metadata"]["annotations"] = own
        mark = _result(scene.place(pod), pod)["metadata"]["annotations"][names.SIZE]
        assert membership.size_in(mark, "shop", OWNER) != forged
    again = scene.new_pod(_result(scene.place()))
    assert scene.placer.reinvoked(again)
    assert scene.usage.on("a").billed == Usage(4, 6500, 13 << 30), "three of two cores, and one of its own requests"


def test_pods_that_never_come_close_no_pool_and_pass_no_limit() -> None:
    """A quota refuses each of them, after a place was reserved; the next ones are decided without waiting for it."""
    scene = Scene(placing(manual(0), {"a": {"limits": {"cpu": "20"}}}))
    huge = incoming(cpu="19")
    assert scene.place(huge).decision.virtual
    assert not scene.place(huge).decision.virtual, "for a while it has its place"
    scene.seconds += 11.0
    found = [scene.place(huge) for _ in range(20)]
    assert [one.decision.virtual for one in found] == [True] + [False] * 19, "one at a time is tried"
    assert NOT_APPEARED in found[1].because
    assert scene.usage.on("a").used == Usage(), "and it closes the pool for no one"

    scene.state.apply(make_pod("seen", owner_uid=OWNER, node=NodeName("v-a"), cpu_millis=500, memory_bytes=1 << 30))
    assert scene.place(incoming(cpu="500m")).decision.virtual, "as much as exists may be added at once"
    assert not scene.place(incoming(cpu="500m")).decision.virtual


def test_the_first_pools_overlay_is_put_on_and_its_sidecars_are_paid_for() -> None:
    sidecar = {"name": "agent", "image": "agent:1", "resources": {"requests": {"cpu": "100m", "memory": "1Mi"}}}
    scene = Scene(placing(manual(0), {"a": {"podOverlay": {"labels": {"x": "y"}, "sidecars": [sidecar]}}, "b": {}}))
    placed = scene.place()
    pod = _result(placed)
    assert placed.pools == ("a",)
    assert pod["metadata"]["labels"] == {"app": "web", "x": "y"}
    assert pod["spec"]["initContainers"][0]["name"] == "agent"
    assert scene.usage.on("a").used == Usage(1, 600, (1 << 30) + (1 << 20))


def test_landing_variables_are_on_every_pod_of_the_class_whatever_its_tier() -> None:
    scene = Scene(placing(manual(1), {"a": {"podOverlay": {"env": [{"name": "TIER", "fromLanding": "tier"}]}}}))
    for _ in range(2):
        container = _result(scene.place())["spec"]["containers"][0]
        assert container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"] == f"metadata.annotations['{names.TIER}']"


def test_never_leaves_the_users_toleration_and_says_so() -> None:
    pod = incoming(tolerations=[{"operator": "Exists"}])
    scene = Scene(placing({"placement": {"virtual": "Never"}}))
    placed = scene.place(pod)
    assert placed.tolerated == "a"
    assert _result(placed, pod)["spec"] == pod["spec"]
    assert scene.place().tolerated == ""


def test_a_pod_that_comes_by_again_is_measured_and_not_placed_twice() -> None:
    scene = Scene(placing(manual(0)))
    pod = _result(scene.place())
    grown = added(pod, ("spec", "containers", "-"), {"name": "proxy", "resources": {"requests": {"cpu": "1"}}})
    assert scene.placer.reinvoked(scene.new_pod(grown))
    assert scene.usage.on("a").used == Usage(1, 1500, 1 << 30)
    assert not scene.placer.reinvoked(scene.new_pod())
    forged = added(pod, ("metadata", "annotations", names.RESERVATION), "absent")
    assert not scene.placer.reinvoked(scene.new_pod(forged))


SIDECAR = {"podOverlay": {"sidecars": [{"name": "agent", "image": "agent:1"}]}, "limits": {"cpu": "1"}}


def test_what_a_limit_range_will_give_to_a_sidecar_counts() -> None:
    scene = Scene(placing(manual(0), {"a": SIDECAR}))
    assert scene.placer.adds_containers("online")
    new = scene.new_pod(incoming(cpu="100m"))
    placed = [scene.placer.place(new, defaults={"cpu": "200m"}) for _ in range(4)]
    assert [one.decision.virtual for one in placed] == [True, True, True, False]
    assert "is at its limit (cpu)" in placed[3].because
    added_container = _result(placed[0], new.pod)["spec"]["initContainers"][0]
    assert "resources" not in added_container, "the API server fills it in"


def test_a_bigger_size_holds_what_a_limit_range_gives_to_a_sidecar() -> None:
    ladder = {"detect": [{"reason": "NoStock"}], "ladder": [{"cpu": "2", "memory": "4Gi"}]}
    scene = Scene(placing(manual(0), {"a": SIDECAR | {"stockOut": ladder, "limits": {"cpu": "8"}}}))
    scene.board.set_verdict("a", PoolVerdict(step=1))
    placed = scene.placer.place(scene.new_pod(), defaults={"cpu": "200m"})
    main = _result(placed)["spec"]["containers"][0]
    assert main["resources"]["requests"]["cpu"] == "1800m"
    assert placed.used.cpu_millis == 2000


def test_default_requests_do_not_matter_where_no_pool_adds_a_container() -> None:
    assert not Scene(placing(manual(0), {"a": {"podOverlay": {"labels": {"x": "y"}}}})).placer.adds_containers("online")


def _inject(pod: Mapping[str, Any], cpu: str = "200m") -> Mapping[str, Any]:
    """The pod as a webhook that runs later leaves it."""
    return added(pod, ("spec", "containers", "-"), {"name": "proxy", "resources": {"requests": {"cpu": cpu}}})


def test_what_another_webhook_adds_to_one_pod_is_expected_of_the_next_at_once() -> None:
    scene = Scene(placing(manual(0), {"a": {"limits": {"cpu": "1"}}}))
    pod = incoming(cpu="100m")
    decisions = []
    for _ in range(8):
        placed = scene.place(pod)
        decisions.append(placed.decision.virtual)
        if placed.decision.virtual:
            scene.placer.reinvoked(scene.new_pod(_inject(_result(placed, pod))))
    assert decisions == [True] * 3 + [False] * 5
    assert scene.usage.on("a").used.cpu_millis == 900


def test_what_another_webhook_adds_to_a_physical_pod_is_expected_of_the_virtual_ones() -> None:
    scene = Scene(placing(manual(1), {"a": {"limits": {"cpu": "500m"}}}))
    pod = incoming(cpu="100m")
    first = scene.place(pod)
    assert scene.placer.reinvoked(scene.new_pod(_inject(_result(first, pod))))
    # Created at the same moment: the webhook that runs later has seen neither.
    decisions = [scene.place(pod).decision.virtual for _ in range(2)]
    assert (first.decision.virtual, decisions) == (False, [True, False])


def test_what_a_pod_shows_when_it_appears_is_expected_of_the_next() -> None:
    scene = Scene(placing(manual(0), {"a": {"limits": {"cpu": "1"}}}))
    pod = incoming(cpu="100m")
    for number in range(3):
        token = _result(scene.place(pod), pod)["metadata"]["annotations"][names.RESERVATION]
        seen = Pending(placement="virtual", pools="a", reservation=token)
        grown = make_pod(f"web-{number}", node="", phase=Phase.PENDING, pending=seen, cpu_millis=300)
        scene.state.apply(msgspec.structs.replace(grown, owner_uid=OWNER))
    assert not scene.place(pod).decision.virtual
    assert scene.place(pod).because


def test_a_caller_that_asks_again_with_more_teaches_nothing_that_lasts() -> None:
    scene = Scene(placing(manual(0), {"a": {"limits": {"cpu": "4"}}}))
    pod = _result(scene.place())
    scene.placer.reinvoked(scene.new_pod(_inject(pod, "2000")))
    assert not scene.place().decision.virtual
    scene.seconds += 30.0
    assert scene.place().decision.virtual


def test_a_pod_that_asks_for_a_device_goes_to_the_first_pool_that_has_it_and_stays_physical_where_none_has() -> None:
    scene = Scene(placing(manual(0), {"a": {}, "b": {}}))
    pod = incoming()
    pod["spec"]["containers"][0]["resources"]["limits"] = {"nvidia.com/gpu": "1"}
    placed = scene.place(pod)
    assert _said(placed) == ("physical", PlacementReason.NO_POOL)
    assert "a: has no node that offers 1 of nvidia.com/gpu" in placed.because
    node = scene.state.nodes[make_node("v-b").name]
    scene.state.apply(msgspec.structs.replace(node, extended={"nvidia.com/gpu": 8}))
    assert scene.place(pod).pools == ("b",)
    assert scene.place().pools == ("a", "b")


def test_a_burst_takes_the_devices_that_other_pods_leave_and_no_more() -> None:
    scene = Scene(placing(manual(0), {"a": {}, "b": {}}))
    _resized(scene, "a", extended={"nvidia.com/gpu": 8})
    _resized(scene, "b", extended={"nvidia.com/gpu": 1})
    scene.state.apply(make_pod("held", node="v-a", owner_uid="other", extended={"nvidia.com/gpu": 4}))
    pod = incoming()
    pod["spec"]["containers"][0]["resources"]["limits"] = {"nvidia.com/gpu": "2"}
    placed = [scene.place(pod) for _ in range(3)]
    assert [one.pools for one in placed] == [("a",)] * 2 + [()]
    assert "(a: has no node with 2 of nvidia.com/gpu free, which the pod requests; b: has" in placed[2].because
    assert scene.place().pools == ("a", "b")
    assert scene.usage.promised("a", "nvidia.com/gpu") == 4


def test_marks_that_a_template_was_copied_with_decide_nothing() -> None:
    scene = Scene(placing(manual(1)))
    pod = incoming()
    pod["metadata"]["annotations"] = {names.PLACEMENT: "virtual", names.RESERVATION: "old", "mine": "1"}
    marks = _result(scene.place(pod), pod)["metadata"]["annotations"]
    assert marks[names.PLACEMENT] == "physical"
    assert marks[names.RESERVATION] != "old"
    assert marks["mine"] == "1"


@given(
    threshold=st.integers(0, 8),
    limit=st.integers(0, 6),
    shown=st.lists(st.booleans(), max_size=25),
)
def test_no_order_of_creations_and_sightings_breaks_a_threshold_or_a_limit(
    threshold: int, limit: int, shown: list[bool]
) -> None:
    """`shown` says after each creation whether the informer shows the oldest pod that it has not shown."""
    scene = Scene(placing(manual(threshold), {"a": {"limits": {"pods": limit}}}))
    unseen: list[Mapping[str, Any]] = []
    virtual = 0
    for number, show in enumerate(shown):
        placed = scene.place()
        virtual += placed.decision.virtual
        unseen.append({"name": f"p{number}", **_result(placed)["metadata"]["annotations"]})
        if show:
            pod = unseen.pop(0)
            pending = Pending(
                placement=pod[names.PLACEMENT], pools=pod.get(names.POOLS, ""), reservation=pod[names.RESERVATION]
            )
            scene.state.apply(make_pod(pod["name"], node="", phase=Phase.PENDING, pending=pending))
        assert scene.usage.on("a").used.pods == virtual <= limit
        assert scene.usage.total(OWNER) == number + 1
    assert virtual == min(max(len(shown) - threshold, 0), limit)


def _apart(app: str = "web", **more: Any) -> dict[str, Any]:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}}, **more}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_a_pool_of_one_node_is_promised_to_one_pod_of_those_that_keep_apart() -> None:
    scene = Scene(placing(manual(0), {"a": {}, "b": {}}))
    for pool in "ab":
        _resized(scene, pool, labels={**labels_of(pool), "kubernetes.io/hostname": f"v-{pool}"})
    placed = [scene.place(incoming(affinity=_apart())) for _ in range(4)]
    # The first may go to either, so each of the two is kept for it.
    assert [one.pools for one in placed] == [("a", "b"), (), (), ()]
    assert "a: has no node that its anti-affinity to other pods leaves free" in placed[-1].because
    assert _said(placed[-1]) == ("physical", PlacementReason.NO_POOL)
    assert scene.place(incoming()).decision.virtual, "a pod without such a term is not concerned"


def test_a_pool_takes_no_pod_beside_one_that_keeps_it_away() -> None:
    scene = Scene(placing(manual(0)))
    _resized(scene, "a", labels={**labels_of("a"), "kubernetes.io/hostname": "v-a"})
    terms = required_pod_terms(_apart()["podAntiAffinity"], "shop", {})
    scene.state.apply(make_pod("lonely", node=NodeName("v-a"), repels=terms))
    kept = scene.place()
    assert not kept.decision.virtual
    assert "a: has no node that the anti-affinity of other pods leaves free" in kept.because


def test_room_is_looked_for_on_the_nodes_that_the_pod_may_use() -> None:
    scene = Scene(placing(manual(0)))
    scene.state.apply(
        make_node("v-gpu", labels={**labels_of("a"), "disk": "ssd"}, taints=(taint_of("a"),), cpu_millis=400)
    )
    kept = scene.place(incoming(cpu="500m", nodeSelector={"disk": "ssd"}))
    assert "a: has no node with room for it" in kept.because
    assert scene.place(incoming(cpu="300m", nodeSelector={"disk": "ssd"})).decision.virtual


AGENT = {"podOverlay": {"sidecars": [{"name": "agent", "image": "agent"}]}}
SAID = 'Pod "web-1" is invalid: spec.initContainers[0].name'


def test_a_pool_whose_pods_are_refused_is_left_out_for_the_next_pool_and_then_for_physical_nodes() -> None:
    scene = Scene(placing(manual(0), {"a": AGENT, "b": {}}))
    scene.usage.refusals.placed(OWNER, workload_of(make_replicaset()))
    found = []
    for _ in range(3):
        placed = scene.place()
        found.append(placed.pools)
        assert placed.pools or SAID in placed.because
        scene.usage.refusals.report(OWNER, "shop", SAID)
        scene.seconds += SETTLE_SECONDS
    assert found == [("a",), ("b",), ()]


def test_a_size_is_named_by_what_a_refusal_is_told_with() -> None:
    ladder = {"detect": [{"reason": "NoStock"}], "ladder": [{"cpu": "2", "memory": "4Gi"}]}
    scene = Scene(placing(manual(0), {"a": {"stockOut": ladder}}))
    assert scene.place().changes == PoolChanges()
    scene.board.set_verdict("a", PoolVerdict(takes=True, reason="Open", step=1))
    changes = scene.place().changes
    assert (changes.larger, changes.overlay) == (True, False)
    assert "2000m" in changes.words
