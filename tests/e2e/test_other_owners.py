"""Thresholds and scale-downs of StatefulSets and ReplicationControllers, on the real control plane."""

from typing import Any

import pytest

from harness import Installation
from localcluster.rest import Object, RestError
from tests.support.stage import GROUP_PATH, OwnedNodes, Stage

OWNED = OwnedNodes("owned-by-other-owners", 2, cpu="50", pods=100)
THRESHOLD = "spillway.dev/threshold"


@pytest.fixture
def stage(stage: Stage) -> Stage:
    """One class, with a threshold of three replicas."""
    stage.govern({"threshold": {"mode": "Manual", "replicas": 3}, "placement": {"virtual": "Overflow"}})
    return stage


def _statefulset(stage: Stage, replicas: int, threshold: str, **spec: Any) -> str:
    path = f"/apis/apps/v1/namespaces/{stage.namespace}/statefulsets"
    body = {
        "metadata": {"name": "db", "annotations": {THRESHOLD: threshold}},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": stage.template("db"),
            **spec,
        },
    }
    stage.cluster.rest.create(path, body)
    return f"{path}/db"


def _ordinals(stage: Stage, pods: list[Object]) -> dict[str, set[int]]:
    """The ordinals on physical and on virtual nodes."""
    found: dict[str, set[int]] = {"physical": set(), "virtual": set()}
    for pod in pods:
        side = "physical" if stage.place(pod["spec"]["nodeName"]) == "physical" else "virtual"
        found[side].add(int(pod["metadata"]["name"].rpartition("-")[2]))
    return found


def _wait_replaced(stage: Stage, gone: set[str], count: int) -> list[Object]:
    """Until pods with these uids are gone and there are so many bound ones again."""
    found: list[Object] = []

    def replaced() -> bool:
        found[:] = stage.pods("db")
        uids = {pod["metadata"]["uid"] for pod in found}
        return len(found) == count and uids.isdisjoint(gone) and all(pod["spec"].get("nodeName") for pod in found)

    stage.cluster.wait_until(replaced, "the replacements on nodes")
    return found


@pytest.mark.parametrize(
    ("policy", "start"), [("Parallel", 0), ("OrderedReady", 0), ("Parallel", 5)], ids=["parallel", "ordered", "start"]
)
def test_the_highest_ordinals_are_virtual_whatever_happens(stage: Stage, policy: str, start: int) -> None:
    path = _statefulset(stage, 4, "1", podManagementPolicy=policy, ordinals={"start": start})
    pods = stage.wait_bound("db", 4)
    assert _ordinals(stage, pods) == {"physical": {start}, "virtual": {start + 1, start + 2, start + 3}}

    first, last = f"db-{start}", f"db-{start + 3}"
    gone = {pod["metadata"]["uid"] for pod in pods if pod["metadata"]["name"] in {first, last}}
    for name in (last, first):
        stage.cluster.rest.delete(f"/api/v1/namespaces/{stage.namespace}/pods/{name}")
    replaced = _wait_replaced(stage, gone, 4)
    assert _ordinals(stage, replaced) == _ordinals(stage, pods), "each is placed as the pod of that ordinal before"

    stage.cluster.rest.merge(f"{path}/scale", {"spec": {"replicas": 2}})
    assert _ordinals(stage, stage.wait_bound("db", 2)) == {"physical": {start}, "virtual": {start + 1}}


def test_a_partitioned_rollout_keeps_every_ordinal_on_its_side(stage: Stage) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    path = _statefulset(stage, 4, "2", podManagementPolicy="Parallel", updateStrategy=strategy)
    before = stage.wait_bound("db", 4)
    stage.cluster.wait_pods_ready(stage.namespace, 4, selector="app=db")
    gone = {pod["metadata"]["uid"] for pod in before if pod["metadata"]["name"] != "db-0"}
    stage.cluster.rest.merge(path, {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}})
    after = _wait_replaced(stage, gone, 4)
    assert _ordinals(stage, after) == {"physical": {0, 1}, "virtual": {2, 3}}
    assert {pod["metadata"]["uid"] for pod in before if pod["metadata"]["name"] == "db-0"} <= {
        pod["metadata"]["uid"] for pod in after
    }


