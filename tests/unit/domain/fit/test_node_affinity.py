"""The user's own node selector and required affinity, as the scheduler reads them."""

from collections.abc import Mapping
from typing import Any

import pytest

from spillway.api.common import LabelSelector
from spillway.domain.fit.node_affinity import allows, node_affinity, selector_requirements
from spillway.domain.model.documents import REQUIRED
from tests.builders import make_node


def _expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def _pod(*terms: Mapping[str, Any]) -> dict[str, Any]:
    node: dict[str, Any] = {REQUIRED: {"nodeSelectorTerms": list(terms)}} if terms else {}
    return {"spec": {"affinity": {"nodeAffinity": node}} if node else {}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, True),
        ({"nodeSelector": {"zone": "a"}}, True),
        ({"nodeSelector": {"zone": "b"}}, False),
        (_pod({"matchExpressions": [_expression("zone", "In", "a")]})["spec"], True),
        (_pod({"matchExpressions": [_expression("zone", "NotIn", "a")]})["spec"], False),
        (_pod({"matchExpressions": [_expression("disk", "NotIn", "ssd")]})["spec"], True),
        (_pod({"matchExpressions": [_expression("disk", "Exists")]})["spec"], False),
        (_pod({"matchExpressions": [_expression("disk", "DoesNotExist")]})["spec"], True),
        (_pod({"matchExpressions": [_expression("cores", "Gt", "4")]})["spec"], True),
        (_pod({"matchExpressions": [_expression("cores", "Lt", "4")]})["spec"], False),
        (_pod({"matchExpressions": [_expression("zone", "Gt", "4")]})["spec"], False),
        (_pod({"matchFields": [_expression("metadata.name", "In", "v1")]})["spec"], True),
        (_pod({"matchFields": [_expression("metadata.name", "In", "v2")]})["spec"], False),
        (_pod({}, {"matchExpressions": [_expression("zone", "In", "a")]})["spec"], True),
        (_pod({})["spec"], False),
        (_pod({"matchExpressions": [_expression("zone", "In", "a"), _expression("disk", "Exists")]})["spec"], False),
    ],
)
def test_a_users_own_wishes_are_read_as_the_scheduler_reads_them(spec: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    node = make_node("v1", labels={"zone": "a", "cores": "8"})
    assert allows(spec, node) is expected
    test = node_affinity(spec)
    assert (test is None or not test(node)) is expected


def test_a_label_selector_becomes_requirements_of_one_term() -> None:
    selector = LabelSelector.model_validate(
        {
            "matchLabels": {"zone": "a", "pool": "elastic"},
            "matchExpressions": [_expression("disk", "In", "ssd", "nvme"), _expression("gpu", "DoesNotExist")],
        }
    )
    assert selector_requirements(selector) == [
        _expression("pool", "In", "elastic"),
        _expression("zone", "In", "a"),
        _expression("disk", "In", "ssd", "nvme"),
        _expression("gpu", "DoesNotExist"),
    ]
