"""A pod of any size is compared with the nodes in a bounded time."""

from typing import Any

import pytest

from spillway.domain.fit.node_fit import NodeFit
from spillway.domain.fit.term_count import WEIGHT_MAX, weight_of
from spillway.domain.model.documents import REQUIRED
from tests.builders import make_node

EXISTS = {"key": "zone", "operator": "Exists"}
TOLERATION = {"key": "virtual", "operator": "Exists"}
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
MANY = WEIGHT_MAX


def _terms(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": list(terms)}}}}


def _ports(count: int) -> dict[str, Any]:
    return {"containers": [{"ports": [{"containerPort": 1, "hostPort": 1 + index} for index in range(count)]}]}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(_terms(*[{"matchExpressions": [EXISTS]}] * MANY), id="terms"),
        pytest.param(_terms({"matchExpressions": [EXISTS] * MANY}), id="expressions"),
        pytest.param(_terms({"matchFields": [EXISTS] * MANY}), id="fields"),
        pytest.param(_terms({"matchExpressions": [{**EXISTS, "values": ["a"] * MANY}]}), id="values"),
        pytest.param({"tolerations": [TOLERATION] * MANY}, id="tolerations"),
        pytest.param({"nodeSelector": {f"key-{index}": "a" for index in range(MANY)}}, id="a selector"),
        pytest.param({"topologySpreadConstraints": [SPREAD] * MANY}, id="constraints"),
        pytest.param(_ports(MANY), id="host ports"),
    ],
)
def test_a_pod_with_endless_terms_fits_nowhere(spec: dict[str, Any]) -> None:
    fit, node = NodeFit(spec), make_node(labels={"zone": "a"})
    assert not fit.admits(node)
    assert fit.refusal_by_all([node]) == fit.refusal(node) == "that can be compared with so many terms and tolerations"


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"affinity": None, "tolerations": None, "containers": [{"ports": None}]}, id="nulls"),
        pytest.param(_terms(*[{"matchExpressions": [EXISTS]}] * 40), id="forty terms"),
        pytest.param(
            _terms({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"] * 900}]}), id="900 values"
        ),
        pytest.param({"tolerations": [TOLERATION] * 90}, id="ninety tolerations"),
        pytest.param({"containers": [{"ports": [{"containerPort": 1}] * MANY}]}, id="ports of its own"),
    ],
)
def test_a_pod_as_people_write_them_is_compared(spec: dict[str, Any]) -> None:
    assert NodeFit(spec).admits(make_node(labels={"zone": "a"}))
    assert weight_of(spec) <= WEIGHT_MAX
