"""Taints and tolerations, as the scheduler compares them."""

from typing import Any

import pytest

from spillway.domain.fit.taint_toleration import hard_taints, taint_toleration, tolerates
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


def test_only_taints_that_keep_pods_away_for_good_count() -> None:
    node = make_node(taints=(PROVIDER, Taint("a", "PreferNoSchedule"), Taint("karpenter.sh/disrupted", "NoSchedule")))
    assert hard_taints(node) == (PROVIDER,)
