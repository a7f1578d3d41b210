"""What a pod's creation is answered where a ZonalBalance chooses its zone."""

from typing import Any

import pytest

from spillway.api.zonalbalance import ZonalBalance
from spillway.domain.balance.classes import LoadClass
from spillway.domain.balance.zones import ZoneReading
from spillway.domain.model.documents import PREFERRED, REQUIRED
from spillway.domain.model.names import LOAD_CLASS, ZONE_LABEL, ZONE_SPREAD, NodeName, OwnerUid, PodUid, Zone
from spillway.domain.model.records import Pending, Phase, Taint
from spillway.domain.policies.governance import Governance
from spillway.domain.surge.steps import Purpose, Surge
from spillway.webhooks import zones
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.json_patch import applied
from tests.support.placement import incoming, labels_of, manual, placing
from tests.support.policies import CREATED
from tests.unit.webhooks.pod_cases import Scene

SPREAD: dict[str, Any] = {"maxSkew": 2, "zoneSpread": {}}
PREFERENCE: dict[str, Any] = {"zonePreference": {}}
NOW = 1_000.0
EVEN: list[str] = ["DoNotSchedule", "ScheduleAnyway"]
"""Within what is required, as even as possible."""


def governed(spec: dict[str, Any], policy: Governance | None = None) -> Governance:
    """A ZonalBalance beside the policies, if there are any."""
    balance = ZonalBalance.model_validate(
        {"metadata": {"name": "even", "uid": "uid-even", "generation": 1, "creationTimestamp": CREATED}, "spec": spec}
    )
    policies = [] if policy is None else policy.policies.values()
    budgets = [] if policy is None else policy.budgets.values()
    return Governance.compile(policies, budgets, [balance])


TEAM_ZONE = "example.com/zone"


def scene(spec: dict[str, Any], policy: Governance | None = None, *, leads: bool = True) -> Scene:
    made = Scene(governed(spec, policy), leads=leads)
    made.state.apply(make_node("f2", labels={ZONE_LABEL: "a"}))
    if leads:
        made.board.set_zone_reading("even", ZoneReading(0.0, {"shop/web": {"a": 100, "b": 0}}, 180.0))
    return made


async def created(made: Scene, **labels: str) -> dict[str, Any]:
    """The spec of a pod as it is created."""
    pod = incoming()
    pod["metadata"]["labels"] |= labels
    answer = await made.ask(pod)
    found: dict[str, Any] = dict(applied(pod, answer.additions)["spec"])
    return found


def zones_of(spec: dict[str, Any]) -> list[str]:
    return [
        one["whenUnsatisfiable"] for one in spec.get("topologySpreadConstraints") or () if "zone" in one["topologyKey"]
    ]


def preferred(spec: dict[str, Any]) -> list[Any]:
    terms = (spec.get("affinity") or {}).get("nodeAffinity", {}).get(PREFERRED) or ()
    return [term["preference"]["matchExpressions"][0]["values"] for term in terms]


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        pytest.param(None, "zone", id="no policy"),
        pytest.param(placing(manual(1)), "physical", id="placed on physical nodes"),
        pytest.param(placing({}), "zone", id="a class that places no pods"),
    ],
)
async def test_a_pod_gets_its_zone_whether_a_policy_places_it_or_not(policy: Governance | None, reason: str) -> None:
    made = scene(SPREAD | PREFERENCE, policy)
    spec = await created(made)
    assert (zones_of(spec), preferred(spec)) == (["DoNotSchedule"], [["a"]])
    assert (await scene(SPREAD | PREFERENCE, policy).ask()).outcome == reason


async def test_a_pod_for_virtual_nodes_gets_no_zone() -> None:
    spec = await created(scene(SPREAD | PREFERENCE, placing(manual(0))))
    assert (zones_of(spec), preferred(spec)) == ([], [])


async def test_a_policy_in_recommend_changes_nothing() -> None:
    for policy in (placing(manual(1), mode="Recommend"), placing({}, mode="Recommend")):
        spec = await created(scene(SPREAD | PREFERENCE, policy))
        assert (zones_of(spec), preferred(spec)) == ([], [])


@pytest.mark.parametrize(
    ("asked", "found"),
    [("ScheduleAnyway", ["ScheduleAnyway"]), ("None", []), ("nonsense", EVEN)],
)
async def test_a_workload_may_say_how_it_is_spread(asked: str, found: list[str]) -> None:
    assert zones_of(await created(scene(SPREAD), **{"spillway.dev/zone-spread": asked})) == found


