"""Which nodes a pod may run on, as the scheduler reads its spec."""

from typing import Any

import pytest

from spillway.domain.node_fit import Free, admits, selected, tolerates
from spillway.domain.records import Taint
from tests.builders import make_node

NODE = make_node("n1", labels={"pool": "a", "rank": "5"})
VIRTUAL = Taint("virtual-kubelet.io/provider", "NoSchedule", "eci")


def affinity(*terms: Any) -> dict[str, Any]:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": required}}


def expressions(*found: tuple[str, str, list[str]]) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": op, "values": values} for key, op, values in found]}


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        pytest.param({}, True, id="asks nothing"),
        pytest.param({"nodeSelector": None, "affinity": None, "tolerations": None}, True, id="nulls"),
        pytest.param({"nodeSelector": {"pool": "a"}}, True, id="selector"),
        pytest.param({"nodeSelector": {"pool": "b"}}, False, id="another pool"),
        pytest.param({"nodeSelector": {"zone": ""}}, False, id="an absent label is not an empty one"),
        pytest.param(affinity(expressions(("pool", "In", ["a", "b"]))), True, id="In"),
        pytest.param(affinity(expressions(("pool", "NotIn", ["a"]))), False, id="NotIn"),
        pytest.param(affinity(expressions(("zone", "NotIn", ["a"]))), True, id="NotIn where absent"),
        pytest.param(affinity(expressions(("pool", "Exists", []))), True, id="Exists"),
        pytest.param(affinity(expressions(("pool", "DoesNotExist", []))), False, id="DoesNotExist"),
        pytest.param(affinity(expressions(("rank", "Gt", ["4"]))), True, id="Gt"),
        pytest.param(affinity(expressions(("rank", "Lt", ["5"]))), False, id="Lt"),
        pytest.param(affinity(expressions(("pool", "Gt", ["4"]))), False, id="Gt of no number"),
        pytest.param(affinity(expressions(("pool", "In", ["b"])), expressions(("rank", "In", ["5"]))), True, id="or"),
        pytest.param(affinity(expressions(("pool", "In", ["a"]), ("rank", "In", ["6"]))), False, id="and"),
        pytest.param(affinity({}), False, id="an empty term selects nothing"),
        pytest.param(
            affinity({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}), True, id="name"
        ),
        pytest.param(
            affinity({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}),
            False,
            id="another name",
        ),
    ],
)
def test_selector_and_affinity(*, spec: dict[str, Any], fits: bool) -> None:
    assert selected(NODE, spec) is fits
    assert admits(NODE, spec) is fits


@pytest.mark.parametrize(
    ("toleration", "does"),
    [
        ({"operator": "Exists"}, True),
        ({"key": VIRTUAL.key, "operator": "Exists"}, True),
        ({"key": VIRTUAL.key, "value": "eci"}, True),
        ({"key": VIRTUAL.key, "operator": "Equal", "value": "tke"}, False),
        ({"key": VIRTUAL.key, "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": VIRTUAL.key, "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": VIRTUAL.key, "operator": "Gt", "value": "1"}, False),
        ({}, False),
    ],
)
def test_a_toleration(*, toleration: dict[str, Any], does: bool) -> None:
    assert tolerates(toleration, VIRTUAL) is does


def test_taints_that_keep_nobody_away_need_no_toleration() -> None:
    soft = make_node("n1", taints=(Taint("spillway.dev/elastic", "PreferNoSchedule", "online"),))
    hard = make_node("n1", taints=(VIRTUAL, Taint("dedicated", "NoExecute", "gpu")))
    provider = {"key": VIRTUAL.key, "operator": "Exists"}
    assert admits(soft, {})
    assert not admits(hard, {"tolerations": [provider]})
    assert admits(hard, {"tolerations": [provider]}, extra=[{"key": "dedicated", "operator": "Exists"}])


def test_free_amounts() -> None:
    node = make_node("n1", cpu_millis=1000, memory_bytes=100, pods_allocatable=2)
    free = Free.of(node, pods=1, cpu_millis=400, memory_bytes=50)
    assert free.holds(600, 50)
    assert not free.holds(601, 50)
    assert not free.holds(600, 51)
    assert not free.less(1, 1).holds(1, 1), "no pod more than the node may run"
