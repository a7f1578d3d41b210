"""The zone of a new replica: which zones are preferred, and what is added to the pod."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.balance.zones import (
    HOSTNAME,
    WhenUnsatisfiable,
    ZoneReading,
    affinity_additions,
    planned_node,
    spread_additions,
    within_skew,
    zone_weights,
)
from spillway.domain.model.documents import PREFERRED, REQUIRED
from spillway.domain.model.names import ZONE_LABEL, NodeName, Zone
from tests.support.json_patch import applied

LABELS = {"app": "web", "pod-template-hash": "abc"}


@pytest.mark.parametrize(
    ("loads", "weights"),
    [
        pytest.param({"a": 100.0, "b": 50.0, "c": 75.0}, {"a": 100, "b": 0, "c": 50}, id="by load"),
        pytest.param({"a": 100.0, "b": 86.0}, {}, id="differ by less than the bound"),
        pytest.param({"a": 100.0, "b": 85.0}, {"a": 100, "b": 0}, id="differ by the bound"),
        pytest.param(
            {"a": 40.0, "b": 100.0, "c": 39.0, "d": 95.0},
            {"a": 0, "b": 100, "c": 0, "d": 100},
            id="two and two are equal",
        ),
        pytest.param(
            {"a": 10.0, "b": 100.0, "c": 50.0, "d": 44.0}, {"a": 0, "b": 100, "c": 44, "d": 44}, id="three levels"
        ),
        pytest.param({"a": 100.0, "b": 90.0, "c": 81.0}, {"a": 100, "b": 100, "c": 0}, id="each next to the other"),
        pytest.param({"a": 100.0}, {}, id="one zone"),
        pytest.param({}, {}, id="no zone"),
        pytest.param({"a": 0.0, "b": 0.0}, {}, id="no load"),
        pytest.param({"a": 5.0, "b": 0.0}, {"a": 100, "b": 0}, id="no load in one zone"),
        pytest.param({"a": 100.0, "b": math.nan}, {}, id="one is no number"),
        pytest.param({"a": math.inf, "b": 1.0}, {}, id="one is infinite"),
        pytest.param({"a": 100.0, "b": -1.0}, {}, id="one is negative"),
        pytest.param({"a": 1.7e308, "b": 0.0}, {"a": 100, "b": 0}, id="one is as large as a number can be"),
    ],
)
def test_the_weights_of_zones(loads: Mapping[str, float], weights: Mapping[str, int]) -> None:
    assert zone_weights(loads, 15.0) == weights


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(allow_nan=True, allow_infinity=True)), st.floats(1, 100))
def test_weights_are_valid_and_the_most_loaded_zone_is_preferred(loads: dict[str, float], bound: float) -> None:
    weights = zone_weights(loads, bound)
    assert all(0 <= weight <= 100 for weight in weights.values())
    if weights:
        assert weights.keys() == loads.keys()
        assert weights[max(loads, key=loads.__getitem__)] == 100
        assert weights[min(loads, key=loads.__getitem__)] == 0


@pytest.mark.parametrize(
    ("replicas", "coming", "found"),
    [
        pytest.param({"a": 2, "b": 2, "c": 2}, 0, "ab", id="even"),
        pytest.param({"a": 4, "b": 2, "c": 2}, 0, "b", id="the first zone is full"),
        pytest.param({"a": 2, "b": 2, "c": 2}, 1, "ab", id="one is coming"),
        pytest.param({"a": 2, "b": 2, "c": 2}, 2, "", id="two are coming, to one zone it may be"),
        pytest.param({"a": 3, "b": 2, "c": 2}, 1, "b", id="one more and one coming"),
        pytest.param({"a": 1, "b": 1}, 0, "ab", id="no replica yet in the least loaded zone"),
        pytest.param({"a": 2}, 0, "b", id="a rollout begins in the busiest zone"),
        pytest.param({}, 0, "ab", id="no replica yet"),
    ],
)
def test_a_zone_is_preferred_within_max_skew(replicas: Mapping[Zone, int], coming: int, found: str) -> None:
    weights = {"a": 100, "b": 50, "c": 0}
    assert "".join(within_skew(weights, replicas, (), coming, 2)) == found
    assert "".join(within_skew(weights, replicas, [Zone(one) for one in "abc"], coming, 2)) == found


@pytest.mark.parametrize(
    ("zones", "found"),
    [
        pytest.param("abc", "", id="a zone without a replica and without a load"),
        pytest.param("ab", "a", id="it is closed to the pod"),
        pytest.param("ac", "", id="a zone with replicas is closed"),
        pytest.param("bc", "", id="the busiest zone is closed"),
        pytest.param("a", "a", id="no other zone is open"),
        pytest.param("", "a", id="none is"),
    ],
)
def test_every_zone_that_is_open_to_the_pod_counts(zones: str, found: str) -> None:
    replicas = {Zone("a"): 3, Zone("b"): 3}
    assert "".join(within_skew({"a": 100, "b": 0}, replicas, [Zone(one) for one in zones], 0, 2)) == found


@given(
    st.fixed_dictionaries({zone: st.integers(0, 100) for zone in "abcd"}),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9)),
    st.integers(0, 5),
    st.integers(1, 5),
)
def test_no_preferred_zone_leaves_max_skew(
    weights: dict[str, int], replicas: dict[Zone, int], coming: int, max_skew: int
) -> None:
    for zone in within_skew(weights, replicas, (), coming, max_skew):
        assert weights[zone]
        after = Counter({name: replicas.get(Zone(name), 0) for name in "abcd"})
        after[zone] += coming + 1
        assert after[zone] - min(after.values()) <= max_skew


@pytest.mark.parametrize(("age", "found"), [(180.0, {"a": 100}), (180.1, {})])
def test_an_old_reading_prefers_nothing(age: float, found: Mapping[str, int]) -> None:
    reading = ZoneReading(1000.0, {"shop/web": {"a": 100}}, 180.0)
    assert reading.of("shop", "web", now=1000.0 + age) == found
    assert reading.of("shop", "other", now=1000.0) == {}


def term(zone: str, weight: int, *, own: bool = False) -> dict[str, Any]:
    """A preference for a zone as it is added, or the user's own."""
    expressions = [{"key": ZONE_LABEL, "operator": "In", "values": [zone]}, {"key": ZONE_LABEL, "operator": "Exists"}]
    return {"weight": weight, "preference": {"matchExpressions": expressions[:1] if own else expressions}}


