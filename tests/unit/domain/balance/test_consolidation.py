"""Which elastic nodes are emptied, and that no plan costs room, evenness of zones or more moves than allowed."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.balance.consolidation import (
    MOST_FAILED,
    MOST_NODES,
    ConsolidationNode,
    NodePod,
    plan_consolidation,
)
from spillway.domain.balance.disruption_budgets import DisruptionBudget
from spillway.domain.balance.skew import zone_skew
from spillway.domain.model.host_ports import HostPort
from spillway.domain.model.names import NodeName, PodUid, Zone
from spillway.domain.model.records import Taint
from spillway.domain.model.usage import NOTHING, Usage

A, B = Zone("a"), Zone("b")
BELOW = 0.7


def pod(name: str, workload: str = "web", cpu: int = 1000, zones: dict[Zone, int] | None = None) -> NodePod:
    return NodePod(PodUid(name), workload, Usage(1, cpu, cpu), {A: 1} if zones is None else zones)


def node(name: str, *pods: NodePod, zone: Zone = A, elastic: bool = False, size: int = 4000) -> ConsolidationNode:
    used = sum(one.requests.cpu_millis for one in pods)
    return ConsolidationNode(
        NodeName(name),
        zone,
        Usage(10, size, size),
        Usage(10 - len(pods), size - used, size - used),
        may_empty=elastic,
        pods=pods,
    )


def planned(*nodes: ConsolidationNode, most: int = 10, reserve: Usage = NOTHING) -> dict[str, str]:
    plan = plan_consolidation(nodes, below=BELOW, most=most, reserve=reserve)
    assert {move.source for move in plan.moves} <= set(plan.nodes)
    return {move.pod: move.target for move in plan.moves}


def test_a_little_used_elastic_node_is_emptied_onto_the_fullest_node_that_stays() -> None:
    wide, full = node("wide"), node("full", pod("f", "other"), pod("g", "other"))
    assert planned(node("e", pod("p"), elastic=True), wide, full) == {"p": "full"}


def test_pods_go_to_an_elastic_node_that_a_pod_keeps_and_not_to_one_that_is_emptied_next() -> None:
    kept = replace(node("z", replace(pod("k", "kept"), movable=False), elastic=True), order=3)
    others = (replace(node(name, pod(name, name), elastic=True), order=order) for name, order in (("a", 1), ("b", 2)))
    assert planned(kept, *others) == {"a": "z", "b": "z"}


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(node("e", pod("p"), elastic=False), id="it is fixed"),
        pytest.param(node("e", pod("p", cpu=2800), elastic=True), id="it is well used"),
        pytest.param(node("e", pod("p"), replace(pod("q"), movable=False), elastic=True), id="a pod may not be moved"),
        pytest.param(node("e", elastic=True), id="it is empty"),
        pytest.param(node("e", replace(pod("p"), ready_to_move=False), elastic=True), id="not now"),
    ],
)
def test_a_node_that_is_left(left: ConsolidationNode) -> None:
    assert planned(left, node("wide")) == {}


def test_a_node_whose_pods_do_not_all_fit_is_left_as_a_whole() -> None:
    little = node("little", pod("l", "other", cpu=2500))
    assert planned(node("e", pod("p", "one"), pod("q", "two"), elastic=True), little) == {}


@pytest.mark.parametrize("taken", [{"extended": {"gpu": 1}}, {"host_ports": (HostPort(80),)}], ids=["a GPU", "a port"])
def test_what_is_taken_beside_cpu_and_memory_is_promised_once(taken: dict[str, Any]) -> None:
    p, q, r = (replace(pod(name, name), **taken) for name in "pqr")
    one, two = (replace(node(name), extended={"gpu": 1}) for name in ("one", "two"))
    assert planned(node("e", p, q, elastic=True), one) == {}, "as a whole"
    assert planned(node("e", p, q, elastic=True), one, two) == {"p": "one", "q": "two"}
    nodes = node("a", p, elastic=True), node("b", q, elastic=True), node("c", r, elastic=True), one, two
    assert planned(*nodes) == {"p": "one", "q": "two"}, "over several nodes"


def test_room_that_is_needed_soon_stays_free() -> None:
    nodes = node("e", pod("p"), elastic=True), node("wide")
    assert planned(*nodes, reserve=Usage(0, 3000, 3000)) == {"p": "wide"}
    assert planned(*nodes, reserve=Usage(0, 3001)) == {}


def test_room_on_nodes_that_the_pods_cannot_use_does_not_count() -> None:
    nodes = node("e", pod("p"), elastic=True), node("wide")
    for usable in (True, False):
        tainted = replace(node("gpu"), usable=usable, taints=frozenset({Taint("gpu", "NoSchedule")}))
        assert planned(*nodes, tainted, reserve=Usage(0, 3001)) == ({"p": "wide"} if usable else {})


def test_zones_decide_where_a_pod_may_go() -> None:
    even = {A: 2, B: 2}
    source = node("e", pod("p", zones=even), elastic=True)
    assert planned(source, node("there", zone=B, size=1500), node("here")) == {"p": "here"}
    assert planned(source, node("there", zone=B)) == {}


def test_the_zones_are_those_of_the_workload() -> None:
    one = replace(pod("p", zones={A: 2, B: 2}), zone_key="rack")
    source = replace(node("e", one, elastic=True), other_zones={"rack": A})
    there, here = node("there", size=1500), node("here", zone=B)
    racks = replace(there, other_zones={"rack": B}), replace(here, other_zones={"rack": A})
    assert planned(source, *racks) == {"p": "here"}
    assert planned(replace(source, pods=(replace(one, max_skew=2),)), racks[0]) == {"p": "there"}


def test_nodes_that_are_emptied_at_once_are_bounded_and_those_that_cannot_be_are_no_hindrance() -> None:
    kept = [node(f"k{n}", replace(pod(f"k{n}", f"k{n}"), movable=False), elastic=True) for n in range(MOST_FAILED + 1)]
    nodes = [node(f"e{n:02}", pod(f"p{n}", f"w{n}"), elastic=True) for n in range(MOST_NODES + 5)]
    plan = plan_consolidation([*kept, *nodes, node("wide", size=90_000)], below=BELOW, most=5)
    assert (len(plan.nodes), len(plan.moves)) == (MOST_NODES, 5)


def test_after_many_nodes_whose_pods_find_no_place_no_other_is_looked_at() -> None:
    large = [node(f"a{n:02}", pod(f"a{n}", f"a{n}", cpu=2000), elastic=True, size=9000) for n in range(MOST_FAILED)]
    nodes = [replace(one, accepts=False) for one in (*large, node("b", pod("b", "b"), elastic=True))]
    rooms = node("r1", size=1500), node("r2", size=1500)
    plan = plan_consolidation([*nodes[1:], *nodes[:1], *rooms], below=BELOW, most=5)
    assert (plan.nodes, plan.failed, plan.tried_all) == ((), tuple(one.name for one in large), False)
    plan = plan_consolidation([*nodes[1:], *rooms], below=BELOW, most=5)
    assert (plan.nodes, plan.failed, plan.tried_all) == (("b",), tuple(one.name for one in large[1:]), True)


def test_nodes_that_failed_before_are_tried_after_the_others() -> None:
    nodes = [node(name, pod(name, name), elastic=True) for name in "abcd"]
    before = {NodeName("a"): 2, NodeName("b"): 1}
    plan = plan_consolidation([*nodes, node("wide", size=9000)], below=BELOW, most=5, failed_before=before)
    assert plan.nodes == ("c", "d", "b", "a")
    begun = replace(nodes[0], emptying=True)
    plan = plan_consolidation([begun, *nodes[1:], node("wide", size=9000)], below=BELOW, most=5, failed_before=before)
    assert plan.nodes[0] == "a", "it was begun"


def test_a_pod_whose_replacement_is_there_needs_no_place() -> None:
    gone = replace(pod("p", cpu=3000), going=True, ready_to_move=False)
    plan = plan_consolidation([node("e", gone, elastic=True, size=9000)], below=BELOW, most=5)
    assert (plan.nodes, plan.moves) == (("e",), ())
    nodes = node("e", gone, pod("q", "other", cpu=500), elastic=True, size=9000), node("small", size=500)
    assert planned(*nodes) == {"q": "small"}


@pytest.mark.parametrize(
    ("flags", "waits"),
    [
        pytest.param({"ready_to_move": True}, False, id="it can be moved"),
        pytest.param({"surging": True}, False, id="its move follows that of another pod of its workload"),
        pytest.param({"surging": True, "going": True}, False, id="it is being moved"),
        pytest.param({}, True, id="it cannot be moved"),
    ],
)
def test_a_node_waits_if_none_of_its_pods_has_a_turn(flags: dict[str, Any], *, waits: bool) -> None:
    still = replace(pod("p"), ready_to_move=False)
    pods = still, replace(replace(pod("q", "other"), ready_to_move=False), **flags)
    plan = plan_consolidation([node("e", *pods, elastic=True), node("f")], below=BELOW, most=5)
    assert (plan.nodes, bool(plan.waiting)) == (("e",), waits)


def test_a_pod_goes_only_where_it_may_run() -> None:
    nodes = [node("e", pod("p"), elastic=True), node("full", size=1500), node("wide")]
    plan = plan_consolidation(nodes, below=BELOW, most=1, admits=lambda _, there: there != "full")
    assert [move.target for move in plan.moves] == ["wide"]
    assert plan_consolidation(nodes, below=BELOW, most=1, admits=lambda *_: False).nodes == ()


def test_the_emptying_order_decides_and_what_was_begun_is_finished_first() -> None:
    first = replace(node("first", pod("p", "one"), elastic=True), order=9)
    begun = replace(node("begun", pod("q", "two", cpu=3000), elastic=True), order=1, emptying=True)
    plan = plan_consolidation([first, begun, node("wide")], below=BELOW, most=10)
    assert plan.nodes == ("begun", "first")


def test_a_pod_does_not_go_to_a_node_that_is_emptied_too() -> None:
    one = replace(node("one", pod("p", "one"), elastic=True), order=2)
    two = replace(node("two", pod("q", "two"), elastic=True), order=1)
    assert planned(one, two) == {"p": "two"}


def test_a_pod_does_not_go_to_an_elastic_node_of_another_policy_whose_room_counts() -> None:
    source, other = node("e", pod("p"), elastic=True), replace(node("other"), of_other_policy=True)
    assert planned(source, other) == {}
    assert planned(source, other, node("f", size=1000), reserve=Usage(0, 4000)) == {"p": "f"}


def test_a_candidate_of_cluster_autoscaler_comes_before_the_emptying_order() -> None:
    first = replace(node("first", pod("p", "one"), elastic=True), order=9)
    soon = replace(node("soon", pod("q", "two"), elastic=True), order=1, candidate=True)
    assert plan_consolidation([first, soon, node("wide")], below=BELOW, most=10).nodes == ("soon", "first")


def test_nodes_of_a_node_pool_are_emptied_within_its_budget_and_what_was_begun_is_finished() -> None:
    made = [
        replace(node(f"e{n}", pod(f"p{n}", f"w{n}"), elastic=True), node_pool="spot", emptying=n == 3) for n in range(4)
    ]
    other, wide = node("other", pod("q", "other"), elastic=True), node("wide", size=90_000)

    def emptied(allowed: int | None, disrupted: int = 0) -> tuple[str, int]:
        budgets = {"spot": DisruptionBudget(allowed, disrupted)}
        plan = plan_consolidation([*made, other, wide], below=BELOW, most=10, budgets=budgets)
        assert "other" in plan.nodes
        return "".join(name[1] for name in plan.nodes if name.startswith("e")), plan.over_budget.get("spot", 0)

    assert emptied(None) == ("3012", 0)
    assert emptied(2) == ("30", 2)
    assert emptied(3, disrupted=1) == ("30", 2)
    assert emptied(1, disrupted=5) == ("3", 3), "it was begun"
    assert emptied(0) == ("", 4)


@st.composite
def clusters(draw: st.DrawFn) -> list[ConsolidationNode]:
    names = [f"w{index}" for index in range(4)]
    placed = [
        (index, draw(st.lists(st.tuples(st.sampled_from(names), st.integers(1, 4)), max_size=4))) for index in range(6)
    ]
    zone_of = [draw(st.sampled_from([A, B])) for _ in placed]
    counts = {name: Counter({A: 0, B: 0}) for name in names}
    for index, pods in placed:
        for name, _ in pods:
            counts[name][zone_of[index]] += 1
    found = []
    for index, pods in placed:
        on_node = [pod(f"{index}-{n}", name, cpu * 250, dict(counts[name])) for n, (name, cpu) in enumerate(pods)]
        elastic = draw(st.booleans())
        made = node(f"n{index}", *on_node, zone=zone_of[index], elastic=elastic)
        found.append(replace(made, order=index, emptying=elastic and draw(st.booleans())))
    return found


@given(clusters(), st.integers(0, 6), st.integers(0, 4000))
def test_a_plan_keeps_room_zones_and_bounds(nodes: list[ConsolidationNode], most: int, reserve: int) -> None:
    plan = plan_consolidation(nodes, below=BELOW, most=most, reserve=Usage(0, reserve))
    by_name = {one.name: one for one in nodes}
    pods = {one.uid: one for each in nodes for one in each.pods}
    assert len(plan.moves) <= most
    assert len({move.workload for move in plan.moves}) == len(plan.moves)
    assert all(by_name[name].may_empty for name in plan.nodes)
    assert not {move.target for move in plan.moves} & set(plan.nodes)
    for name in {move.target for move in plan.moves}:
        assert by_name[name].accepts
        come = [pods[move.pod] for move in plan.moves if move.target == name]
        assert sum(one.requests.cpu_millis for one in come) <= by_name[name].free.cpu_millis
        assert not by_name[name].emptying
    for move in plan.moves:
        counts = Counter(pods[move.pod].zones)
        before = zone_skew(counts, [A, B])
        counts.subtract([by_name[move.source].zone])
        counts.update([by_name[move.target].zone])
        assert zone_skew(counts, [A, B]) <= max(1, before)


@pytest.mark.parametrize("open_", [True, False])
def test_a_zone_to_which_no_pod_has_come_yet_counts_if_pods_may_come_there(*, open_: bool) -> None:
    leaves = replace(pod("p", zones={A: 2, B: 2}), max_skew=2)
    new = replace(node("new", zone=Zone("c"), size=500), accepts=open_)
    nodes = node("e", leaves, elastic=True), node("there", zone=B), new
    assert planned(*nodes) == ({} if open_ else {"p": "there"})
    roomy = replace(node("roomy", zone=Zone("c")), accepts=open_)
    assert planned(*nodes, roomy) == {"p": "roomy" if open_ else "there"}


def test_the_zones_without_pods_are_those_by_the_label_of_the_workload() -> None:
    leaves = replace(pod("p", zones={A: 2, B: 2}), max_skew=2, zone_key="rack")
    racks = [("e", A), ("there", B), ("new", Zone("c"))]
    nodes = [
        replace(node(name, *([leaves] if name == "e" else []), elastic=name == "e"), other_zones={"rack": rack})
        for name, rack in racks
    ]
    assert planned(*nodes) == {"p": "new"}
    assert planned(*nodes[:2]) == {"p": "there"}


@pytest.mark.parametrize(("emptying", "moves"), [(True, {"p": "there"}), (False, {})])
def test_a_plan_that_begins_no_node_continues_those_that_are_being_emptied(
    moves: dict[str, str], *, emptying: bool
) -> None:
    nodes = [replace(node("e", pod("p"), elastic=True), emptying=emptying), node("there")]
    plan = plan_consolidation(nodes, below=BELOW, most=10, begins=False)
    assert {move.pod: move.target for move in plan.moves} == moves
