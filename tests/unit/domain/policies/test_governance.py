"""Governance: who governs a workload, where a node stands, and that the answer is the same whatever the order."""

from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api import ElasticPolicy, VirtualNodeBudget, ZonalBalance
from spillway.api.elasticpolicy import Placement, PolicyMode
from spillway.domain.model.names import CLASS, ZONE_LABEL, Tier, Zone
from spillway.domain.model.places import Claim, NodePlace
from spillway.domain.policies.governance import ElasticOwner, Governance
from tests.builders import make_namespace, make_node
from tests.unit.domain.policies.policy_cases import SHOP, START, balance, budget, governance, policy

T = TypeVar("T")


# Who governs a workload


def test_an_entry_without_match_claims_everything() -> None:
    claim = governance(policy()).claim(SHOP, "Deployment", {})
    assert claim == Claim("online", "default", PolicyMode.ENFORCE, max_skew=1, zone_key=ZONE_LABEL)


@pytest.mark.parametrize("name", ["kube-system", "kube-public", "kube-node-lease", "spillway-system"])
def test_system_namespaces_are_nobodys(name: str) -> None:
    compiled = governance(policy())
    assert compiled.claim(make_namespace(name), "Deployment", {}) is None
    assert compiled.claimants(make_namespace(name), "Deployment", {}) == ()


def test_the_operators_own_namespace_may_have_another_name() -> None:
    compiled = Governance.compile([policy()], [], [], own_namespace="platform")
    assert compiled.claim(make_namespace("platform"), "Deployment", {}) is None
    assert compiled.claim(make_namespace("spillway-system"), "Deployment", {}) is not None


def test_an_unknown_namespace_is_nobodys() -> None:
    assert governance(policy()).claim(None, "Deployment", {}) is None


CLASSES = (
    {"name": "critical", "match": {"kinds": ["Deployment"], "labels": {"matchLabels": {"latency": "critical"}}}},
    {"name": "shop-batch", "match": {"kinds": ["Job"], "namespaces": {"matchLabels": {"team": "shop"}}}},
    {"name": "web", "match": {"labels": {"matchLabels": {"tier": "web"}}}},
)


@pytest.mark.parametrize(
    ("kind", "labels", "chosen"),
    [
        ("Deployment", {"latency": "critical"}, "critical"),
        ("Deployment", {"latency": "critical", "tier": "web"}, "critical"),
        ("Deployment", {"tier": "web"}, "web"),
        ("Job", {"latency": "critical"}, "shop-batch"),
        ("StatefulSet", {"latency": "critical"}, None),
        ("Deployment", {}, None),
        # The label chooses, over kind and labels of the entry.
        ("Deployment", {CLASS: "shop-batch"}, "shop-batch"),
        ("Deployment", {CLASS: "web", "latency": "critical"}, "web"),
        # A class that does not exist chooses nothing.
        ("Deployment", {CLASS: "no-such", "tier": "web"}, "web"),
    ],
)
def test_the_class_is_the_labels_choice_else_the_first_that_matches(
    kind: str, labels: dict[str, str], chosen: str | None
) -> None:
    claim = governance(policy("online", *CLASSES)).claim(SHOP, kind, labels)
    assert (claim.workload_class if claim else None) == chosen


def test_the_label_does_not_reach_into_namespaces_that_the_entry_leaves_out() -> None:
    compiled = governance(policy("online", *CLASSES))
    assert compiled.claim(make_namespace("data", team="data"), "Job", {CLASS: "shop-batch"}) is None


def test_a_namespace_that_changes_its_labels_changes_hands() -> None:
    compiled = governance(policy("online", CLASSES[1]))
    assert compiled.claim(make_namespace("x", team="shop"), "Job", {}) is not None
    assert compiled.claim(make_namespace("x", team="data"), "Job", {}) is None


def test_the_oldest_policy_wins_then_the_name() -> None:
    compiled = governance(policy("b", age=1), policy("a", age=1), policy("z", age=0, mode="Recommend"))
    assert compiled.claimants(SHOP, "Deployment", {}) == ("z", "a", "b")
    claim = compiled.claim(SHOP, "Deployment", {})
    assert claim is not None
    assert (claim.policy, claim.enforced) == ("z", False)


