"""The index of anti-affinity terms, kept by delta."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.names import NodeName
from spillway.domain.model.pod_terms import required_pod_terms
from spillway.domain.model.records import Phase, PodRecord
from spillway.state.repelling_pods import REACHING_MAX, WITHIN_MAX, RepellingPods
from tests.builders import make_pod
from tests.support.neighbours import HOST, required

TERMS = required_pod_terms(required(HOST, "web"), "shop", {})


def shown(index: RepellingPods, namespace: str = "shop", **labels: str) -> list[list[str]]:
    found = index.selecting(labels or {"app": "web"}, namespace, {"team": namespace})
    return [sorted(nodes) for _, nodes in found]


def carrier(number: int, namespace: str, app: str, **more: Any) -> PodRecord:
    terms = required_pod_terms(required(HOST, app, **more), namespace, {})
    return make_pod(f"{namespace}-{number}", namespace=namespace, node=NodeName(f"n{number}"), repels=terms)


def test_a_pod_counts_from_its_binding_until_it_is_finished() -> None:
    index = RepellingPods()
    waiting = make_pod(node=NodeName(""), repels=TERMS)
    index.replace(None, waiting)
    assert shown(index) == []
    bound = msgspec.structs.replace(waiting, node=NodeName("n1"))
    index.replace(waiting, bound)
    assert shown(index) == [["n1"]]
    index.replace(bound, msgspec.structs.replace(bound, phase=Phase.SUCCEEDED))
    assert shown(index) == []


@pytest.mark.parametrize(
    ("more", "reached"),
    [
        pytest.param({}, ["a"], id="its own namespace"),
        pytest.param({"namespaces": ["b", "c"]}, ["b", "c"], id="the ones that it names"),
        pytest.param({"namespaceSelector": {}}, ["a", "b", "c"], id="all"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "c"}}}, ["c"], id="those with a label"),
        pytest.param({"namespaces": ["b"], "namespaceSelector": {"matchLabels": {"team": "c"}}}, ["b", "c"], id="both"),
    ],
)
def test_a_term_counts_in_the_namespaces_that_it_reaches(more: dict[str, Any], reached: list[str]) -> None:
    index = RepellingPods()
    index.replace(None, carrier(1, "a", "web", **more))
    assert [namespace for namespace in "abc" if shown(index, namespace)] == reached
    assert shown(index, reached[0], app="other") == []


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"app": "web", "tier": "x"}},
        {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "cart"]}]},
        {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["cart"]}]},
        {},
    ],
    ids=str,
)
def test_whatever_a_selector_requires_it_is_found(selector: dict[str, Any]) -> None:
    index = RepellingPods()
    index.replace(None, carrier(1, "shop", "", labelSelector=selector))
    assert shown(index, app="web", tier="x") == [["n1"]]


@pytest.mark.parametrize(
    ("more", "namespace", "most"),
    [
        pytest.param({"namespaceSelector": {}}, "shop", REACHING_MAX, id="of one that reaches everywhere"),
        pytest.param({"namespaces": ["shop"]}, "shop", REACHING_MAX, id="of one that names this one"),
        pytest.param({}, "many", WITHIN_MAX, id="of its own"),
    ],
)
def test_the_terms_of_one_namespace_that_are_looked_at_are_bounded(
    more: dict[str, Any], namespace: str, most: int
) -> None:
    index = RepellingPods()
    pods = []
    for number in range(most + 50):
        apart = {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": [str(number)]}]}
        pods.append(carrier(number, "many", "", labelSelector=apart, **more))
        index.replace(None, pods[-1])
    index.replace(None, carrier(1, "few", "web", namespaceSelector={}))
    assert len(shown(index, namespace)) == most + 1, "those of another namespace count as before"
    for pod in pods:
        index.replace(pod, None)
    assert shown(index, namespace) == [["n1"]]


def test_terms_about_other_labels_take_no_ones_place() -> None:
    index = RepellingPods()
    for number in range(REACHING_MAX + 1):
        index.replace(None, carrier(number, "a", f"app-{number}", namespaceSelector={}))
    index.replace(None, carrier(1, "a", "web", namespaceSelector={}))
    assert shown(index) == [["n1"]]


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(["", "n1", "n2"]),
            st.booleans(),
            st.sampled_from([Phase.RUNNING, Phase.FAILED]),
        )
    )
)
def test_the_index_is_what_counting_all_pods_gives(steps: list[tuple[int, str, bool, Phase]]) -> None:
    index, pods = RepellingPods(), dict[int, PodRecord]()
    for which, node, repels, phase in steps:
        new: Any = make_pod(f"p{which}", node=NodeName(node), phase=phase, repels=TERMS if repels else ())
        index.replace(pods.get(which), new)
        pods[which] = new
    expected = sorted({pod.node for pod in pods.values() if pod.repels and pod.node and not pod.finished})
    assert shown(index) == ([expected] if expected else [])
    for pod in pods.values():
        index.replace(pod, None)
    assert shown(index) == []
