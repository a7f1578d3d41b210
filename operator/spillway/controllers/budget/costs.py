"""What the status of a VirtualNodeBudget says of costs and limits.

Contract: pure. A total grows with every second and is true for the moment that stands beside it (`used.at`), so it need
not be written often: whatever else changes carries it along, and while nothing does it is written again only after
`PERSIST_SECONDS`. Nothing is lost by that. The operator that reads it goes on from `at` with the pods' start times,
and a pod that ends changes the counts, and is therefore written within a status period.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from spillway.api.conditions import Condition, ConditionStatus, find
from spillway.api.scalars import Money
from spillway.api.virtualnodebudget import BudgetUse, VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.controllers.status.conditions import Unusual
from spillway.domain.budget.alerts import AT, NEAR, LimitUse, alerts, limits_of
from spillway.domain.budget.price import shown

PERSIST_SECONDS: Final = 300
"""Twelve writes an hour for a pool on which pods run and nothing else happens: recent enough to be read by people."""


@dataclass(frozen=True, slots=True)
class PoolCosts:
    """What a pool costs, as its books say."""

    currency: str
    per_hour: Decimal
    spent: Decimal
    """Since the month began."""
    at: int
    by_workload: Mapping[str, Decimal]
    """Cost in an hour, by kind/namespace/name."""


def costs_used(budget: VirtualNodeBudget, costs: PoolCosts | None, before: BudgetUse | None) -> Mapping[str, object]:
    """Return the fields of `used` that tell of money; what stands there stays while the books are not open."""
    if budget.spec.price is None:
        return {}
    if costs is not None:
        return {
            "currency": costs.currency,
            "cost_per_hour": money(costs.per_hour),
            "cost_this_month": money(costs.spent),
            "at": datetime.fromtimestamp(costs.at, UTC),
        }
    if before is None:
        return {}
    return {name: getattr(before, name) for name in ("currency", "cost_per_hour", "cost_this_month", "at")}


def limit_conditions(
    budget: VirtualNodeBudget, uses: Iterable[LimitUse] | None, current: Iterable[Condition]
) -> Iterable[Unusual]:
    """Return what NearLimit and AtLimit say; what they say stays while the books are not open."""
    standing = {kind: find(current := tuple(current), kind) for kind in (NEAR, AT)}
    if uses is None:
        for kind, condition in standing.items():
            if condition is not None:
                holds = condition.status is ConditionStatus.TRUE
                yield Unusual(kind, holds=holds, reason=condition.reason, message=condition.message)
        return
    for alert in alerts(uses, near=standing[NEAR], at=standing[AT], written=budget.spec.limits):
        yield Unusual(alert.kind, holds=alert.holds, reason=alert.reason, message=alert.message)


def another_limit(condition: Condition, before: Condition | None) -> bool:
    """Return whether a condition that held already names a limit that it did not name before."""
    if condition.type not in (NEAR, AT) or before is None:
        return False
    return bool(limits_of(condition, condition.type) - limits_of(before, condition.type))


def rarely(status: VirtualNodeBudgetStatus, before: VirtualNodeBudgetStatus) -> VirtualNodeBudgetStatus:
    """Return the status to write: the present one, if nothing differs but a total that was written not long ago."""
    new, old = status.used, before.used
    if new is None or old is None or new.at is None or old.at is None:
        return status
    if new.cost_this_month is None or new.cost_per_hour is None or old.cost_this_month is None:
        return status
    still = new.cost_per_hour.amount == 0
    if has_to_be_kept(new.cost_this_month.amount, int(new.at.timestamp()), old, still=still):
        return status
    used = new.model_copy(update={"cost_this_month": old.cost_this_month, "at": old.at})
    unchanged = status.model_copy(update={"used": used})
    return unchanged if unchanged.wire() == before.wire() else status


def has_to_be_kept(spent: Decimal, at: int, before: BudgetUse | None, *, still: bool) -> bool:
    """Return whether a total is to be written although nothing else has changed.

    So it is where the last one was written long ago, or where this one stands `still`: the next leader charges the
    pods that run from their start, but of one that came and went nothing is left to tell what it has cost.
    """
    if before is None or before.at is None or before.cost_this_month is None:
        return True
    kept = before.cost_this_month.amount
    if (spent := Decimal(shown(spent))) == kept:
        return False
    # A total that has fallen belongs to another month or currency.
    return still or spent < kept or at - before.at.timestamp() >= PERSIST_SECONDS


def money(amount: Decimal) -> Money:
    """Return an amount for a status."""
    return Money(shown(amount))
