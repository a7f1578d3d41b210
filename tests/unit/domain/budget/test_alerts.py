"""When a pool tells that a limit is near or reached, and that it does not tell it at every breath."""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from spillway.api.virtualnodebudget import BudgetLimits
from spillway.domain.budget.alerts import AT, NEAR, Alert, alerts
from spillway.domain.budget.limits import LIMITS as ALL_LIMITS
from spillway.domain.budget.limits import LimitUse

BY_NAME = {limit.name: limit for limit in ALL_LIMITS}
LIMITS = BudgetLimits.model_validate(
    {"pods": 100, "cpu": "200", "memory": "1Ti", "costPerHour": "350", "costPerMonth": "90000"}
)


@dataclass(frozen=True)
class Standing:
    reason: str


def use(share: str, name: str = "cpu", step: str = "0") -> LimitUse:
    return LimitUse(BY_NAME[name], Decimal(200), Decimal(share) * 2, by_pods=Decimal(step), pods=1)


def told(uses: list[LimitUse], near: str = "", at: str = "") -> dict[str, Alert]:
    found = alerts(uses, near=Standing(near) if near else None, at=Standing(at) if at else None, written=LIMITS)
    return {alert.kind: alert for alert in found}


@pytest.mark.parametrize(
    ("share", "near", "at", "expected"),
    [
        ("79.9", "", "", (False, False)),
        ("80", "", "", (True, False)),
        ("76", "CpuNearLimit", "", (True, False)),
        ("76", "PodsNearLimit", "", (False, False)),
        ("74.9", "CpuNearLimit", "", (False, False)),
        ("99.9", "CpuNearLimit", "", (True, False)),
        ("100", "", "", (True, True)),
        ("130", "CpuNearLimit", "CpuAtLimit", (True, True)),
        ("95", "CpuNearLimit", "PodsAtLimit,CpuAtLimit", (True, True)),
        ("94.9", "CpuNearLimit", "CpuAtLimit", (True, False)),
        ("95", "WithinLimits", "WithinLimits", (True, False)),
    ],
)
def test_near_from_80_and_reached_at_100_percent_until_it_has_fallen_by_five(
    share: str, near: str, at: str, expected: tuple[bool, bool]
) -> None:
    found = told([use(share)], near, at)
    assert (found[NEAR].holds, found[AT].holds) == expected


def test_a_limit_is_reached_when_a_pod_of_average_size_finds_no_room() -> None:
    assert told([use("99", step="3")])[AT].holds
    assert not told([use("98", step="3")])[AT].holds
    assert not told([use("60", step="90")])[AT].holds, "one large pod in a small pool says nothing about the next"


def test_a_limit_of_nothing_is_reached() -> None:
    assert told([LimitUse(BY_NAME["pods"], 0, 0)])[AT].holds


def test_the_reason_names_the_limits_and_the_message_how_much_they_allow() -> None:
    found = told([use("85"), use("100", "costPerMonth")])
    assert found[NEAR].reason == "CpuNearLimit,CostPerMonthNearLimit"
    assert found[NEAR].message == (
        "cpu is used to 80 % or more of its limit of 200; costPerMonth is used to 80 % or more of its limit of 90000."
    )
    assert found[AT].reason == "CostPerMonthAtLimit"
    calm = told([use("10")], "CpuNearLimit", "CpuAtLimit")
    assert {alert.reason for alert in calm.values()} == {"WithinLimits"}


def test_without_limits_nothing_is_near() -> None:
    assert not any(alert.holds for alert in alerts((), near=None, at=None, written=None))