@pytest.mark.parametrize(("asked", "found"), [("", ["ScheduleAnyway"]), ("DoNotSchedule", EVEN)])
async def test_a_pod_whose_volume_may_be_bound_to_a_zone_only_prefers_to_be_spread(
    asked: str, found: list[str]
) -> None:
    pod = incoming()
    pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}]
    pod["metadata"]["labels"] |= {ZONE_SPREAD: asked} if asked else {}
    answer = await scene(SPREAD).ask(pod)
    assert zones_of(applied(pod, answer.additions)["spec"]) == found


@pytest.mark.parametrize(
    "own",
    [
        pytest.param({}, id="a ReplicaSet"),
        pytest.param(
            {"statefulset.kubernetes.io/pod-name": "web-0", "apps.kubernetes.io/pod-index": "0"}, id="a StatefulSet"
        ),
        pytest.param({"apps.kruise.io/cloneset-instance-id": "j5ht6"}, id="a CloneSet"),
    ],
)
async def test_the_spread_counts_the_pods_with_the_same_labels(own: dict[str, str]) -> None:
    spec = await created(scene(SPREAD), **{"pod-template-hash": "abc", **own})
    [zones, _, _] = spec["topologySpreadConstraints"]
    assert zones["maxSkew"] == 2
    assert zones["labelSelector"] == {"matchLabels": {"app": "web", "pod-template-hash": "abc"}}


async def test_an_old_reading_prefers_no_zone() -> None:
    made = scene(PREFERENCE)
    made.board.set_zone_reading("even", ZoneReading(-181.0, {"shop/web": {"a": 100}}, 180.0))
    assert preferred(await created(made)) == []


ANYWAY: dict[str, Any] = {"zoneSpread": {"whenUnsatisfiable": "ScheduleAnyway"}}


def replicas(made: Scene, zone: str, names: str) -> None:
    """Pods of the workload, one for each letter, on the node of this zone; no zone for pods without a node."""
    made.state.apply(make_node(f"in-{zone}", labels={ZONE_LABEL: zone}))
    for name in names:
        made.state.apply(make_pod(f"web-{name}", node=NodeName(f"in-{zone}" if zone else "")))


@pytest.mark.parametrize(
    ("spec", "most"),
    [
        pytest.param({}, 2, id="no spread"),
        pytest.param(ANYWAY, 2, id="a spread that is preferred"),
        pytest.param({"zoneSpread": {}}, 9, id="a spread that is required, which the scheduler keeps"),
    ],
)
@pytest.mark.parametrize("policy", [None, placing(manual(99))], ids=["no policy", "placed on physical nodes"])
async def test_replicas_that_are_created_at_once_prefer_a_zone_within_max_skew(
    spec: dict[str, Any], most: int, policy: Governance | None
) -> None:
    made = scene({"maxSkew": 3, **PREFERENCE, **spec}, policy)
    replicas(made, "a", "pq")
    replicas(made, "b", "s")
    await made.ask(dry_run=True)
    answers = [preferred(await created(made)) for _ in range(9)]
    assert answers == [[["a"]]] * most + [[]] * (9 - most)


async def test_a_rollout_prefers_the_busiest_zone_within_max_skew() -> None:
    made = scene({"maxSkew": 2, **PREFERENCE})
    assert [preferred(await created(made)) for _ in range(3)] == [[["a"]], [["a"]], []]
    replicas(made, "a", "pq")
    assert preferred(await created(made)) == [], "the other zones have no replica of this revision yet"


async def test_the_pods_of_another_namespace_do_not_count() -> None:
    made = scene({"maxSkew": 2, **PREFERENCE})
    replicas(made, "a", "p")
    replicas(made, "b", "s")
    for name in "tuvw":
        made.state.apply(make_pod(f"web-{name}", namespace="other", node=NodeName("in-a")))
    assert preferred(await created(made)) == [["a"]]


async def test_a_zone_is_preferred_again_when_the_others_have_caught_up() -> None:
    made = scene({"maxSkew": 2, **PREFERENCE})
    replicas(made, "a", "p")
    replicas(made, "b", "s")
    assert preferred(await created(made)) == [["a"]]
    replicas(made, "", "q")
    assert preferred(await created(made)) == [["a"]], "the pod that is seen is the one that was answered"
    assert preferred(await created(made)) == []
    replicas(made, "a", "qr")
    assert preferred(await created(made)) == []
    replicas(made, "b", "tu")
    assert preferred(await created(made)) == [["a"]]


