"""Conflicts: which resource has to change, by the resources alone and by the nodes."""

from spillway.api import ElasticPolicy, VirtualNodeBudget, ZonalBalance
from spillway.domain.model.names import Tier
from spillway.domain.policies.conflicts import distinct
from tests.builders import make_node
from tests.unit.domain.policies.policy_cases import SHOP, balance, budget, governance, policy


def problems(*resources: ElasticPolicy | VirtualNodeBudget | ZonalBalance) -> list[tuple[str, str, str]]:
    return [(one.kind, one.name, one.reason) for one in governance(*resources).problems]


def test_good_resources_have_no_problems() -> None:
    assert problems(policy(elastic={"pool": "elastic"}, budgets=("eci-a",)), budget(), balance()) == []


def test_a_missing_budget_is_named_and_the_rest_works() -> None:
    compiled = governance(policy(elastic={"pool": "elastic"}, budgets=("eci-a", "no-such")), budget("eci-a"))
    (problem,) = compiled.problems
    assert (problem.kind, problem.name, problem.type, problem.reason) == (
        "ElasticPolicy",
        "online",
        "Ready",
        "BudgetNotFound",
    )
    assert "no-such" in problem.message
    assert "eci-a" not in problem.message
    assert compiled.place("online", make_node(labels={"pool": "eci-a"})).tier is Tier.VIRTUAL


def test_the_younger_of_two_policies_is_told() -> None:
    assert problems(policy("young", age=1), policy("old", age=0)) == [("ElasticPolicy", "young", "Conflict")]


def test_policies_that_only_may_meet_are_not_told() -> None:
    one = policy("one", {"name": "a", "match": {"labels": {"matchLabels": {"a": "1"}}}})
    two = policy("two", {"name": "b", "match": {"labels": {"matchLabels": {"b": "1"}}}})
    assert problems(one, two) == []
    assert governance(one, two).claimants(SHOP, "Deployment", {"a": "1", "b": "1"}) == ("one", "two")


def test_elastic_and_virtual_by_the_same_label() -> None:
    resources = policy(elastic={"pool": "x"}), budget("eci-a", {"pool": "x", "type": "vk"})
    assert problems(*resources) == [("ElasticPolicy", "online", "TierConflict")]


def test_elastic_and_virtual_on_the_same_node() -> None:
    compiled = governance(
        policy(elastic={"pool": "x"}), budget("eci-a", {"type": "vk"}), budget("eci-b", {"zone": "z"}, age=1)
    )
    assert compiled.problems == ()
    nodes = [
        make_node("n1", labels={"pool": "x", "type": "vk"}),
        make_node("n2", labels={"pool": "x", "type": "vk"}),
        make_node("n3", labels={"zone": "z", "type": "vk"}),
        make_node("n4", labels={"pool": "x"}),
    ]
    found = compiled.node_problems(nodes)
    assert [(one.kind, one.name, one.reason) for one in found] == [
        ("ElasticPolicy", "online", "TierConflict"),
        ("VirtualNodeBudget", "eci-b", "Conflict"),
    ]
    assert "2 nodes, among them n1" in found[0].message
    assert "the node n3" in found[1].message
    assert compiled.node_problems(reversed(nodes)) == found


def test_budgets_and_balances_that_cover_each_other() -> None:
    assert problems(budget("old", {"type": "vk"}, age=0), budget("young", {"type": "vk"}, age=1)) == [
        ("VirtualNodeBudget", "young", "Conflict")
    ]
    assert problems(balance("old", age=0), balance("young", age=1, maxSkew=2)) == [
        ("ZonalBalance", "young", "Conflict")
    ]


def test_a_conflict_that_nodes_show_too_is_told_once_with_the_nodes() -> None:
    compiled = governance(
        budget("old", {"type": "vk"}), budget("young", {"type": "vk"}, age=1), balance("a"), balance("b")
    )
    nodes = compiled.node_problems([make_node("n1", labels={"type": "vk"})])

    assert [(one.kind, one.name) for one in compiled.problems] == [
        ("VirtualNodeBudget", "young"),
        ("ZonalBalance", "b"),
    ]
    found = list(distinct(compiled.problems, nodes))
    assert [(one.kind, one.name) for one in found] == [("ZonalBalance", "b"), ("VirtualNodeBudget", "young")]
    assert "the node n1" in found[1].message
