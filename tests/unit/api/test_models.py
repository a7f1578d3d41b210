"""The models: what the operator reads tolerantly, what a person must write exactly, and that nothing is lost."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from spillway.api import ElasticPolicy, VirtualNodeBudget, ZonalBalance
from spillway.api.common import LabelSelector
from spillway.api.elasticpolicy import ElasticPolicySpec
from spillway.api.scalars import Cpu, Duration, Memory, PositiveFactor


def policy(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ElasticPolicy",
        "metadata": {"name": "online"},
        "spec": {"workloads": [{"name": "default"}]} | spec,
    }


def budget(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "eci-a"}, "spec": {"nodeSelector": {"matchLabels": {"type": "vk"}}} | spec}


def test_the_operator_ignores_what_a_newer_crd_has() -> None:
    read = ElasticPolicy.model_validate(policy(inventedLater={"a": 1}))
    assert "inventedLater" not in read.wire()["spec"]


def test_a_person_gets_the_path_of_what_is_unknown() -> None:
    with pytest.raises(ValidationError) as refusal:
        ElasticPolicy.strict(policy(workloads=[{"name": "default", "treshold": {}}]))
    assert refusal.value.errors()[0]["loc"] == ("spec", "workloads", 0, "treshold")


def test_everything_has_a_safe_default() -> None:
    spec = ElasticPolicy.model_validate(policy()).spec
    assert spec.mode == "Recommend"
    assert spec.tiers.elastic is None
    assert VirtualNodeBudget.model_validate(budget()).spec.cordon == "None"
    balance = ZonalBalance.model_validate({"metadata": {"name": "online"}})
    assert (balance.spec.max_skew, balance.spec.zone_key) == (1, "topology.kubernetes.io/zone")


def test_a_policy_without_workloads_governs_nothing_and_is_refused() -> None:
    with pytest.raises(ValidationError):
        ElasticPolicySpec.model_validate({"workloads": []})


def test_numbers_are_read_in_one_unit_and_written_as_they_were() -> None:
    limits = {"cpu": "10000", "memory": "40Ti", "costPerHour": "350"}
    read = VirtualNodeBudget.model_validate(budget(limits=limits))
    assert read.spec.limits is not None
    assert read.spec.limits.cpu == "10000"
    assert read.spec.limits.cpu.millis == 10_000_000
    assert read.spec.limits.memory is not None
    assert read.spec.limits.memory.bytes == 40 << 40
    assert read.spec.limits.cost_per_hour is not None
    assert read.spec.limits.cost_per_hour.amount == Decimal(350)
    assert read.wire()["spec"]["limits"] == limits


def test_a_quantity_may_be_written_without_quotes() -> None:
    assert Cpu.parse(2).millis == 2000
    read = VirtualNodeBudget.model_validate(budget(limits={"cpu": 10_000}))
    assert read.wire()["spec"]["limits"]["cpu"] == "10000"


@pytest.mark.parametrize("value", [True, 1.5, ["2"], "two"])
def test_what_is_no_quantity_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        VirtualNodeBudget.model_validate(budget(limits={"cpu": value}))


@pytest.mark.parametrize("text", ["0", "0.000", "-1", "ten", ""])
def test_a_price_that_is_not_above_0_is_refused(text: str) -> None:
    assert PositiveFactor.parse("0.5").amount == Decimal("0.5")
    with pytest.raises(ValueError, match=r"must be above 0|is not an amount"):
        PositiveFactor.parse(text)


def test_scalars_compare_as_texts() -> None:
    assert Duration("1h").seconds == Duration("60m").seconds
    assert Duration("1h") != Duration("60m")
    assert Memory.parse("4Gi") == "4Gi"


def test_times_without_zone_are_utc_and_come_back_in_kubernetes_form() -> None:
    read = VirtualNodeBudget.model_validate(budget(cordonUntil="2026-11-11T06:00:00+08:00"))
    assert read.wire()["spec"]["cordonUntil"] == "2026-11-10T22:00:00Z"
    assert read.spec.cordon_until is not None
    assert read.spec.cordon_until.tzinfo is not None


def test_objects_are_frozen() -> None:
    read = ElasticPolicy.model_validate(policy())
    with pytest.raises(ValidationError):
        read.spec.mode = "Enforce"  # type: ignore[assignment, misc]


def test_pools_are_compared_by_one_core_with_four_gib() -> None:
    price = {"currency": "CNY", "cpuHour": "0.35", "memoryGiBHour": "0.044"}
    read = VirtualNodeBudget.model_validate(budget(price=price))
    assert read.spec.price is not None
    assert read.spec.price.compared == Decimal("0.526")


KEYS = ["", "-bad-", "my key", "a/b/c", "/name", "example.com/", "a..b/c", "Example.com/a", "é", "a\n", "x" * 64]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_no_label_has_is_refused_wherever_labels_are_selected(key: str) -> None:
    requirement = {"matchExpressions": [{"key": key, "operator": "Exists"}]}
    balance: dict[str, Any] = {"metadata": {"name": "even"}}
    for selector in (requirement, {"matchLabels": {key: "a"}}):
        places: list[tuple[type[ElasticPolicy | VirtualNodeBudget | ZonalBalance], dict[str, Any]]] = [
            (VirtualNodeBudget, budget(nodeSelector=selector)),
            (ElasticPolicy, policy(tiers={"elastic": {"nodeSelector": selector}})),
            (ElasticPolicy, policy(workloads=[{"name": "default", "match": {"labels": selector}}])),
            (ElasticPolicy, policy(workloads=[{"name": "default", "match": {"namespaces": selector}}])),
            (ZonalBalance, balance | {"spec": {"nodeSelector": selector}}),
            (ZonalBalance, balance | {"spec": {"match": {"labels": selector}}}),
        ]
        for kind, raw in places:
            with pytest.raises(ValidationError, match=r"matchLabels|matchExpressions"):
                kind.model_validate(raw)


@pytest.mark.parametrize("key", ["a", "app.kubernetes.io/name", "A_b.c-1", "x" * 63, "1.2/3"])
def test_keys_of_labels_are_taken(key: str) -> None:
    read = VirtualNodeBudget.model_validate(budget(nodeSelector={"matchLabels": {key: "a"}}))
    assert read.spec.node_selector.match_labels == {key: "a"}


@pytest.mark.parametrize("value", ["my pool", "-a", "a-", "é", "a\n", "x" * 64])
def test_a_value_that_no_label_has_is_refused(value: str) -> None:
    with pytest.raises(ValidationError):
        VirtualNodeBudget.model_validate(budget(nodeSelector={"matchLabels": {"pool": value}}))


def test_a_selector_without_labels_is_written_without_them() -> None:
    exists = {"key": "pool", "operator": "Exists", "values": []}
    assert LabelSelector.model_validate({"matchExpressions": [exists]}).wire() == {"matchExpressions": [exists]}
    assert LabelSelector.model_validate({"matchLabels": {"a": "b"}}).wire()["matchLabels"] == {"a": "b"}