def test_a_policy_that_is_being_deleted_governs_nothing() -> None:
    leaving = policy("leaving")
    gone = leaving.model_copy(update={"metadata": leaving.metadata.model_copy(update={"deletion_timestamp": START})})
    compiled = governance(gone)
    assert compiled.claim(SHOP, "Deployment", {}) is None
    assert dict(compiled.policies) == {}


def test_skew_and_zone_come_from_the_oldest_balance_that_matches() -> None:
    compiled = governance(
        policy(),
        balance("racks", age=0, maxSkew=3, zoneKey="example.com/rack", match={"kinds": ["StatefulSet"]}),
        balance("wide", age=1, maxSkew=2),
        balance("late", age=2, maxSkew=9),
    )
    deployment = compiled.claim(SHOP, "Deployment", {})
    stateful = compiled.claim(SHOP, "StatefulSet", {})
    assert deployment is not None
    assert stateful is not None
    assert (deployment.max_skew, deployment.zone_key) == (2, ZONE_LABEL)
    assert (stateful.max_skew, stateful.zone_key) == (3, "example.com/rack")
    assert compiled.balance_of(SHOP, "Deployment", {}) == "wide"
    assert compiled.balance_of(make_namespace("kube-system"), "Deployment", {}) is None


# Where a node stands


def test_tiers() -> None:
    compiled = governance(policy(elastic={"pool": "elastic"}, budgets=("eci-a",)), budget("eci-a", {"type": "vk"}))
    zone = {ZONE_LABEL: "zone-a"}

    def place(**labels: str) -> NodePlace:
        return compiled.place("online", make_node(labels=labels | zone))

    assert place(pool="own") == NodePlace(Tier.FIXED, zone=Zone("zone-a"))
    assert place(pool="elastic").tier is Tier.ELASTIC
    assert place(type="vk") == NodePlace(Tier.VIRTUAL, zone=Zone("zone-a"), pool="eci-a")
    assert place(type="vk", pool="elastic").tier is Tier.VIRTUAL, "of both, virtual wins"


def test_a_node_without_zone_and_a_zone_by_another_key() -> None:
    compiled = governance(policy())
    node = make_node(labels={"example.com/rack": "r1"})
    assert compiled.place("online", node).zone == ""
    assert compiled.place("online", node, zone_key="example.com/rack").zone == "r1"


def test_a_pool_that_the_policy_does_not_list_is_not_its_virtual_tier() -> None:
    compiled = governance(policy(), budget("eci-a", {"type": "vk"}))
    node = make_node(labels={"type": "vk"})
    assert compiled.place("online", node).tier is Tier.FIXED
    assert compiled.budget_of(node) == "eci-a"


def test_for_a_policy_that_is_gone_every_node_is_fixed() -> None:
    compiled = governance(policy(elastic={"pool": "elastic"}))
    assert compiled.place("gone", make_node(labels={"pool": "elastic"})).tier is Tier.FIXED


def test_a_relabelled_node_stands_elsewhere() -> None:
    compiled = governance(policy(elastic={"pool": "elastic"}))
    assert compiled.place("online", make_node(labels={"pool": "elastic"})).tier is Tier.ELASTIC
    assert compiled.place("online", make_node(labels={"pool": "fixed"})).tier is Tier.FIXED


