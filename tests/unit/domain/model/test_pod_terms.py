"""Terms of affinity between pods: which pods they select."""

from typing import Any

import pytest

from spillway.domain.model.pod_terms import merged_selector, required_pod_terms

WEB = {"matchLabels": {"app": "web"}}


def term(**raw: Any) -> Any:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone", **raw}]}
    return required_pod_terms(required, "shop", {"app": "web", "hash": "1"})[0]


@pytest.mark.parametrize(
    ("raw", "namespace", "of_namespace", "selected"),
    [
        pytest.param({"labelSelector": WEB}, "shop", {}, True, id="its own namespace"),
        pytest.param({"labelSelector": WEB}, "other", {}, False, id="another namespace"),
        pytest.param({"labelSelector": WEB, "namespaces": ["other"]}, "other", {}, True, id="a named one"),
        pytest.param({"labelSelector": WEB, "namespaces": ["other"]}, "shop", {}, False, id="then not its own"),
        pytest.param({"labelSelector": WEB, "namespaceSelector": {}}, "other", {}, True, id="all namespaces"),
        pytest.param(
            {"labelSelector": WEB, "namespaceSelector": {"matchLabels": {"team": "a"}}},
            "other",
            {"team": "b"},
            False,
            id="by the labels of the namespace",
        ),
        pytest.param({}, "shop", {}, False, id="no selector selects nothing"),
        pytest.param({"labelSelector": {}}, "shop", {}, True, id="an empty one selects everything"),
        pytest.param({"labelSelector": WEB, "matchLabelKeys": ["hash"]}, "shop", {}, False, id="of its revision alone"),
        pytest.param({"labelSelector": WEB, "mismatchLabelKeys": ["hash"]}, "shop", {}, True, id="of other revisions"),
    ],
)
def test_what_a_term_selects(
    raw: dict[str, Any], namespace: str, of_namespace: dict[str, str], *, selected: bool
) -> None:
    assert term(**raw).selects({"app": "web", "hash": "2"}, namespace, of_namespace) is selected


def test_the_same_term_of_two_pods_is_one_key() -> None:
    assert (
        len(
            {
                term(labelSelector=WEB),
                term(labelSelector={"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}),
            }
        )
        == 1
    )


def test_label_keys_that_the_pod_does_not_have_are_left_out() -> None:
    found = merged_selector({"labelSelector": WEB, "matchLabelKeys": ["absent"]}, {"app": "web"})
    assert found is not None
    assert found.matches({"app": "web"})
    assert merged_selector({"matchLabelKeys": ["absent"]}, {}) is None