def test_the_status_lists_the_statefulsets_threshold(stage: Stage) -> None:
    _statefulset(stage, 1, "1")

    def listed() -> bool:
        policy = stage.cluster.rest.get(f"{GROUP_PATH}/elasticpolicies/{stage.id}")
        thresholds = (policy.get("status") or {}).get("thresholds") or []
        return {"workload": f"StatefulSet/{stage.namespace}/db", "replicas": 1, "reason": "Annotation"} in [
            {key: one.get(key) for key in ("workload", "replicas", "reason")} for one in thresholds
        ]

    stage.cluster.wait_until(listed, "its threshold in the status")


def test_a_replication_controller_is_placed_marked_and_scaled_down_as_a_replicaset(
    stage: Stage, operators: Installation
) -> None:
    path = f"/api/v1/namespaces/{stage.namespace}/replicationcontrollers"
    stage.cluster.rest.create(
        path,
        {
            "metadata": {"name": "legacy", "annotations": {THRESHOLD: "4"}},
            "spec": {"replicas": 10, "selector": {"app": "legacy"}, "template": stage.template("legacy")},
        },
    )
    pods = stage.wait_bound("legacy", 10)
    stage.assert_split(pods, physical=4)
    stage.cluster.wait_pods_ready(stage.namespace, 10, selector="app=legacy")
    costs = [
        pod["metadata"]["annotations"].get("controller.kubernetes.io/pod-deletion-cost") for pod in stage.pods("legacy")
    ]
    assert None not in costs, "stored when they were bound"
    physical = {pod["metadata"]["uid"] for pod in pods if stage.place(pod["spec"]["nodeName"]) == "physical"}

    stage.cluster.rest.merge(f"{path}/legacy/scale", {"spec": {"replicas": len(physical)}})
    left = stage.wait_bound("legacy", len(physical))
    assert {pod["metadata"]["uid"] for pod in left} == physical
    planned = [about for about, _ in stage.events("ScaleDownPlanned")]
    stage.cluster.wait_until(
        lambda: "ReplicationController/legacy" in [about for about, _ in stage.events("ScaleDownPlanned")],
        f"an Event on it, not on {planned}",
    )

    def counted() -> bool:
        policy = stage.cluster.rest.get(f"{GROUP_PATH}/elasticpolicies/{stage.id}")
        scale_down = (policy.get("status") or {}).get("scaleDown") or {}
        victims = 10 - len(physical)
        return (scale_down.get("victims"), scale_down.get("asPlanned")) == (victims, victims)

    stage.cluster.wait_until(counted, "the victims in the status")


REFUSED: list[Any] = [
    pytest.param("apis/apps/v1", "daemonsets", "3", "has no effect on a DaemonSet", id="DaemonSet"),
    pytest.param("apis/batch/v1", "jobs", "3", "has no effect on a Job", id="Job"),
    pytest.param("apis/apps/v1", "statefulsets", "many", "whole number", id="a StatefulSet without a number"),
    pytest.param("api/v1", "replicationcontrollers", "many", "whole number", id="a controller without a number"),
]


@pytest.mark.parametrize(("root", "plural", "value", "message"), REFUSED)
def test_a_threshold_without_an_effect_is_refused_by_name(
    stage: Stage, root: str, plural: str, value: str, message: str
) -> None:
    selector: Any = {"app": "x"} if plural == "replicationcontrollers" else {"matchLabels": {"app": "x"}}
    selected = {} if plural == "jobs" else {"selector": selector}
    never: dict[str, Any] = {"restartPolicy": "Never"} if plural == "jobs" else {}
    template = stage.template("x", **never)
    named = {"serviceName": "x"} if plural == "statefulsets" else {}
    body = {
        "metadata": {"name": "x", "annotations": {THRESHOLD: value}},
        "spec": {"template": template, **selected, **named},
    }
    with pytest.raises(RestError, match=message):
        stage.cluster.rest.create(f"/{root}/namespaces/{stage.namespace}/{plural}?dryRun=All", body)
