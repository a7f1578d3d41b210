from typing import Any

import msgspec
import pytest

from spillway.domain.model.names import APPLIED, POLICY
from spillway.domain.scaling.autoscalers import AutoscalerRecord
from spillway.kube.autoscalers import AUTOSCALERS


def _decoded(spec: dict[str, Any], **annotations: str) -> AutoscalerRecord:
    body = {
        "metadata": {"name": "cart", "namespace": "shop", "uid": "u", "annotations": annotations or None},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, **spec},
        "status": {"currentReplicas": 3, "currentMetrics": None},
    }
    return AUTOSCALERS.one(msgspec.json.encode(body))


def test_what_is_kept_of_an_autoscaler() -> None:
    found = _decoded({"minReplicas": 2, "maxReplicas": 9}, **{POLICY: "online", APPLIED: "abc"})
    assert found == AutoscalerRecord(
        "u", "shop", "cart", "Deployment", "web", 2, 9, ("cpu",), policy="online", applied="abc"
    )
    assert _decoded({"maxReplicas": 9}).minimum == 1
    assert _decoded({"minReplicas": 0, "maxReplicas": 9}).minimum == 0


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ({"type": "Resource", "resource": {"name": "memory", "target": {}}}, "memory"),
        ({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "main"}}, "cpu"),
        ({"type": "Pods", "pods": {"metric": {"name": "requests"}, "target": {}}}, "requests"),
        ({"type": "Object", "object": {"metric": {"name": "hits"}, "describedObject": {"name": "x"}}}, "hits"),
        ({"type": "External", "external": {"metric": {"name": "queue", "selector": None}}}, "queue"),
        ({"type": "Unheard"}, ""),
    ],
)
def test_the_name_of_each_kind_of_metric(metric: dict[str, Any], name: str) -> None:
    assert _decoded({"maxReplicas": 9, "metrics": [metric]}).metrics == (name,)