@pytest.mark.parametrize(
    ("pools", "price_rank"),
    [
        # All have a price: the cheapest is emptied last, however they are listed.
        ((budget("a", price=("0.5", "0.1")), budget("b", price=("0.3", "0.1"))), {"a": 1, "b": 0}),
        # Dear memory makes a pool dear: compared is one core with 4 GiB.
        ((budget("a", price=("0.3", "0.2")), budget("b", price=("0.5", "0.1"))), {"a": 1, "b": 0}),
        # The same price, no price, a price in another currency: the order of the list.
        ((budget("a", price=("0.3", "0.1")), budget("b", price=("0.3", "0.1"))), {"a": 0, "b": 1}),
        ((budget("a", price=("0.5", "0.1")), budget("b")), {"a": 0, "b": 1}),
        (
            (budget("a", price=("0.5", "0.1")), budget("b", price=("0.1", "0.1"), currency="USD")),
            {"a": 0, "b": 1},
        ),
    ],
)
def test_price_ranks(pools: tuple[VirtualNodeBudget, ...], price_rank: dict[str, int]) -> None:
    compiled = governance(policy(budgets=("a", "b")), *pools)
    found = {pool: compiled.place("online", make_node(labels={"pool": pool})).price_rank for pool in price_rank}
    assert found == price_rank


def test_the_first_pool_of_the_list_that_selects_a_node_has_it() -> None:
    compiled = governance(
        policy(budgets=("b", "a")), budget("a", {"type": "vk"}, age=0), budget("b", {"type": "vk"}, age=1)
    )
    node = make_node(labels={"type": "vk"})
    assert compiled.place("online", node).pool == "b"
    assert compiled.budget_of(node) == "a", "without a policy the oldest has it"


def test_the_elastic_owner_is_the_oldest_that_enforces() -> None:
    pool = {"pool": "elastic"}
    node = make_node(labels=pool)
    watching = policy("watching", age=0, mode="Recommend", elastic=pool)
    acting = policy("acting", age=1, elastic=pool)
    assert governance(watching, acting).elastic_owner(node) == ElasticOwner(
        "acting", PolicyMode.ENFORCE, soft_taint=True
    )
    assert governance(watching).elastic_owner(node) == ElasticOwner("watching", PolicyMode.RECOMMEND, soft_taint=True)
    assert governance(watching).elastic_owner(make_node()) is None


def test_a_virtual_node_has_no_elastic_owner() -> None:
    compiled = governance(policy(elastic={"pool": "x"}, budgets=("eci-a",)), budget("eci-a", {"pool": "x"}))
    assert compiled.elastic_owner(make_node(labels={"pool": "x"})) is None


@pytest.mark.parametrize(
    ("labels", "tier"),
    [
        ({}, Tier.FIXED),
        ({"pool": "elastic"}, Tier.ELASTIC),
        ({"pool": "burst"}, Tier.ELASTIC),
        ({"type": "vk"}, Tier.VIRTUAL),
        ({"type": "unlisted"}, Tier.VIRTUAL),
        ({"type": "unlisted", "pool": "elastic"}, Tier.VIRTUAL),
    ],
    ids=str,
)
def test_the_tier_of_a_node_for_the_whole_cluster(labels: dict[str, str], tier: Tier) -> None:
    compiled = governance(
        policy("online", age=0, elastic={"pool": "elastic"}, budgets=("eci-a",)),
        policy("batch", age=1, mode="Recommend", elastic={"pool": "burst"}),
        policy("plain", age=2),
        budget("eci-a", {"type": "vk"}),
        budget("eci-b", {"type": "unlisted"}),
    )
    assert compiled.tier_of(make_node(labels=labels)) is tier


# The same whatever the order, and however often asked

label_sets = st.dictionaries(st.sampled_from(["a", "b", CLASS]), st.sampled_from(["1", "2", "c1"]))
matches = st.fixed_dictionaries(
    {},
    optional={
        "namespaces": label_sets.map(lambda labels: {"matchLabels": labels}),
        "labels": label_sets.map(lambda labels: {"matchLabels": labels}),
        "kinds": st.lists(st.sampled_from(["Deployment", "Job"]), max_size=2, unique=True),
    },
)
policies = st.lists(
    st.tuples(
        st.lists(matches, min_size=1, max_size=3),
        st.integers(0, 2),
        st.none() | label_sets.filter(bool),
        st.lists(st.sampled_from(["v0", "v1", "no-such"]), unique=True),
    ),
    max_size=4,
).map(
    lambda rows: [
        policy(
            f"p{number}",
            *({"name": f"c{index}", "match": match} for index, match in enumerate(row[0])),
            age=row[1],
            elastic=row[2],
            budgets=tuple(row[3]),
        )
        for number, row in enumerate(rows)
    ]
)
pools = st.lists(st.tuples(label_sets.filter(bool), st.integers(0, 2)), max_size=3).map(
    lambda rows: [budget(f"v{number}", labels, age=age) for number, (labels, age) in enumerate(rows)]
)
balances = st.lists(st.tuples(matches, st.integers(0, 2), st.integers(1, 5)), max_size=3).map(
    lambda rows: [
        balance(f"z{number}", age=age, match=match, maxSkew=skew) for number, (match, age, skew) in enumerate(rows)
    ]
)
questions = st.lists(st.tuples(label_sets, st.sampled_from(["Deployment", "Job"]), label_sets), min_size=1, max_size=12)