THEIRS = {"weight": 60, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}
MUST = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "Exists"}]}]}


@pytest.mark.parametrize(
    ("affinity", "preferred"),
    [
        pytest.param(None, [term("a", 100), term("c", 50)], id="no affinity"),
        pytest.param({"podAffinity": {}}, [term("a", 100), term("c", 50)], id="another affinity"),
        pytest.param(
            {"nodeAffinity": {PREFERRED: [THEIRS], REQUIRED: MUST}},
            [THEIRS, term("a", 100), term("c", 50)],
            id="the user's stay",
        ),
        pytest.param(
            {"nodeAffinity": {PREFERRED: [THEIRS, THEIRS]}},
            [THEIRS, THEIRS, term("a", 100), term("c", 50), term("a", 100), term("c", 50)],
            id="and weigh less in all",
        ),
        pytest.param(
            {"nodeAffinity": {PREFERRED: [term("a", 100, own=True)]}},
            [term("a", 100, own=True), *[term("a", 100), term("c", 50)] * 2],
            id="and are not taken for ours",
        ),
    ],
)
def test_a_preference_is_added(affinity: dict[str, Any] | None, preferred: list[Any]) -> None:
    pod = {"spec": {"affinity": affinity} if affinity is not None else {}}
    weights = {"a": 100, "c": 50}
    result = applied(pod, affinity_additions(pod, ZONE_LABEL, weights))
    assert result["spec"]["affinity"]["nodeAffinity"][PREFERRED] == preferred
    for key, value in (affinity or {}).items():
        if key != "nodeAffinity":
            assert result["spec"]["affinity"][key] == value
        elif REQUIRED in value:
            assert result["spec"]["affinity"][key][REQUIRED] == value[REQUIRED]
    assert affinity_additions(result, ZONE_LABEL, weights) == ()


