"""Which workloads can run one replica more for a while."""

from typing import Any

import pytest

from spillway.domain.surge.hindrance import Left, all_ready, cannot_surge, stays_on_its_node
from tests.builders import make_pod, make_replicaset


def workload(kind: str = "Deployment", spec: Any = None, **status: Any) -> dict[str, Any]:
    quiet = {"observedGeneration": 4, "replicas": 5, "updatedReplicas": 5, "readyReplicas": 5}
    return {
        "kind": kind,
        "metadata": {"name": "cart", "namespace": "shop", "generation": 4},
        "spec": {"replicas": 5, **(spec or {})},
        "status": quiet | status,
    }


def alone(strategy: str) -> dict[str, Any]:
    spec = {"replicas": 1, "strategy": {"type": strategy}}
    return workload(spec=spec, replicas=1, updatedReplicas=1, readyReplicas=1)


def autoscaler(maximum: int, kind: str = "Deployment", name: str = "cart") -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": kind, "name": name}
    return {"spec": {"scaleTargetRef": target, "maxReplicas": maximum}}


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(workload(), None, id="at rest"),
        pytest.param(workload("ReplicaSet", updatedReplicas=None), None, id="a ReplicaSet of its own"),
        pytest.param(workload("StatefulSet"), Left.CANNOT_SURGE, id="StatefulSet"),
        pytest.param(workload("Job"), Left.CANNOT_SURGE, id="Job"),
        pytest.param(workload(spec={"minReadySeconds": 901}), Left.CANNOT_SURGE, id="available too late"),
        pytest.param(workload(spec={"minReadySeconds": 900}), None, id="available late"),
        pytest.param(workload(spec={"paused": True}), Left.PAUSED, id="paused"),
        pytest.param(workload(spec={"paused": True, "minReadySeconds": 901}), Left.PAUSED, id="paused comes first"),
        pytest.param(alone("Recreate"), Left.CANNOT_SURGE, id="no two replicas at once"),
        pytest.param(alone("RollingUpdate"), None, id="one replica"),
        pytest.param(workload(spec={"strategy": {"type": "Recreate"}}), None, id="no two versions at once"),
        pytest.param(workload(observedGeneration=3), Left.ROLLOUT, id="not seen by its controller yet"),
        pytest.param(workload(updatedReplicas=3), Left.ROLLOUT, id="rollout"),
        pytest.param(workload(replicas=6), Left.ROLLOUT, id="a pod too many"),
        pytest.param(workload(readyReplicas=4), Left.NOT_READY, id="one is not ready"),
        pytest.param({"kind": "Deployment", "metadata": {"name": "cart"}}, Left.ROLLOUT, id="no status yet"),
    ],
)
def test_from_the_workload_itself(found: dict[str, Any], reason: Left | None) -> None:
    assert cannot_surge(found) is reason


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ([autoscaler(6)], None),
        ([autoscaler(5)], Left.AUTOSCALER_AT_MAXIMUM),
        ([autoscaler(5, name="till")], None),
        ([autoscaler(5, kind="StatefulSet")], None),
        ([{}, autoscaler(5)], Left.AUTOSCALER_AT_MAXIMUM),
    ],
)
def test_from_its_autoscalers(others: list[dict[str, Any]], reason: Left | None) -> None:
    assert cannot_surge(workload(), others) is reason


def _volume(source: str) -> dict[str, Any]:
    return {"spec": {"volumes": [{"name": "scratch", "emptyDir": {}}, {"name": "data", source: {}}]}}


def _annotated(key: str, value: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {key: value}}}


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param(_volume("configMap"), None, id="a volume that is everywhere"),
        pytest.param(_volume("persistentVolumeClaim"), Left.VOLUMES, id="a claim"),
        pytest.param(_volume("hostPath"), Left.VOLUMES, id="a path of the node"),
        pytest.param(_annotated("karpenter.sh/do-not-disrupt", "true"), Left.DO_NOT_DISRUPT, id="Karpenter"),
        pytest.param(
            _annotated("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
            Left.DO_NOT_DISRUPT,
            id="cluster-autoscaler",
        ),
        pytest.param(_annotated("cluster-autoscaler.kubernetes.io/safe-to-evict", "true"), None, id="may be evicted"),
    ],
)
def test_what_keeps_a_pod_on_its_node(template: dict[str, Any], reason: Left | None) -> None:
    assert stays_on_its_node(template) is reason


@pytest.mark.parametrize(
    ("ready", "expected"),
    [((True, True), True), ((True, False), False), ((True,), False), ((True, True, True), False)],
)
def test_whether_all_replicas_are_ready(ready: tuple[bool, ...], *, expected: bool) -> None:
    pods = [make_pod(f"p{index}", ready=one) for index, one in enumerate(ready)]
    assert all_ready(make_replicaset(replicas=2), pods) is expected
