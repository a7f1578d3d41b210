"""What a pod has to tolerate on a pool, and what is added for it."""

from typing import Any

import pytest

from spillway.api.podoverlay import PodOverlay
from spillway.domain.model.records import Taint
from spillway.domain.overlay.tolerations import needed, toleration_additions
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


def _pod(*tolerations: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"tolerations": list(tolerations)} if tolerations else {}}


def test_the_first_toleration_makes_the_list() -> None:
    (addition,) = toleration_additions(_pod(), [EQUAL, EQUAL])
    assert (addition.path, addition.value) == (("spec", "tolerations"), [EQUAL])


def test_more_are_appended() -> None:
    (addition,) = toleration_additions(_pod({"key": "mine", "operator": "Exists"}), [EQUAL])
    assert (addition.path, addition.value) == (("spec", "tolerations", "-"), EQUAL)


@pytest.mark.parametrize(
    "present", [EQUAL, EXISTS, {"key": PROVIDER.key, "operator": "Exists"}, {"operator": "Exists"}]
)
def test_what_the_user_tolerates_is_not_repeated(present: dict[str, Any]) -> None:
    assert toleration_additions(_pod(present), [EQUAL]) == ()


@pytest.mark.parametrize(
    "present",
    [
        {**EXISTS, "tolerationSeconds": 30},
        {"key": PROVIDER.key, "value": "tke"},
        {"key": PROVIDER.key, "operator": "Exists", "effect": "NoExecute"},
    ],
)
def test_what_covers_less_is_not_taken_for_it(present: dict[str, Any]) -> None:
    assert len(toleration_additions(_pod(present), [EQUAL])) == 1
