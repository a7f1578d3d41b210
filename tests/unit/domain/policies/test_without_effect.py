"""Fields without effect: named where the user has set them, silent otherwise, and each of them a real field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from spillway.api import KINDS, ElasticPolicy, Resource, VirtualNodeBudget, ZonalBalance
from spillway.domain.policies.without_effect import fields_without_effect, plans_thresholds

EXAMPLES = Path(__file__).parents[4] / "examples"
EVENING = {"name": "evening", "start": "0 18 * * *", "duration": "5h", "timeZone": "UTC", "replicas": 40}


def resource(kind: type[Resource], **spec: Any) -> Resource:
    required: dict[type[Resource], dict[str, Any]] = {
        ElasticPolicy: {"workloads": [{"name": "default"}]},
        VirtualNodeBudget: {"nodeSelector": {"matchLabels": {"type": "vk"}}},
        ZonalBalance: {},
    }
    return kind.model_validate({"metadata": {"name": "x"}, "spec": required[kind] | spec})


def named(one: Resource) -> tuple[str, ...]:
    return fields_without_effect(one, planned=isinstance(one, ElasticPolicy) and plans_thresholds([one]))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_smallest_object_has_none(kind: type[Resource]) -> None:
    assert named(resource(kind)) == ()


def test_what_is_built_is_not_named() -> None:
    tiers = {
        "fixed": {"price": {"nodeHour": "1"}},
        "elastic": {"nodeSelector": {"matchLabels": {"a": "b"}}, "softTaint": False, "price": {"nodeHour": "1.3"}},
        "virtual": {"budgets": ["eci-a"]},
    }
    # The target is what thresholds of mode Auto are planned from.
    target = {"query": "sum(up)", "perReplica": "200"}
    workloads = [
        {"name": "planned", "threshold": {}, "scaling": {"target": target, "forecast": {"startup": "2m"}}},
        {"name": "counted", "match": {"kinds": ["Deployment"]}, "scaling": {"target": target}},
    ]
    assert named(resource(ElasticPolicy, mode="Enforce", tiers=tiers, workloads=workloads)) == ()
    price = {"currency": "CNY", "cpuHour": "0.35", "memoryGiBHour": "0.04"}
    until = "2026-11-11T06:00:00Z"
    assert named(resource(VirtualNodeBudget, cordon="Hold", cordonUntil=until, price=price)) == ()
    spec = {"nodeSelector": {}, "match": {"kinds": ["Job"]}, "zoneKey": "rack", "maxSkew": 2}
    assert named(resource(ZonalBalance, **spec)) == ()


def test_what_has_no_effect_alone_is_named_by_its_path() -> None:
    assert named(
        resource(
            ElasticPolicy,
            tiers={"fixed": {"targetUtilization": 65}},
            workloads=[
                {"name": "web", "placement": {}},
                {
                    "name": "batch",
                    "scaling": {"schedules": [EVENING], "hpa": "Managed", "maxReplicas": 9, **CPU},
                },
                {"name": "queue", "threshold": {}, "scaling": {"forecast": {"price": "5", "startup": "3m"}}},
            ],
            headroom={"max": {"nodes": 5}},
        )
    ) == ("spec.headroom", "spec.workloads[queue].scaling.forecast.price")
    assert named(resource(ZonalBalance, classes={})) == ()


@pytest.mark.parametrize(
    ("spec", "idle"),
    [
        pytest.param({"nodeSelector": {"matchLabels": {"a": "b"}}}, ("spec.nodeSelector",), id="nothing is read"),
        pytest.param({"nodeSelector": {"matchLabels": {"a": "b"}}, "hotNodes": {}}, (), id="the load is read"),
        pytest.param({"target": {}}, ("spec.target",), id="no moves are planned"),
        pytest.param({"target": {}, "rebalance": {"mode": "Active", "by": "Evict"}}, (), id="evictions"),
        pytest.param({"target": {}, "rebalance": {"mode": "Active", "by": "Surge"}}, (), id="surges"),
    ],
)
def test_what_a_balance_names(spec: dict[str, Any], idle: tuple[str, ...]) -> None:
    assert named(resource(ZonalBalance, **spec)) == idle


MANUAL = {"mode": "Manual", "replicas": 3}
CPU, MEMORY = ({"target": {"metric": metric, "utilization": 60}} for metric in ("cpu", "memory"))


@pytest.mark.parametrize(
    ("workloads", "idle"),
    [
        pytest.param([{"scaling": CPU}], ["[0].scaling.target"], id="no one plans"),
        pytest.param([{"scaling": {"forecast": {}}}], ["[0].scaling.forecast"], id="nothing to forecast"),
        pytest.param([{"scaling": MEMORY | {"forecast": {}}}], [], id="forecast"),
        pytest.param(
            [{"scaling": CPU | {"forecast": {"mode": "Disabled"}}}], ["[0].scaling.target"], id="not forecast either"
        ),
        pytest.param([{"threshold": MANUAL, "scaling": CPU}], ["[0].scaling.target"], id="the number is given"),
        pytest.param([{"threshold": {}, "scaling": CPU}], [], id="planned from"),
        pytest.param([{"threshold": {}}, {"scaling": CPU}], [], id="counts in another's plan"),
        pytest.param([{"threshold": {}, "scaling": MEMORY}], ["[0].scaling.target"], id="no plan goes by memory"),
        pytest.param(
            [{"threshold": {}}, {"placement": {"virtual": "Always"}, "scaling": CPU}],
            ["[1].scaling.target"],
            id="never on the nodes that are planned",
        ),
    ],
)
def test_a_target_is_named_where_nothing_looks_at_it(workloads: list[dict[str, Any]], idle: list[str]) -> None:
    classes = [{"name": str(index), **one} for index, one in enumerate(workloads)]
    assert named(resource(ElasticPolicy, workloads=classes)) == tuple(f"spec.workloads{path}" for path in idle)


def test_a_target_counts_in_the_plan_of_another_policy() -> None:
    policy = resource(ElasticPolicy, workloads=[{"name": "web", "scaling": CPU}])
    assert fields_without_effect(policy, planned=False) == ("spec.workloads[web].scaling.target",)
    assert fields_without_effect(policy, planned=True) == ()


def test_a_balance_of_some_nodes_keeps_the_zones_of_all() -> None:
    chosen = {"matchLabels": {"pool": "a"}}
    assert named(resource(ZonalBalance, nodeSelector=chosen)) == ("spec.nodeSelector",)


def test_a_null_is_not_set() -> None:
    assert named(resource(VirtualNodeBudget, limits=None, podOverlay=None)) == ()


def test_a_pool_with_all_that_a_provider_asks_for_is_built() -> None:
    raw = yaml.safe_load((EXAMPLES / "4-alibaba-eci.yaml").read_text(encoding="utf-8"))
    assert named(VirtualNodeBudget.model_validate(raw)) == ()


@pytest.mark.parametrize(
    ("headroom", "scaling", "expected"),
    [
        ({}, {}, ("spec.headroom",)),
        ({"from": "Fixed", "max": {"nodes": 5}}, {}, ("spec.headroom",)),
        ({"max": {"nodes": 5}}, {"schedules": [EVENING]}, ("spec.headroom",)),
        ({"min": {"nodes": 1}}, {}, ()),
        ({"schedules": [{"name": "evening", "start": "0 18 * * *", "duration": "5h", "nodes": 2}]}, {}, ()),
        ({}, CPU | {"forecast": {}}, ()),
        ({}, CPU | {"forecast": {"mode": "Preview"}}, ("spec.headroom",)),
        ({"from": "Fixed", "max": {"nodes": 5}}, CPU | {"forecast": {}}, ("spec.headroom",)),
    ],
)
def test_headroom_is_named_where_nothing_says_how_much(
    headroom: dict[str, Any], scaling: dict[str, Any], expected: tuple[str, ...]
) -> None:
    workloads = [{"name": "web"}, {"name": "more", **({"scaling": scaling} if scaling else {})}]
    assert named(resource(ElasticPolicy, workloads=workloads, headroom=headroom)) == expected


def test_a_bound_on_scalings_is_named_where_only_schedules_count() -> None:
    both = {"scheduleOnly": True, "schedules": [EVENING], "maxScalingsPerHour": 2}
    workloads = [{"name": "exact", "scaling": both}]
    assert named(resource(ElasticPolicy, workloads=workloads)) == ("spec.workloads[exact].scaling.maxScalingsPerHour",)