async def test_a_pod_that_another_webhook_changed_keeps_its_zone_and_counts_once() -> None:
    made = scene({"maxSkew": 2, **PREFERENCE})
    replicas(made, "a", "p")
    replicas(made, "b", "s")
    pod = incoming()
    once = dict(applied(pod, (await made.ask(pod)).additions))
    assert preferred(once["spec"]) == [["a"]]
    assert not (await made.ask(once)).additions
    assert preferred(await created(made)) == [["a"]]


async def test_replicas_on_virtual_nodes_are_in_no_zone() -> None:
    made = scene({"maxSkew": 2, **PREFERENCE}, placing(manual(99)))
    replicas(made, "a", "pq")
    replicas(made, "b", "st")
    made.state.apply(make_node("v1", labels={**labels_of("a"), ZONE_LABEL: "v"}))
    made.state.apply(make_pod("web-v", node=NodeName("v1")))
    assert preferred(await created(made)) == [["a"]]


@pytest.mark.parametrize(
    ("third", "required", "found"),
    [
        pytest.param({}, None, ([], ["ScheduleAnyway"]), id="a zone without a load and without a replica"),
        pytest.param({"ready": False}, None, ([["a"]], []), id="the zone is down"),
        pytest.param({"unschedulable": True}, None, ([["a"]], []), id="its node is cordoned"),
        pytest.param({"taints": (Taint("gpu", "NoSchedule"),)}, None, ([["a"]], []), id="the pod does not tolerate it"),
        pytest.param({}, "ab", ([["a"]], []), id="the pod may not run there"),
        pytest.param({}, "bc", ([], ["ScheduleAnyway"]), id="the pod may not run in the busiest zone"),
    ],
)
async def test_every_zone_that_is_open_to_the_pod_counts(
    third: dict[str, Any], required: str | None, found: tuple[list[Any], list[str]]
) -> None:
    made = scene({"maxSkew": 2, **PREFERENCE, **ANYWAY})
    replicas(made, "a", "pqr")
    replicas(made, "b", "stu")
    made.state.apply(make_node("in-c", labels={ZONE_LABEL: "c"}, **third))
    nodes = {Zone(zone): [NodeName(f"in-{zone}")] for zone in "abc"}
    made.board.set_zone_reading("even", ZoneReading(0.0, {"shop/web": {"a": 100, "b": 0}}, 180.0, nodes))
    pod = incoming()
    if required is not None:
        terms = [{"matchExpressions": [{"key": ZONE_LABEL, "operator": "In", "values": [*required]}]}]
        pod["spec"]["affinity"] = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}
    spec = dict(applied(pod, (await made.ask(pod)).additions)["spec"])
    assert (preferred(spec), zones_of(spec)) == found


@pytest.mark.parametrize(
    ("most", "found"), [(zones._MOST_WEIGHT, [["a"]]), (3 * zones._NODE_WEIGHT, [])], ids=["few", "too many"]
)
async def test_a_zone_of_which_not_all_nodes_can_be_looked_at_counts_as_open(
    most: int, found: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zones, "_MOST_WEIGHT", most)
    made = scene({"maxSkew": 2, **PREFERENCE})
    replicas(made, "a", "pqr")
    replicas(made, "b", "stu")
    closed = [make_node(f"in-c{n}", labels={ZONE_LABEL: "c"}, ready=False) for n in range(4)]
    for node in closed:
        made.state.apply(node)
    nodes = {Zone(zone): [NodeName(f"in-{zone}")] for zone in "ab"} | {Zone("c"): [node.name for node in closed]}
    made.board.set_zone_reading("even", ZoneReading(0.0, {"shop/web": {"a": 100, "b": 0}}, 180.0, nodes))
    assert preferred(await created(made)) == found


@pytest.mark.parametrize(
    ("pending", "found"),
    [
        pytest.param(Pending(), [], id="it may come to any zone"),
        pytest.param(Pending(unschedulable_since=NOW - 60.0), [["a"]], id="no node has room for it"),
        pytest.param(Pending(unschedulable_since=NOW - 5.0), [], id="no node has had room for it until now"),
        pytest.param(Pending(placement="virtual", pools="v"), [["a"]], id="it is for a pool"),
    ],
)
async def test_a_pod_without_a_node_that_comes_to_no_zone_does_not_count(pending: Pending, found: list[Any]) -> None:
    made = scene({"maxSkew": 1, **PREFERENCE})
    made.board.now = lambda: NOW
    made.board.set_zone_reading("even", ZoneReading(NOW, {"shop/web": {"a": 100, "b": 0}}, 180.0))
    replicas(made, "a", "p")
    replicas(made, "b", "s")
    made.state.apply(make_pod("web-w", node=NodeName(""), phase=Phase.PENDING, ready=False, pending=pending))
    assert preferred(await created(made)) == found


