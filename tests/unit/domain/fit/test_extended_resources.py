"""Extended resources: a node has to offer as much as the pod requests."""

from typing import Any

import pytest

from spillway.domain.fit.extended_resources import extended_resources
from spillway.domain.fit.requests import extended_requests
from tests.builders import make_node

GPU = "nvidia.com/gpu"
TWO = make_node("gpu", extended={GPU: 2})


def _limited(amount: str, resource: str = GPU, **container: Any) -> dict[str, Any]:
    """A container as a template has it: of an extended resource only the limit is given."""
    return {"resources": {"requests": {"cpu": "1"}, "limits": {resource: amount}}, **container}


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, {}),
        (
            {"containers": [{"resources": {"requests": {"cpu": "1", "ephemeral-storage": "1Gi"}}}]},
            {"ephemeral-storage": 1 << 30},
        ),
        ({"containers": [_limited("1")]}, {GPU: 1}),
        ({"containers": [_limited("0")]}, {}),
        ({"containers": [_limited("1"), _limited("1")]}, {GPU: 2}),
        ({"containers": [_limited("1")], "initContainers": [_limited("3")]}, {GPU: 3}),
        ({"containers": [_limited("1")], "initContainers": [_limited("1", restartPolicy="Always")]}, {GPU: 2}),
        ({"containers": [_limited("4Mi", "hugepages-2Mi")]}, {"hugepages-2Mi": 4 << 20}),
        ({"containers": [_limited("many")]}, {}),
    ],
)
def test_what_a_pod_requests_of_them(spec: dict[str, Any], wanted: dict[str, int]) -> None:
    assert extended_requests(spec) == wanted


def test_most_pods_ask_for_nothing_of_the_kind() -> None:
    assert extended_resources({"containers": [{"resources": {"requests": {"cpu": "1"}}}]}) is None


@pytest.mark.parametrize(("amount", "refused"), [("1", False), ("2", False), ("3", True)])
def test_a_node_has_to_offer_as_much(amount: str, *, refused: bool) -> None:
    test = extended_resources({"containers": [_limited(amount)]})
    assert test is not None
    assert bool(test(TWO)) is refused
    assert test(make_node()) == f"that offers {amount} of {GPU}, which the pod requests"
