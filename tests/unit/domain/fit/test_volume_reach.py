"""The nodes that reach a volume, by the volume or by the class that will make it."""

from typing import Any

import pytest

from spillway.domain.fit.volume_reach import VolumeReach, of_class, of_volume, reaching
from tests.support.neighbours import ZONE, hosts

NODES = hosts(v1="a", v2="b")
IN_A = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["a"]}]}
WAITING = {"provisioner": "disk.csi", "volumeBindingMode": "WaitForFirstConsumer"}


def topology(*zones: str) -> dict[str, Any]:
    return {"matchLabelExpressions": [{"key": ZONE, "values": list(zones)}]}


def reached(*volumes: VolumeReach) -> str:
    return " ".join(node.name for node in reaching(volumes, NODES)[0])


@pytest.mark.parametrize(
    ("spec", "local", "nodes"),
    [
        pytest.param({"local": {"path": "/disk"}}, True, "v1 v2", id="local"),
        pytest.param({"hostPath": {"path": "/disk"}}, True, "v1 v2", id="hostPath"),
        pytest.param({"csi": {"driver": "d"}}, False, "v1 v2", id="csi"),
        pytest.param({"csi": {}, "nodeAffinity": {"required": {"nodeSelectorTerms": [IN_A]}}}, False, "v1", id="zonal"),
        pytest.param({"nfs": {}, "nodeAffinity": {"required": {"nodeSelectorTerms": []}}}, False, "", id="no term"),
        pytest.param({"nfs": {}, "nodeAffinity": {"required": None}}, False, "v1 v2", id="nothing required"),
    ],
)
def test_the_node_affinity_of_a_volume_counts_whatever_its_type(
    spec: dict[str, Any], nodes: str, *, local: bool
) -> None:
    found = of_volume("data", {"spec": spec})
    assert (found.bound, found.local, reached(found)) == (True, local, nodes)


@pytest.mark.parametrize(
    ("storage_class", "nodes"),
    [
        pytest.param({**WAITING, "allowedTopologies": [topology("b", "c")]}, "v2", id="allowed in zones"),
        pytest.param({**WAITING, "allowedTopologies": [topology("a"), topology("b")]}, "v1 v2", id="one of several"),
        pytest.param({**WAITING, "allowedTopologies": []}, "v1 v2", id="everywhere"),
        pytest.param(WAITING, "v1 v2", id="nothing said"),
        pytest.param({"allowedTopologies": [topology("b")]}, "v1 v2", id="bound before there is a pod"),
    ],
)
def test_a_claim_that_waits_for_its_pod_gets_a_volume_where_its_class_allows_it(
    storage_class: dict[str, Any], nodes: str
) -> None:
    found = of_class("data", storage_class)
    assert (found.bound, found.local, reached(found)) == (False, False, nodes)


def test_a_volume_that_nobody_provisions_is_local() -> None:
    assert of_class("data", {**WAITING, "provisioner": "kubernetes.io/no-provisioner"}).local


def test_a_node_has_to_reach_all_volumes_or_a_clause_names_the_claim() -> None:
    in_b = VolumeReach("logs", terms=[{"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["b"]}]}])
    in_a = VolumeReach("data", terms=[IN_A])
    assert reaching([VolumeReach("any"), in_a], NODES) == (NODES[:1], "")
    assert reaching([in_a, in_b], NODES) == ((), "that reaches the volume of its claim logs")
