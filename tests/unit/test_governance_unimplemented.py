"""Fields that do nothing yet: named where the user has set them, silent otherwise, and each of them a real field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from spillway.api import KINDS, ElasticPolicy, Resource, VirtualNodeBudget, ZonalBalance
from spillway.api.crd import definition
from spillway.domain.unimplemented import NOT_BUILT, not_implemented

EXAMPLES = Path(__file__).parents[2] / "examples"
EVENING = {"name": "evening", "start": "0 18 * * *", "duration": "5h", "timeZone": "UTC", "replicas": 40}


def resource(kind: type[Resource], **spec: Any) -> Resource:
    required: dict[type[Resource], dict[str, Any]] = {
        ElasticPolicy: {"workloads": [{"name": "default"}]},
        VirtualNodeBudget: {"nodeSelector": {"matchLabels": {"type": "vk"}}},
        ZonalBalance: {},
    }
    return kind.model_validate({"metadata": {"name": "x"}, "spec": required[kind] | spec})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_smallest_object_has_none(kind: type[Resource]) -> None:
    assert not_implemented(resource(kind)) == ()


def test_what_is_built_is_not_named() -> None:
    tiers = {
        "fixed": {"price": {"nodeHour": "1"}},
        "elastic": {"nodeSelector": {"matchLabels": {"a": "b"}}, "softTaint": False, "price": {"nodeHour": "1.3"}},
        "virtual": {"budgets": ["eci-a"]},
    }
    # The target is what thresholds of mode Auto are planned from.
    target = {"query": "sum(up)", "perReplica": "200"}
    workloads = [{"name": "default", "match": {"kinds": ["Deployment"]}, "scaling": {"target": target}}]
    assert not_implemented(resource(ElasticPolicy, mode="Enforce", tiers=tiers, workloads=workloads)) == ()
    price = {"currency": "CNY", "cpuHour": "0.35", "memoryGiBHour": "0.04"}
    until = "2026-11-11T06:00:00Z"
    assert not_implemented(resource(VirtualNodeBudget, cordon="Hold", cordonUntil=until, price=price)) == ()
    spec = {"nodeSelector": {}, "match": {"kinds": ["Job"]}, "zoneKey": "rack", "maxSkew": 2}
    assert not_implemented(resource(ZonalBalance, **spec)) == ()


def test_what_is_not_built_is_named_by_its_path() -> None:
    named = not_implemented(
        resource(
            ElasticPolicy,
            tiers={"fixed": {"targetUtilization": 65}},
            workloads=[
                {"name": "web", "placement": {}},
                {"name": "batch", "scaling": {"schedules": [EVENING]}},
                {"name": "queue", "scaling": {"forecast": {}}},
            ],
            headroom={"max": {"nodes": 5}},
        )
    )
    assert named == (
        "spec.workloads[batch].scaling.schedules",
        "spec.workloads[queue].scaling.forecast",
        "spec.headroom",
    )


def test_a_null_is_not_set() -> None:
    assert not_implemented(resource(VirtualNodeBudget, limits=None, podOverlay=None)) == ()


def test_a_pool_with_all_that_a_provider_asks_for_is_built() -> None:
    raw = yaml.safe_load((EXAMPLES / "4-alibaba-eci.yaml").read_text(encoding="utf-8"))
    assert not_implemented(VirtualNodeBudget.model_validate(raw)) == ()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_is_a_field_that_the_server_never_fills_in(kind: type[Resource]) -> None:
    spec = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for path in NOT_BUILT[kind.__name__]:
        schema = spec
        for step in path.split("."):
            schema = schema["properties"][step.removesuffix("[]")]
            schema = schema["items"] if step.endswith("[]") else schema
        assert "default" not in schema, path
