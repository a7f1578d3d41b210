"""What is kept of a pod's spec decides alike, and has a limit."""

from typing import Any

import msgspec
import pytest

from spillway.domain.fit.node_fit import NodeFit, constraints
from spillway.domain.fit.other_pods import concerns_other_pods
from spillway.domain.fit.placement import NOWHERE, PLACEMENT_BYTES_MAX, placement
from spillway.domain.fit.suitability import claims_of
from spillway.domain.model.documents import PREFERRED, REQUIRED
from tests.builders import make_node

GPU = "nvidia.com/gpu"
COMMAND = {"lifecycle": {"preStop": {"exec": {"command": ["/stop", *map(str, range(100_000))]}}}}
ZONES = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}]}
APART = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}}
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
TOLERATION = {"key": "dedicated", "operator": "Exists"}


def _gpus(count: str) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": "1", GPU: count}, "limits": {GPU: count}}}


def _apart(*values: str) -> dict[str, Any]:
    selector = {"matchExpressions": [{"key": "app", "operator": "In", "values": list(values)}]}
    return {"affinity": {"podAntiAffinity": {REQUIRED: [{**APART, "labelSelector": selector}]}}}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"nodeSelector": None, "affinity": None, "containers": None, "overhead": None}, id="nulls"),
        pytest.param({"nodeSelector": {"zone": "a"}, "tolerations": [TOLERATION]}, id="selector and tolerations"),
        pytest.param({"affinity": {"nodeAffinity": {REQUIRED: ZONES}}}, id="node affinity"),
        pytest.param({"affinity": {"nodeAffinity": {REQUIRED: {}}}}, id="an affinity that no node satisfies"),
        pytest.param({"affinity": {"podAffinity": {REQUIRED: [APART]}}}, id="pod affinity"),
        pytest.param({"affinity": {"podAntiAffinity": {REQUIRED: [APART]}}}, id="pod anti-affinity"),
        pytest.param(
            {"topologySpreadConstraints": [SPREAD, {**SPREAD, "whenUnsatisfiable": "ScheduleAnyway"}]}, id="spread"
        ),
        pytest.param({"containers": [_gpus("1"), _gpus("1")], "initContainers": [_gpus("3")]}, id="initialisation"),
        pytest.param(
            {"containers": [_gpus("1")], "initContainers": [{**_gpus("1"), "restartPolicy": "Always"}]}, id="a sidecar"
        ),
        pytest.param({"containers": [{}], "overhead": {"ephemeral-storage": "1Gi", "cpu": "1"}}, id="overhead"),
        pytest.param({"resources": {"requests": {"hugepages-2Mi": "4Mi"}}, "containers": [{}]}, id="of the whole pod"),
        pytest.param(
            {
                "containers": [
                    {"ports": [{"containerPort": 80, "hostPort": 80}, {"containerPort": 81}]},
                    {"ports": [{"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "10.0.0.1"}]},
                ]
            },
            id="host ports",
        ),
        pytest.param({"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}, id="a claim"),
    ],
)
def test_a_pod_with_what_is_kept_may_run_on_the_same_nodes(spec: dict[str, Any]) -> None:
    kept = placement(spec)
    assert constraints(kept) == constraints(spec)
    assert concerns_other_pods(kept) is concerns_other_pods(spec)
    assert claims_of({"spec": kept}) == claims_of({"spec": spec})
    assert all((kept.get("affinity") or {}).get(kind) == given for kind, given in (spec.get("affinity") or {}).items())


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"containers": [COMMAND], "initContainers": [COMMAND]}, id="a command"),
        pytest.param({"containers": [{"env": [{"name": "a", "value": "b"}] * 9}] * 999}, id="containers"),
        pytest.param({"containers": [{"resources": {"requests": {"cpu": "1"}}}]}, id="CPU, which the state knows"),
        pytest.param({"volumes": [{"name": "data", "emptyDir": {}}] * 999}, id="volumes without a claim"),
        pytest.param({"affinity": {"nodeAffinity": {PREFERRED: [{"weight": 1}] * 999}}}, id="preferences"),
    ],
)
def test_nothing_else_is_kept(spec: dict[str, Any]) -> None:
    assert placement(spec) == {}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"tolerations": [TOLERATION] * 999}, id="terms that are not compared with nodes"),
        pytest.param(_apart(*(f"{index:063}" for index in range(999))), id="values of an anti-affinity"),
        pytest.param({"nodeSelector": {f"{index:0253}/key": "a" for index in range(99)}}, id="long keys"),
        pytest.param(
            {"containers": [{"resources": {"requests": {f"example.com/{index:060}": "1" for index in range(999)}}}]},
            id="resources",
        ),
    ],
)
def test_a_pod_fits_nowhere_if_too_much_would_have_to_be_kept(spec: dict[str, Any]) -> None:
    assert placement(spec) is NOWHERE
    assert not NodeFit(placement(spec)).admits(make_node())


def test_as_much_as_people_write_is_kept() -> None:
    spec = _apart(*(f"app-{index:03}" for index in range(900)))
    assert placement(spec) == spec
    assert len(msgspec.json.encode(spec)) < PLACEMENT_BYTES_MAX