OTHER_FIELD = {"matchFields": [{"key": "metadata.namespace", "operator": "In", "values": ["n4"]}]}
BY_NAME = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n7"]}]}
"""A preference of the user, which is lighter than that of a move."""
WITHOUT_A_NODE: list[dict[str, Any]] = [
    {},
    {"nodeAffinity": {REQUIRED: MUST}},
    {"nodeAffinity": {PREFERRED: [{"weight": 1, "preference": {"matchExpressions": []}}]}},
    {"nodeAffinity": {PREFERRED: [{"weight": 1, "preference": OTHER_FIELD}]}},
    {"nodeAffinity": {PREFERRED: [{"weight": 1, "preference": BY_NAME}]}},
]


@pytest.mark.parametrize("zone", ["<none>", "a,b", "-a", "z" * 64, "ä"])
def test_a_zone_that_no_node_can_have_is_not_preferred(zone: str) -> None:
    pod = {"metadata": {"labels": LABELS}, "spec": {}}
    assert affinity_additions(pod, ZONE_LABEL, {zone: 100, "a": 0}) == ()
    assert affinity_additions(pod, ZONE_LABEL, {zone: 100, "b": 30}) == affinity_additions(pod, ZONE_LABEL, {"b": 30})


@pytest.mark.parametrize("affinity", WITHOUT_A_NODE)
@pytest.mark.parametrize("weights", [{}, {"a": 100}], ids=["zones equal", "a zone preferred"])
def test_the_planned_node_is_read_from_the_affinity_that_was_added(
    affinity: dict[str, Any], weights: Mapping[str, int]
) -> None:
    pod = {"spec": {"affinity": affinity} if affinity else {}}
    assert planned_node(affinity) is None
    without = applied(pod, affinity_additions(pod, ZONE_LABEL, weights))
    assert planned_node(without["spec"].get("affinity") or {}) is None
    result = applied(pod, affinity_additions(pod, ZONE_LABEL, weights, node=NodeName("n4")))
    assert planned_node(result["spec"]["affinity"]) == "n4"


APART = {"weight": 10, "podAffinityTerm": {"topologyKey": HOSTNAME}}
OWN = {"weight": 100, "podAffinityTerm": {"topologyKey": "rack"}}


@pytest.mark.parametrize(
    ("affinity", "anti"),
    [
        pytest.param(None, {PREFERRED: [APART]}, id="no affinity"),
        pytest.param({"nodeAffinity": {REQUIRED: MUST}}, {PREFERRED: [APART]}, id="another affinity"),
        pytest.param(
            {"podAntiAffinity": {PREFERRED: [OWN], REQUIRED: [OWN]}},
            {PREFERRED: [OWN, APART], REQUIRED: [OWN]},
            id="the user's stay",
        ),
    ],
)
@pytest.mark.parametrize("weights", [{}, {"a": 100}], ids=["zones equal", "a zone preferred"])
def test_a_term_of_anti_affinity_is_added_beside_the_zones(
    affinity: dict[str, Any] | None, anti: dict[str, Any], weights: Mapping[str, int]
) -> None:
    pod = {"spec": {"affinity": affinity} if affinity is not None else {}}
    result = applied(pod, affinity_additions(pod, ZONE_LABEL, weights, apart=APART))
    assert result["spec"]["affinity"]["podAntiAffinity"] == anti
    node_affinity = result["spec"]["affinity"].get("nodeAffinity") or {}
    assert node_affinity.get(PREFERRED, []) == [term(zone, weight) for zone, weight in weights.items()]
    assert node_affinity.get(REQUIRED) == (MUST if affinity and "nodeAffinity" in affinity else None)
    assert affinity_additions(result, ZONE_LABEL, weights, apart=APART) == ()


