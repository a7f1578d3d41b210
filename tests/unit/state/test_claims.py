"""The claims on a ReplicaSet's pods, by the state's namespaces."""

from typing import Any

import pytest

from spillway.domain.policies.governance import Governance
from spillway.state.claims import balance_of, claim_of, claim_of_pods, losers_of
from tests.builders import make_namespace, make_replicaset, make_state
from tests.unit.domain.policies.policy_cases import balance, governance, policy

WEB = {"matchLabels": {"app": "web"}}
SHOPS = {"matchLabels": {"team": "shop"}}
CLASS = {"name": "web", "match": {"namespaces": SHOPS, "labels": WEB, "kinds": ["Deployment"]}}
BOTH = governance(policy("old", CLASS), policy("young", age=1), balance("even", match={"labels": WEB}))


@pytest.mark.parametrize(
    ("changes", "claimed_by"),
    [
        ({}, "old"),
        ({"labels": {"app": "other"}}, "young"),
        ({"owner_kind": "Rollout"}, "young"),
        ({"namespace": "elsewhere"}, None),
    ],
)
def test_the_namespace_the_kind_of_the_workload_and_the_labels_decide(
    changes: dict[str, Any], claimed_by: str | None
) -> None:
    state = make_state()
    state.apply(make_namespace("shop", team="shop"))
    replicaset = make_replicaset(**changes)
    claim = claim_of(state, BOTH, replicaset)
    assert (claim.policy if claim else None) == claimed_by
    pods = claim_of_pods(state, BOTH, replicaset.namespace, replicaset.workload_kind, replicaset.labels)
    assert pods == claim


def test_a_namespace_that_is_relabelled_changes_the_claim() -> None:
    state, replicaset = make_state(), make_replicaset()
    state.apply(make_namespace("shop"))
    first = claim_of(state, BOTH, replicaset)
    state.apply(make_namespace("shop", team="shop"))
    second = claim_of(state, BOTH, replicaset)
    assert [one.policy for one in (first, second) if one is not None] == ["young", "old"]


@pytest.mark.parametrize(
    ("compiled", "losers"),
    [(BOTH, ("young",)), (governance(policy("only")), ()), (governance(), ())],
)
def test_the_losers_are_the_younger_policies_that_select_it_too(compiled: Governance, losers: tuple[str, ...]) -> None:
    state = make_state()
    state.apply(make_namespace("shop", team="shop"))
    assert losers_of(state, compiled, make_replicaset()) == losers


def test_the_balance_that_spreads_it() -> None:
    state = make_state()
    state.apply(make_namespace("shop"))
    assert balance_of(state, BOTH, make_replicaset()) == "even"
    assert balance_of(state, BOTH, make_replicaset(labels={"app": "other"})) is None