async def test_the_users_own_required_spread_keeps_the_zones_even() -> None:
    made = scene({"maxSkew": 1, **PREFERENCE})
    replicas(made, "a", "pqr")
    replicas(made, "b", "s")
    assert preferred(await created(made)) == []
    pod = incoming()
    zones = {"maxSkew": 5, "topologyKey": ZONE_LABEL, "labelSelector": {}}
    for when, found in (("DoNotSchedule", [["a"]]), ("ScheduleAnyway", [])):
        pod["spec"]["topologySpreadConstraints"] = [zones | {"whenUnsatisfiable": when}]
        assert preferred(applied(pod, (await made.ask(pod)).additions)["spec"]) == found


async def test_a_replica_that_does_not_lead_answers_what_needs_no_reading_and_forwards_the_rest() -> None:
    spread = scene(SPREAD, leads=False)
    assert zones_of(await created(spread)) == EVEN
    assert not spread.forwarded
    preference = scene(SPREAD | PREFERENCE, leads=False)
    await preference.ask()
    assert preference.forwarded


@pytest.mark.parametrize("kind", ["Job", "DaemonSet"])
async def test_pods_without_replicas_are_left_as_they_are(kind: str) -> None:
    made = scene(SPREAD | PREFERENCE)
    assert not (await made.ask(incoming(kind=kind, owner="x", uid="x"))).additions


async def test_a_balance_that_chooses_no_zone_costs_nothing() -> None:
    assert (await scene({}).ask()).outcome == "no-policy"


async def test_a_zone_key_that_no_physical_node_has_keeps_no_pod_waiting() -> None:
    made = scene(SPREAD | {"zoneKey": TEAM_ZONE}, placing(manual(2)))
    made.state.apply(make_node("v2", labels={**labels_of("a"), TEAM_ZONE: "z"}))
    assert "topologySpreadConstraints" not in await created(made)
    made.state.apply(make_node("f3", labels={TEAM_ZONE: "z"}))
    assert zones_of(await created(made)) == EVEN


CLASSES: dict[str, Any] = {"classes": {}}


def classified(spec: dict[str, Any], policy: Governance | None = None) -> Scene:
    made = scene(spec, policy)
    made.board.set_load_classes("even", {"Deployment/shop/web": LoadClass.CPU})
    return made


async def classed(made: Scene, **labels: str) -> tuple[str | None, list[Any]]:
    """The class of a pod as it is created, and the classes from which it is kept apart."""
    pod = incoming()
    pod["metadata"]["labels"] |= labels
    found = applied(pod, (await made.ask(pod)).additions)
    anti = (found["spec"].get("affinity") or {}).get("podAntiAffinity") or {}
    terms = [one["podAffinityTerm"]["labelSelector"]["matchLabels"][LOAD_CLASS] for one in anti.get(PREFERRED) or ()]
    return found["metadata"]["labels"].get(LOAD_CLASS), terms


@pytest.mark.parametrize("policy", [None, placing(manual(2))], ids=["no policy", "placed on physical nodes"])
async def test_a_new_pod_gets_its_class_and_is_kept_apart_from_it(policy: Governance | None) -> None:
    assert await classed(classified(CLASSES, policy)) == ("cpu-bound", ["cpu-bound"])
    both = classified(CLASSES | PREFERENCE | {"maxSkew": 2}, policy)
    assert await classed(both) == ("cpu-bound", ["cpu-bound"])
    assert preferred(await created(both)) == [["a"]]


async def test_the_class_of_a_template_counts_instead() -> None:
    made = classified(CLASSES)
    assert await classed(made, **{LOAD_CLASS: "memory-bound"}) == ("memory-bound", ["memory-bound"])


@pytest.mark.parametrize(
    ("spec", "policy"),
    [
        pytest.param({"classes": {"enabled": False}}, None, id="only reported"),
        pytest.param({}, None, id="no classes"),
        pytest.param(CLASSES, placing(manual(1), mode="Recommend"), id="a policy in Recommend"),
        pytest.param(CLASSES, placing(manual(0)), id="for virtual nodes"),
    ],
)
async def test_pods_without_a_class(spec: dict[str, Any], policy: Governance | None) -> None:
    assert await classed(classified(spec, policy)) == (None, [])


async def test_a_workload_that_is_still_measured_has_no_class() -> None:
    assert await classed(scene(CLASSES)) == (None, [])


async def test_only_the_leader_knows_the_classes() -> None:
    made = scene(CLASSES, leads=False)
    await made.ask()
    assert made.forwarded


