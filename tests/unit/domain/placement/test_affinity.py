"""The user's node affinity and the pools', joined: a node has to satisfy both."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.common import LabelSelector
from spillway.domain.fit.node_affinity import allows, selector_requirements
from spillway.domain.model.selectors import selects
from spillway.domain.placement.affinity import affinity_additions, weights
from tests.builders import make_node
from tests.support.json_patch import applied

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def _selector(**labels: str) -> LabelSelector:
    return LabelSelector.model_validate({"matchLabels": labels})


ECI, TKE = _selector(type="vk", provider="eci"), _selector(type="vk", provider="tke")


def _expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def _pod(*terms: Mapping[str, Any], **affinity: Any) -> dict[str, Any]:
    node: dict[str, Any] = {REQUIRED: {"nodeSelectorTerms": list(terms)}} if terms else {}
    both = {**({"nodeAffinity": node} if node else {}), **affinity}
    return {"spec": {"affinity": both} if both else {}}


def _joined(pod: Mapping[str, Any], *pools: LabelSelector) -> Any:
    return applied(pod, affinity_additions(pod, pools))["spec"]["affinity"]


def test_a_pod_without_affinity_may_run_on_the_pools_alone() -> None:
    joined = _joined(_pod(), ECI, TKE)["nodeAffinity"]
    assert joined[REQUIRED]["nodeSelectorTerms"] == [
        {"matchExpressions": selector_requirements(ECI)},
        {"matchExpressions": selector_requirements(TKE)},
    ]
    assert [(one["weight"], one["preference"]["matchExpressions"]) for one in joined[PREFERRED]] == [
        (100, selector_requirements(ECI))
    ]


def test_one_pool_needs_no_preference() -> None:
    assert PREFERRED not in _joined(_pod(), ECI)["nodeAffinity"]


def test_each_of_the_users_terms_is_crossed_with_each_pool_and_keeps_its_fields() -> None:
    zone, disk = _expression("zone", "In", "a", "b"), _expression("disk", "Exists")
    field = _expression("metadata.name", "In", "v1")
    pod = _pod({"matchExpressions": [zone]}, {"matchExpressions": [disk], "matchFields": [field]})
    assert _joined(pod, ECI, TKE)["nodeAffinity"][REQUIRED]["nodeSelectorTerms"] == [
        {"matchExpressions": [zone, *selector_requirements(ECI)]},
        {"matchExpressions": [zone, *selector_requirements(TKE)]},
        {"matchExpressions": [disk, *selector_requirements(ECI)], "matchFields": [field]},
        {"matchExpressions": [disk, *selector_requirements(TKE)], "matchFields": [field]},
    ]


def test_a_term_that_matches_no_node_does_not_become_one_that_does() -> None:
    pod = _pod({}, {"matchExpressions": [_expression("zone", "Exists")]})
    terms = _joined(pod, ECI)["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
    assert len(terms) == 1


def test_preferences_and_other_affinities_of_the_user_stay() -> None:
    mine = {"weight": 7, "preference": {"matchExpressions": [_expression("disk", "Exists")]}}
    pod = _pod(nodeAffinity={PREFERRED: [mine]}, podAntiAffinity={"x": []})
    joined = _joined(pod, ECI, TKE)
    assert joined["podAntiAffinity"] == {"x": []}
    assert joined["nodeAffinity"][PREFERRED][0] == mine
    assert len(joined["nodeAffinity"][PREFERRED]) == 2


def test_no_pool_is_no_affinity() -> None:
    with pytest.raises(ValueError, match="needs a pool"):
        affinity_additions(_pod(), [])


@pytest.mark.parametrize(("count", "expected"), [(1, (0,)), (2, (100, 0)), (3, (100, 50, 0))])
def test_weights_fall_in_order(count: int, expected: tuple[int, ...]) -> None:
    assert weights(count) == expected


def test_sixteen_pools_have_sixteen_weights_that_kubernetes_allows() -> None:
    found = weights(16)
    assert list(found) == sorted(set(found), reverse=True)
    assert set(found) <= set(range(101))


_KEYS = ("a", "b")
_VALUES = ("x", "y")
_EXPRESSIONS = st.one_of(
    st.builds(_expression, st.sampled_from(_KEYS), st.sampled_from(("In", "NotIn")), st.sampled_from(_VALUES)),
    st.builds(_expression, st.sampled_from(_KEYS), st.sampled_from(("Exists", "DoesNotExist"))),
)
_TERMS = st.lists(st.builds(lambda found: {"matchExpressions": found}, st.lists(_EXPRESSIONS, max_size=2)), max_size=3)
_SELECTORS = st.builds(
    lambda found: LabelSelector.model_validate({"matchExpressions": found}),
    st.lists(_EXPRESSIONS, min_size=1, max_size=2),
)
_LABELS = st.dictionaries(st.sampled_from(_KEYS), st.sampled_from(_VALUES))


@given(terms=_TERMS, pools=st.lists(_SELECTORS, min_size=1, max_size=3), labels=_LABELS)
def test_a_node_takes_the_pod_exactly_if_the_user_and_some_pool_want_it(
    terms: list[dict[str, Any]], pools: list[LabelSelector], labels: dict[str, str]
) -> None:
    node, pod = make_node(labels=labels), _pod(*terms)
    wanted = allows(pod["spec"], node) and any(selects(pool, labels) for pool in pools)
    if any(terms) and not any(term["matchExpressions"] for term in terms):
        return  # no node suits such a pod, and no pool is ever asked to take it
    assert allows({"affinity": _joined(pod, *pools)}, node) is wanted
