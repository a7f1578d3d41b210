"""What a pod has to tolerate on a pool, and what is added for it."""

from typing import Any

import pytest

from spillway.api.podoverlay import PodOverlay
from spillway.domain.fit.tolerations import hard_taints, needed, tolerates, toleration_operations
from spillway.domain.model.records import Taint
from tests.builders import make_node

PROVIDER = Taint("virtual-kubelet.io/provider", "NoSchedule", "eci")
EXISTS = {"key": PROVIDER.key, "operator": "Exists", "effect": "NoSchedule"}
EQUAL = {"key": PROVIDER.key, "operator": "Equal", "value": "eci", "effect": "NoSchedule"}


def test_without_a_word_of_the_overlay_each_taint_of_the_nodes_is_tolerated_once() -> None:
    nodes = [
        make_node("v1", taints=(PROVIDER, Taint("node.kubernetes.io/not-ready", "NoExecute"))),
        make_node("v2", taints=(PROVIDER, Taint("arch", "NoExecute"), Taint("soft", "PreferNoSchedule", "x"))),
        make_node("v3", taints=(Taint("ToBeDeletedByClusterAutoscaler", "NoSchedule", "17"),)),
    ]
    assert needed(None, nodes) == ({"key": "arch", "operator": "Exists", "effect": "NoExecute"}, EQUAL)
    assert needed(PodOverlay(), nodes) == needed(None, nodes)


def test_an_overlay_that_lists_tolerations_says_it_all() -> None:
    overlay = PodOverlay.model_validate(
        {"tolerations": [{"key": "a", "operator": "Exists"}, {"key": "b", "value": "c"}]}
    )
    assert needed(overlay, [make_node(taints=(PROVIDER,))]) == (
        {"key": "a", "operator": "Exists"},
        {"key": "b", "operator": "Equal", "value": "c"},
    )


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        (EXISTS, True),
        (EQUAL, True),
        ({"operator": "Exists"}, True),
        ({"key": PROVIDER.key, "value": "eci"}, True),
        ({"key": PROVIDER.key, "value": "tke"}, False),
        ({"key": PROVIDER.key, "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({}, False),
        ({"key": PROVIDER.key, "operator": "Gt", "value": "1"}, False),
    ],
)
def test_a_toleration_is_compared_as_the_scheduler_does(toleration: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    assert tolerates(toleration, PROVIDER) is expected


def _pod(*tolerations: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"tolerations": list(tolerations)} if tolerations else {}}


def test_the_first_toleration_makes_the_list() -> None:
    (operation,) = toleration_operations(_pod(), [EQUAL, EQUAL])
    assert (operation.path, operation.value) == (("spec", "tolerations"), [EQUAL])


def test_more_are_appended() -> None:
    (operation,) = toleration_operations(_pod({"key": "mine", "operator": "Exists"}), [EQUAL])
    assert (operation.path, operation.value) == (("spec", "tolerations", "-"), EQUAL)


@pytest.mark.parametrize(
    "present", [EQUAL, EXISTS, {"key": PROVIDER.key, "operator": "Exists"}, {"operator": "Exists"}]
)
def test_what_the_user_tolerates_is_not_repeated(present: dict[str, Any]) -> None:
    assert toleration_operations(_pod(present), [EQUAL]) == ()


@pytest.mark.parametrize(
    "present",
    [
        {**EXISTS, "tolerationSeconds": 30},
        {"key": PROVIDER.key, "value": "tke"},
        {"key": PROVIDER.key, "operator": "Exists", "effect": "NoExecute"},
    ],
)
def test_what_covers_less_is_not_taken_for_it(present: dict[str, Any]) -> None:
    assert len(toleration_operations(_pod(present), [EQUAL])) == 1


def test_only_taints_that_keep_pods_away_for_good_count() -> None:
    node = make_node(taints=(PROVIDER, Taint("a", "PreferNoSchedule"), Taint("karpenter.sh/disrupted", "NoSchedule")))
    assert hard_taints(node) == (PROVIDER,)