def test_equal_zones_add_nothing() -> None:
    assert affinity_additions({"spec": {}}, ZONE_LABEL, {}) == ()


def spread(pod: dict[str, Any], *, max_skew: int, when: WhenUnsatisfiable, prefers: bool = False) -> list[Any]:
    """The constraints of a pod after the additions: topology key, `maxSkew` and what happens otherwise."""
    additions = spread_additions(pod, ZONE_LABEL, LABELS, max_skew=max_skew, when=when, prefers=prefers)
    result = applied(pod, additions)
    again = spread_additions(result, ZONE_LABEL, LABELS, max_skew=max_skew, when=when, prefers=prefers)
    assert not [one for one in again if "zone" in str(one)], "once is enough"
    found = result["spec"].get("topologySpreadConstraints") or ()
    return [(one["topologyKey"], one.get("maxSkew"), one.get("whenUnsatisfiable")) for one in found]


REQUIRED_3, EVEN = (ZONE_LABEL, 3, "DoNotSchedule"), (ZONE_LABEL, 1, "ScheduleAnyway")
OVER_NODES = (HOSTNAME, 3, "ScheduleAnyway")


@pytest.mark.parametrize(
    ("when", "max_skew", "prefers", "found"),
    [
        pytest.param("DoNotSchedule", 3, False, [REQUIRED_3, EVEN, OVER_NODES], id="as even as there is room"),
        pytest.param("DoNotSchedule", 3, True, [REQUIRED_3, OVER_NODES], id="to the zone that is preferred"),
        pytest.param("DoNotSchedule", 1, False, [(ZONE_LABEL, 1, "DoNotSchedule"), OVER_NODES], id="even anyway"),
        pytest.param("ScheduleAnyway", 3, False, [(ZONE_LABEL, 3, "ScheduleAnyway"), OVER_NODES], id="only preferred"),
        pytest.param("ScheduleAnyway", 3, True, [OVER_NODES], id="only preferred, as is a zone"),
    ],
)
def test_the_spread_over_zones_and_nodes(
    *, when: WhenUnsatisfiable, max_skew: int, prefers: bool, found: list[Any]
) -> None:
    assert spread({"spec": {}}, max_skew=max_skew, when=when, prefers=prefers) == found


def test_a_spread_over_zones_counts_the_pods_with_the_same_labels_on_nodes_that_take_them() -> None:
    [addition] = spread_additions({}, ZONE_LABEL, LABELS, max_skew=2, when="DoNotSchedule", prefers=False)
    *zones, nodes = addition.value
    assert all(one["labelSelector"] == {"matchLabels": LABELS} for one in (*zones, nodes))
    assert [one["nodeTaintsPolicy"] for one in zones] == ["Honor", "Honor"]


@pytest.mark.parametrize(
    ("prefers", "found"),
    [(False, [(HOSTNAME, None, None), REQUIRED_3, EVEN]), (True, [(HOSTNAME, None, None), REQUIRED_3])],
)
def test_a_users_constraint_over_other_topologies_stays_alone_beside_it(*, prefers: bool, found: list[Any]) -> None:
    pod = {"spec": {"topologySpreadConstraints": [{"topologyKey": HOSTNAME}]}}
    assert spread(pod, max_skew=3, when="DoNotSchedule", prefers=prefers) == found


@pytest.mark.parametrize(
    ("pod", "labels"),
    [
        pytest.param({"spec": {"topologySpreadConstraints": [{"topologyKey": ZONE_LABEL}]}}, LABELS, id="the user's"),
        pytest.param({"spec": {}}, {}, id="no labels to select by"),
    ],
)
def test_no_spread_is_added(pod: dict[str, Any], labels: Mapping[str, str]) -> None:
    assert spread_additions(pod, ZONE_LABEL, labels, max_skew=1, when="DoNotSchedule", prefers=False) == ()


