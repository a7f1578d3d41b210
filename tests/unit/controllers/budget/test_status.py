"""What the status of a pool says of money and limits, and how seldom it has to be written."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from spillway.api.conditions import Condition, ConditionStatus, find
from spillway.api.virtualnodebudget import VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.controllers.budget.pool_costs import PERSIST_SECONDS, PoolCosts
from spillway.controllers.budget.status import another_limit
from spillway.controllers.status.node_summary import PoolCount
from spillway.controllers.status.part import ObservedCondition
from spillway.domain.budget.alerts import AT, NEAR
from spillway.domain.budget.limits import LIMITS, LimitUse
from spillway.domain.model.usage import Usage
from spillway.state.catalog import Kind
from tests.support.statuses import budget_status
from tests.support.world import resource

NOW = datetime(2026, 11, 10, 8, tzinfo=UTC)
PRICE = {"currency": "CNY", "cpuHour": "0.35", "memoryGiBHour": "0.044"}
WEB = "Deployment/shop/web"


def budget(**spec: Any) -> VirtualNodeBudget:
    given = {"nodeSelector": {"matchLabels": {"pool": "eci"}}, "price": PRICE, "limits": {"cpu": "10"}, **spec}
    return VirtualNodeBudget.model_validate(resource(Kind.VIRTUAL_NODE_BUDGET, "eci", **given))


def costs(spent: str = "1.5", seconds: float = 0, per_hour: str = "0.788") -> PoolCosts:
    return PoolCosts("CNY", Decimal(per_hour), Decimal(spent), int(NOW.timestamp() + seconds), {WEB: Decimal("0.394")})


def use(share: str, name: str = "cpu") -> LimitUse:
    return LimitUse(next(limit for limit in LIMITS if limit.name == name), Decimal(10), Decimal(share) / 10)


def status_of(
    current: VirtualNodeBudgetStatus | None = None,
    *,
    of: VirtualNodeBudget | None = None,
    costs: PoolCosts | None = None,
    limits: tuple[LimitUse, ...] | None = (),
    pods: int = 2,
    resizing: bool = False,
    now: datetime = NOW,
) -> VirtualNodeBudgetStatus:
    written = budget_status(
        of or budget(),
        current=current or VirtualNodeBudgetStatus(),
        count=PoolCount(nodes=1, ready=1),
        used=Usage(pods, 1000 * pods, 0),
        workloads={WEB: Usage(1, 1000, 0), "Deployment/shop/idle": Usage(1, 0, 0)},
        now=now,
        costs=costs,
        limits=limits,
        resizing=resizing,
    )
    return VirtualNodeBudgetStatus.model_validate(written.wire())


def test_a_status_tells_what_is_spent_and_by_whom() -> None:
    wire = status_of(costs=costs("1234.5678901")).wire()
    assert wire["used"] == {
        "pods": 2,
        "cpu": "2",
        "memory": "0",
        "costPerHour": "0.788",
        "costThisMonth": "1234.56789",
        "currency": "CNY",
        "at": "2026-11-10T08:00:00Z",
    }
    assert {one["workload"]: one.get("costPerHour") for one in wire["perWorkloadTop"]} == {
        WEB: "0.394",
        "Deployment/shop/idle": None,
    }
    assert [one["type"] for one in wire["conditions"]] == ["Ready", "Accepting"], "no limit was ever near"


def test_money_stays_while_the_books_are_not_open_and_goes_with_the_price() -> None:
    before = status_of(costs=costs())
    assert status_of(before, limits=None).used == before.used
    assert "costThisMonth" not in status_of(before, of=budget(price=None)).wire()["used"]


def test_a_total_that_grows_is_written_seldom() -> None:
    written = status_of(costs=costs("1.5"))
    for seconds in (10, 60, PERSIST_SECONDS - 1):
        assert status_of(written, costs=costs("2", seconds)) == written
    later = status_of(written, costs=costs("2", PERSIST_SECONDS))
    assert later.used is not None
    assert (later.used.cost_this_month, later.used.at) == ("2", NOW + timedelta(seconds=PERSIST_SECONDS))


def test_a_total_that_stands_still_is_never_written_again() -> None:
    written = status_of(costs=costs("1.5", per_hour="0"), pods=0)
    assert status_of(written, costs=costs("1.5", 86_400, per_hour="0"), pods=0) == written


def test_what_came_and_went_between_two_writes_is_written_at_once() -> None:
    """No later leader could find out what it has cost."""
    written = status_of(costs=costs("1.5", per_hour="0"), pods=0)
    later = status_of(written, costs=costs("1.7", 1, per_hour="0"), pods=0)
    assert later.used is not None
    assert (later.used.cost_this_month, later.used.at) == ("1.7", NOW + timedelta(seconds=1))
    assert status_of(later, costs=costs("1.7000000001", 2, per_hour="0"), pods=0) == later, "shown alike"


def test_whatever_else_changes_carries_the_total_along() -> None:
    written = status_of(costs=costs("1.5"))
    changed = status_of(written, costs=costs("1.6", 10), pods=3)
    assert changed.used is not None
    assert (changed.used.pods, changed.used.cost_this_month) == (3, "1.6")


def test_a_new_month_is_written_at_once() -> None:
    written = status_of(costs=costs("1.5"))
    fresh = status_of(written, costs=costs("0.01", 10))
    assert fresh.used is not None
    assert fresh.used.cost_this_month == "0.01"


def test_near_and_reached_come_and_go() -> None:
    calm = status_of(limits=(use("70"),))
    assert find(calm.conditions, NEAR) is None
    near = status_of(calm, limits=(use("85"),))
    full = status_of(near, limits=(use("100"),))
    over = status_of(full, limits=(use("10"),))

    def told(status: VirtualNodeBudgetStatus, kind: str) -> tuple[str, str] | None:
        found = find(status.conditions, kind)
        return None if found is None else (found.status.value, found.reason)

    assert (told(near, NEAR), told(near, AT)) == (("True", "CpuNearLimit"), None)
    assert (told(full, NEAR), told(full, AT)) == (("True", "CpuNearLimit"), ("True", "CpuAtLimit"))
    assert (told(over, NEAR), told(over, AT)) == (("False", "WithinLimits"), ("False", "WithinLimits"))
    assert told(full, "Accepting") == ("False", "LimitReached")
    assert told(over, "Accepting") == ("True", "Open")
    assert told(full, "Ready") == told(over, "Ready") == ("True", "InForce")
    unknown = status_of(full, limits=None)
    assert unknown.conditions == full.conditions, "a new leader repeats nothing before it has counted"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("CpuNearLimit", "CpuNearLimit", False),
        ("CpuNearLimit", "CpuNearLimit,PodsNearLimit", True),
        ("CpuNearLimit,PodsNearLimit", "PodsNearLimit", False),
        ("CpuNearLimit", "CostPerMonthNearLimit", True),
    ],
)
def test_another_limit_that_comes_near_is_told_too(before: str, after: str, *, told: bool) -> None:
    def condition(reason: str, kind: str = NEAR) -> Condition:
        return Condition(type=kind, status=ConditionStatus.TRUE, reason=reason, last_transition_time=NOW)

    def observed(kind: str = NEAR) -> ObservedCondition:
        return ObservedCondition(kind, holds=True, reason=after, message="")

    assert another_limit(observed(), condition(before)) is told
    assert not another_limit(observed(), None)
    assert not another_limit(observed("Ready"), condition(before, "Ready"))


@pytest.mark.parametrize("resizing", [False, True])
def test_a_pool_that_resizes_have_filled_says_so(*, resizing: bool) -> None:
    found = find(status_of(limits=(use("100"),), resizing=resizing).conditions, "Accepting")
    assert found is not None
    assert ("resizes in place that no kubelet has granted count as well" in found.message) == resizing
