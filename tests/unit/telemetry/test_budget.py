"""The metrics of budgets: each has one unit, and the label `pool`."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from spillway.api.virtualnodebudget import BudgetLimits, PoolPrice
from spillway.domain.budget.limits import room
from spillway.domain.model.usage import Usage
from spillway.telemetry.budget import BudgetSample, set_budgets
from spillway.telemetry.registry import REGISTRY

LIMITS = {"pods": 10, "cpu": "8", "memory": "16Gi", "costPerHour": "40", "costPerMonth": "1000"}
USED = Usage(8, 4000, 2**33)


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    yield
    set_budgets([])


def value(sample: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(sample, {"pool": "eci-a", **labels})


def test_use_limits_and_costs_of_a_pool() -> None:
    price = PoolPrice.model_validate({"currency": "CNY", "cpuHour": "5", "memoryGiBHour": "0"})
    limits = room(BudgetLimits.model_validate(LIMITS), price, USED, Decimal(250)).uses
    set_budgets([BudgetSample("eci-a", USED, limits, "CNY", Decimal(20), Decimal(250))])

    assert value("spillway_pool_pods") == 8
    assert value("spillway_pool_requested_cores") == 4
    assert value("spillway_pool_requested_memory_bytes") == 2**33
    assert value("spillway_pool_limit_pods") == 10
    assert value("spillway_pool_limit_cores") == 8
    assert value("spillway_pool_limit_memory_bytes") == 2**34
    assert value("spillway_pool_limit_cost_per_hour", currency="CNY") == 40
    assert value("spillway_pool_limit_cost_per_month", currency="CNY") == 1000
    shares = {name: value("spillway_pool_limit_used_ratio", limit=name) for name in LIMITS}
    assert shares == {"pods": 0.8, "cpu": 0.5, "memory": 0.5, "costPerHour": 0.5, "costPerMonth": 0.25}
    assert value("spillway_pool_cost_per_hour", currency="CNY") == 20
    assert value("spillway_pool_cost_this_month", currency="CNY") == 250


def test_a_pool_without_limits_and_price_has_neither_and_a_deleted_one_has_nothing() -> None:
    set_budgets([BudgetSample("eci-a", USED, ())])

    assert value("spillway_pool_pods") == 8
    assert value("spillway_pool_limit_used_ratio", limit="pods") is None
    assert value("spillway_pool_cost_per_hour", currency="") is None

    set_budgets([])

    assert value("spillway_pool_pods") is None