@pytest.mark.parametrize(
    "theirs",
    [
        pytest.param([term("b", 2**31 - 1)], id="a weight that the API server refuses later"),
        pytest.param([term("b", -(2**31))], id="a negative weight"),
        pytest.param([term("b", 1)] * 101, id="more preferences than anyone needs"),
    ],
)
def test_preferences_that_only_a_huge_pod_would_outweigh_are_left(theirs: list[dict[str, Any]]) -> None:
    pod = {"spec": {"affinity": {"nodeAffinity": {PREFERRED: theirs}}}}
    assert affinity_additions(pod, ZONE_LABEL, {"a": 100}) == ()


def named(name: str) -> dict[str, Any]:
    fields = [{"key": "metadata.name", "operator": "In", "values": [name]}]
    return {"weight": 100, "preference": {"matchFields": fields}}


@pytest.mark.parametrize(
    ("theirs", "weights", "added"),
    [
        pytest.param([], {}, [named("n4")], id="alone"),
        pytest.param([THEIRS, THEIRS], {}, [named("n4")] * 2, id="it outweighs the user's"),
        pytest.param([], {"a": 100, "b": 30}, [term("a", 100), term("b", 30), *[named("n4")] * 2], id="and the zone"),
        pytest.param(
            [term("a", 100, own=True)],
            {"a": 100},
            [*[term("a", 100)] * 2, *[named("n4")] * 4],
            id="and a preference of the user's that equals that for the zone",
        ),
        pytest.param(
            [THEIRS, THEIRS], {"a": 100}, [*[term("a", 100)] * 2, *[named("n4")] * 4], id="and both of them together"
        ),
    ],
)
def test_the_planned_node_outweighs_every_other_preference(
    theirs: list[Any], weights: Mapping[str, int], added: list[Any]
) -> None:
    pod = {"spec": {"affinity": {"nodeAffinity": {PREFERRED: theirs, REQUIRED: MUST}}}}
    result = applied(pod, affinity_additions(pod, ZONE_LABEL, weights, node=NodeName("n4")))
    found = result["spec"]["affinity"]["nodeAffinity"]
    assert found == {PREFERRED: [*theirs, *added], REQUIRED: MUST}
    assert affinity_additions(result, ZONE_LABEL, weights, node=NodeName("n4")) == ()


def test_a_planned_node_is_added_beside_zones_that_are_there_already() -> None:
    weights = {"a": 100, "b": 30}
    pod = applied({"spec": {}}, affinity_additions({"spec": {}}, ZONE_LABEL, weights))
    result = applied(pod, affinity_additions(pod, ZONE_LABEL, weights, node=NodeName("n4")))
    terms = result["spec"]["affinity"]["nodeAffinity"][PREFERRED]
    assert terms == [term("a", 100), term("b", 30), named("n4"), named("n4")]


@given(st.lists(st.integers(1, 100), max_size=100), st.dictionaries(st.sampled_from("abc"), st.integers(1, 100)))
def test_the_planned_node_wins_whatever_else_is_preferred_and_adds_a_bounded_number_of_terms(
    theirs: list[int], weights: dict[str, int]
) -> None:
    pod = {"spec": {"affinity": {"nodeAffinity": {PREFERRED: [term("x", weight) for weight in theirs]}}}}
    result = applied(pod, affinity_additions(pod, ZONE_LABEL, weights, node=NodeName("n4")))
    terms = result["spec"]["affinity"]["nodeAffinity"][PREFERRED]
    ours = [one for one in terms if "matchFields" in one["preference"]]
    zones = Counter[str]()
    for one in terms[len(theirs) :]:
        if one not in ours:
            zones[one["preference"]["matchExpressions"][0]["values"][0]] += one["weight"]
    assert sum(one["weight"] for one in ours) > sum(theirs) + max(zones.values(), default=0)
    assert len(ours) <= 203
