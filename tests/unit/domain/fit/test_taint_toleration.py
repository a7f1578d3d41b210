"""Taints and tolerations, as the scheduler compares them."""

from typing import Any

import pytest

from spillway.domain.fit.taint_toleration import lasting_taints, taint_toleration, tolerates
from spillway.domain.model.records import Taint
from tests.builders import make_node

PROVIDER = Taint("virtual-kubelet.io/provider", "NoSchedule", "eci")
EXISTS = {"key": PROVIDER.key, "operator": "Exists", "effect": "NoSchedule"}
EQUAL = {"key": PROVIDER.key, "operator": "Equal", "value": "eci", "effect": "NoSchedule"}


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
    test = taint_toleration({"tolerations": [toleration]})
    assert (not test(make_node(taints=(PROVIDER,)))) is expected


@pytest.mark.parametrize(
    "key",
    [
        "node.cloudprovider.kubernetes.io/uninitialized",
        "node.kubernetes.io/disk-pressure",
        "karpenter.sh/disrupted",
        "ToBeDeletedByClusterAutoscaler",
    ],
)
def test_a_taint_that_passes_keeps_a_pod_off_that_does_not_tolerate_it(key: str) -> None:
    node = make_node(taints=(Taint(key, "NoSchedule"),))
    test = taint_toleration({})
    assert test(node) == f"without the taint {key}"
    assert not taint_toleration({"tolerations": [{"key": key, "operator": "Exists"}]})(node)


def test_tolerations_are_added_only_for_lasting_taints() -> None:
    node = make_node(taints=(PROVIDER, Taint("a", "PreferNoSchedule"), Taint("karpenter.sh/disrupted", "NoSchedule")))
    assert lasting_taints(node) == (PROVIDER,)