@pytest.mark.parametrize("readings", [CLASSES, PREFERENCE], ids=["classes", "a preference"])
async def test_without_an_answer_of_the_leader_pods_are_spread_all_the_same(readings: dict[str, Any]) -> None:
    made = scene(SPREAD | readings, leads=False)
    made.leader_answers = False
    assert zones_of(await created(made)) == EVEN


SURGES: dict[str, Any] = {"rebalance": {"mode": "Active", "by": "Surge"}}
OWNER = OwnerUid("rs-web")


def moving(spec: dict[str, Any], policy: Governance | None = None) -> Scene:
    made = scene(spec, policy)
    made.board.plan_node(OWNER, NodeName("n4"))
    return made


def preferred_node(spec: dict[str, Any]) -> list[str]:
    terms = (spec.get("affinity") or {}).get("nodeAffinity", {}).get(PREFERRED) or ()
    return [one["preference"]["matchFields"][0]["values"][0] for one in terms if one["preference"].get("matchFields")]


@pytest.mark.parametrize(
    ("spec", "policy"),
    [
        pytest.param(SURGES, None, id="no policy"),
        pytest.param(SURGES, placing({}), id="a class that places no pods"),
        pytest.param(SURGES | SPREAD, None, id="a spread"),
        pytest.param({}, placing(manual(5)), id="placed on physical nodes"),
        pytest.param(SURGES | SPREAD, placing(manual(5)), id="placed, with a spread"),
    ],
)
async def test_one_replica_of_a_move_prefers_the_planned_node(spec: dict[str, Any], policy: Governance | None) -> None:
    made = moving(spec, policy)
    assert not preferred_node(dict(applied(incoming(), (await made.ask(dry_run=True)).additions)["spec"]))
    assert set(preferred_node(await created(made))) == {"n4"}
    assert preferred_node(await created(made)) == [], "a move is of one pod"


async def test_no_soft_spread_over_zones_is_weighed_against_the_planned_node() -> None:
    made = moving(SURGES | SPREAD)
    assert [zones_of(await created(made)) for _ in range(2)] == [["DoNotSchedule"], EVEN]


async def test_asked_again_the_pod_of_a_move_gets_no_soft_spread_either() -> None:
    made = moving(SURGES | SPREAD)
    pod = incoming()
    once = dict(applied(pod, (await made.ask(pod)).additions))
    again = applied(once, (await made.ask(once)).additions)
    assert zones_of(again["spec"]) == ["DoNotSchedule"]


async def test_the_planned_node_weighs_more_than_the_zone() -> None:
    assert preferred_node(await created(moving(SURGES | PREFERENCE))) == ["n4", "n4"]


@pytest.mark.parametrize("weight", [99, 100])
async def test_the_users_own_preference_for_the_busiest_zone_changes_neither(weight: int) -> None:
    made = moving(SURGES | PREFERENCE | {"maxSkew": 3})
    own = {"matchExpressions": [{"key": ZONE_LABEL, "operator": "In", "values": ["a"]}]}
    pod = incoming()
    pod["spec"]["affinity"] = {"nodeAffinity": {PREFERRED: [{"weight": weight, "preference": own}]}}
    once = dict(applied(pod, (await made.ask(pod)).additions))
    assert set(preferred_node(once["spec"])) == {"n4"}
    replicas(made, "a", "pqr")
    found = applied(pod, (await made.ask(pod)).additions)
    assert len(found["spec"]["affinity"]["nodeAffinity"][PREFERRED]) == 1, "the zone is beyond maxSkew"


async def test_a_pod_for_virtual_nodes_prefers_no_node() -> None:
    assert preferred_node(await created(moving(SURGES, placing(manual(0))))) == []


async def test_pods_of_other_workloads_cost_nothing_while_one_is_moved() -> None:
    made = moving(SURGES)
    other = incoming(owner="other", uid="rs-other")
    assert (await made.ask(other)).outcome == "no-policy"


@pytest.mark.parametrize(
    ("mark", "forwarded"),
    [
        pytest.param(Surge(1, 0, 0.0, PodUid("p0"), Purpose.REBALANCE, "even").mark, True, id="a move"),
        pytest.param(Surge(1, 0, 0.0).mark, False, id="a bring-back"),
        pytest.param("", False, id="no surge"),
    ],
)
async def test_a_replica_that_does_not_lead_asks_the_leader_about_a_workload_that_moves(
    mark: str, *, forwarded: bool
) -> None:
    made = scene(SURGES, leads=False)
    made.state.apply(make_replicaset(replicas=100, surge=mark))
    await made.ask()
    assert bool(made.forwarded) is forwarded
    made.leader_answers = False
    assert not (await made.ask()).additions