@given(policies, pools, balances, questions, st.integers())
def test_answers_do_not_depend_on_order_or_on_what_was_asked_before(
    some_policies: list[ElasticPolicy],
    some_budgets: list[VirtualNodeBudget],
    some_balances: list[ZonalBalance],
    asked: list[tuple[dict[str, str], str, dict[str, str]]],
    seed: int,
) -> None:
    one = Governance.compile(some_policies, some_budgets, some_balances)
    two = Governance.compile(
        _shuffled(some_policies, seed), _shuffled(some_budgets, seed), _shuffled(some_balances, seed)
    )
    assert one.problems == two.problems
    questions_again = list(reversed(asked))
    answers = {id(question): _answers(one, *question) for question in asked}
    for question in questions_again:
        assert _answers(two, *question) == answers[id(question)]
        fresh = Governance.compile(some_policies, some_budgets, some_balances)
        assert _answers(fresh, *question) == answers[id(question)], "remembering does not change an answer"


@given(policies, questions)
def test_the_claim_is_the_first_claimants(
    some_policies: list[ElasticPolicy], asked: list[tuple[dict[str, str], str, dict[str, str]]]
) -> None:
    compiled = Governance.compile(some_policies, [], [])
    for namespace_labels, kind, labels in asked:
        namespace = make_namespace("shop", **namespace_labels)
        claimants = compiled.claimants(namespace, kind, labels)
        claim = compiled.claim(namespace, kind, labels)
        assert (claim.policy if claim else None) == (claimants[0] if claimants else None)


def _shuffled(resources: list[T], seed: int) -> list[T]:
    return Random(seed).sample(resources, len(resources))


def _answers(compiled: Governance, namespace_labels: dict[str, str], kind: str, labels: dict[str, str]) -> Any:
    namespace = make_namespace("shop", **namespace_labels)
    node = make_node(labels=labels)
    return (
        compiled.claim(namespace, kind, labels),
        compiled.claimants(namespace, kind, labels),
        compiled.balance_of(namespace, kind, labels),
        [compiled.place(f"p{number}", node) for number in range(4)],
        compiled.elastic_owner(node),
        compiled.budget_of(node),
    )


def test_made_up_labels_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spillway.domain.policies.governance._REMEMBERED", 8)
    compiled = governance(policy("online", {"name": "a", "match": {"labels": {"matchLabels": {"a": "1"}}}}))
    for number in range(100):
        assert compiled.claim(SHOP, "Deployment", {"a": str(number)}) is None or number == 1
    assert len(compiled._claims) <= 8


@pytest.mark.parametrize(
    ("parts", "places"),
    [({}, False), ({"placement": {}}, True), ({"threshold": {"mode": "Manual", "replicas": 3}}, True)],
)
def test_a_class_places_pods_if_it_has_a_threshold_or_a_placement(parts: dict[str, Any], *, places: bool) -> None:
    governance = Governance.compile([policy("online", {"name": "web", **parts})], [], [])
    claim = governance.claim(make_namespace("shop"), "Deployment", {})
    found = governance.placing_class(claim)
    assert (found is not None) == places
    assert found is None or found.effective_placement == Placement()
    assert governance.placing_class(None) is None
