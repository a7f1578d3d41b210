"""The load of a workload by zone, and whether a reading of such loads is good."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from spillway.domain.balance.load import LoadProblem
from spillway.domain.balance.zone_loads import checked_zones, mean_cpu, ready_by_zone, with_gaps
from spillway.domain.balance.zones import zone_weights
from spillway.domain.model.names import ZONE_LABEL, NodeName
from tests.builders import make_node, make_pod


class Use(NamedTuple):
    cpu_millis: float


def test_the_mean_of_the_ready_pods_of_each_zone_of_which_most_were_measured() -> None:
    nodes = {node.name: node for node in (make_node(name, labels={ZONE_LABEL: name[0]}) for name in ("a1", "b1"))}
    nodes[NodeName("none")] = make_node("none")
    pods = [
        *(make_pod(f"a-{index}", node=NodeName("a1")) for index in range(5)),
        *(make_pod(f"b-{index}", node=NodeName("b1")) for index in range(4)),
        make_pod("starts", node=NodeName("a1"), ready=False),
        make_pod("nowhere", node=NodeName("none")),
        make_pod("waits", node=NodeName("")),
    ]
    used = {f"a-{index}": Use(100.0 * index) for index in range(4)} | {f"b-{index}": Use(50.0) for index in range(3)}
    used |= {name: Use(1e6) for name in ("starts", "nowhere", "waits")}

    means = mean_cpu(ready_by_zone(pods, nodes, ZONE_LABEL), used)

    assert means.keys() == {"a", "b"}
    assert means["a"] == 150.0
    assert math.isnan(means["b"]), "three of four"


def test_a_zone_with_replicas_and_without_a_value_makes_all_zones_equal() -> None:
    loads = with_gaps({"a": 100.0, "b": 50.0}, "abc")
    assert zone_weights(loads, 15.0) == {}
    assert zone_weights(with_gaps({"a": 100.0, "b": 50.0, "d": 10.0}, "ab"), 15.0) == {"a": 100, "b": 44, "d": 0}


@pytest.mark.parametrize(
    ("workloads", "example"),
    [
        pytest.param({}, "", id="no workload"),
        pytest.param({"shop/one": {"a": math.nan}}, "", id="replicas in one zone alone"),
        pytest.param({"shop/web": {"a": 1.0, "b": 0.0}}, "", id="good"),
        pytest.param({"shop/web": {"a": 1.0, "b": math.nan}}, "shop/web has none in b", id="one zone is not known"),
        pytest.param({"shop/web": {"a": 1.0, "b": -1.0}}, "shop/web has none in b", id="one is negative"),
        pytest.param(
            {f"shop/{name}": {"a": 1.0, "b": 2.0 if name != "x" else math.inf} for name in "vwxyz"},
            "",
            id="four of five",
        ),
        pytest.param(
            {f"shop/{name}": {"a": 1.0, "b": 2.0 if name < "y" else math.nan} for name in "vwxyz"},
            "shop/y has none in b",
            id="three of five",
        ),
    ],
)
def test_most_workloads_must_have_a_load_in_each_of_their_zones(
    workloads: Mapping[str, Mapping[str, float]], example: str
) -> None:
    problem = checked_zones(workloads)
    assert (problem is None) is not bool(example)
    if problem is not None:
        assert problem.reason == "PartialZoneLoad"
        assert problem.message.endswith(f": {example}")


def test_zones_that_no_node_can_have_are_told() -> None:
    invalid = "the query has the value '<none>'"
    problem = checked_zones({"shop/web": {"a": 1.0, "b": 0.0}}, invalid)
    assert problem == LoadProblem("InvalidZone", invalid)
    problem = checked_zones({"shop/web": {"a": 1.0, "b": math.nan}}, invalid)
    assert problem is not None
    assert problem.reason == "PartialZoneLoad"
    assert problem.message.endswith(f": shop/web has none in b; {invalid}")
