"""The part of a VirtualNodeBudget's status about use and costs: what is used, by which workloads, and the limits.

Contract: pure, except for the contributor that reads the values. A total grows with every second and is true for the
time next to it (`used.at`), so it need not be written often: any other change writes it as well, and without one it is
written again only after `PERSIST_SECONDS`. Nothing is lost by that. The operator that reads it continues from `at` with
the start times of the pods, and a pod that ends changes the counts, and is therefore written within a status period.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from spillway.api.conditions import ACCEPTING, READY, Condition, ConditionStatus, find
from spillway.api.scalars import Cpu, Memory, Money
from spillway.api.virtualnodebudget import BudgetUse, VirtualNodeBudget, VirtualNodeBudgetStatus, WorkloadUse
from spillway.controllers.budget.controller import BudgetController
from spillway.controllers.budget.pool_costs import PoolCosts, must_persist
from spillway.controllers.status.part import ObservedCondition, StatusPart
from spillway.controllers.status.workload_counts import WorkloadCounts
from spillway.domain.budget.alerts import AT, NEAR, alerts, limits_of
from spillway.domain.budget.limits import RESIZES_COUNT, LimitUse
from spillway.domain.budget.price import shown
from spillway.domain.model.units import GIB, MIB, quantity
from spillway.domain.model.usage import Usage

TOP: Final = 20
"""The number of workloads that are listed."""


class BudgetContributor:
    """The contributor of use, costs and limits."""

    def __init__(self, counts: WorkloadCounts, ledger: BudgetController) -> None:
        self._counts = counts
        self._ledger = ledger

    def part(self, model: VirtualNodeBudget, current: VirtualNodeBudgetStatus, _now: datetime) -> StatusPart:
        """The part of one budget."""
        name = model.metadata.name
        return budget_part(
            model,
            current,
            used=self._ledger.used(name),
            workloads=self._counts.workloads_on(name),
            costs=self._ledger.costs(name),
            limits=self._ledger.limits(name),
            resizing=self._ledger.resizing(name),
        )


def budget_part(
    budget: VirtualNodeBudget,
    current: VirtualNodeBudgetStatus,
    *,
    used: Usage | None,
    workloads: Mapping[str, Usage],
    costs: PoolCosts | None = None,
    limits: tuple[LimitUse, ...] | None = None,
    resizing: bool = False,
) -> StatusPart:
    """The part of a budget; what `current` says of use, money or limits stays while it is not known.

    `resizing` says that the use has a part which resizes in place ask for and no kubelet has granted.
    """
    conditions = tuple(_limit_conditions(budget, limits, current.conditions))
    full = next((one for one in conditions if one.type == AT and one.holds), None)
    ready = ObservedCondition(READY, holds=True, reason="InForce", message="The budget is valid and in force.")
    accepting = (
        ObservedCondition(ACCEPTING, holds=True, reason="Open", message="The pool takes pods.")
        if full is None
        else ObservedCondition(
            ACCEPTING, holds=False, reason="LimitReached", message=_why_full(full, resizing=resizing)
        )
    )
    top, listed = _top(workloads, costs), (ready, accepting, *conditions)
    if used is None:
        return StatusPart({"per_workload_top": top}, listed)
    use = BudgetUse(
        pods=used.pods,
        cpu=Cpu(quantity("cpu", used.cpu_millis)),
        memory=_memory(used.memory_bytes),
        **_costs(budget, costs, current.used),
    )
    return StatusPart(
        {"used": use, "per_workload_top": top}, listed, if_nothing_else_changed=_with_old_total(use, current.used)
    )


def _why_full(full: ObservedCondition, *, resizing: bool) -> str:
    return f"{full.message[:-1]}; {RESIZES_COUNT}." if resizing else full.message


def another_limit(condition: ObservedCondition, before: Condition | None) -> bool:
    """Whether a condition names a limit that it did not name before, although it was there."""
    if condition.type not in (NEAR, AT) or before is None:
        return False
    return bool(limits_of(condition, condition.type) - limits_of(before, condition.type))


def _limit_conditions(
    budget: VirtualNodeBudget, uses: Iterable[LimitUse] | None, current: Iterable[Condition]
) -> Iterable[ObservedCondition]:
    current = tuple(current)
    before = {kind: find(current, kind) for kind in (NEAR, AT)}
    if uses is None:
        for kind, condition in before.items():
            if condition is not None:
                holds = condition.status is ConditionStatus.TRUE
                yield ObservedCondition(kind, holds=holds, reason=condition.reason, message=condition.message)
        return
    for alert in alerts(uses, near=before[NEAR], at=before[AT], written=budget.spec.limits):
        found = ObservedCondition(alert.kind, holds=alert.holds, reason=alert.reason, message=alert.message)
        yield replace(found, announce=another_limit(found, before[alert.kind]))


def _costs(budget: VirtualNodeBudget, costs: PoolCosts | None, before: BudgetUse | None) -> Mapping[str, Any]:
    if budget.spec.price is None:
        return {}
    if costs is not None:
        return {
            "currency": costs.currency,
            "cost_per_hour": _money(costs.per_hour),
            "cost_this_month": _money(costs.spent),
            "at": datetime.fromtimestamp(costs.at, UTC),
        }
    if before is None:
        return {}
    return {name: getattr(before, name) for name in ("currency", "cost_per_hour", "cost_this_month", "at")}


def _with_old_total(new: BudgetUse, old: BudgetUse | None) -> Mapping[str, object]:
    """The use with the total that was written last, while that is recent enough."""
    if old is None or new.at is None or old.at is None:
        return {}
    if new.cost_this_month is None or new.cost_per_hour is None or old.cost_this_month is None:
        return {}
    idle = new.cost_per_hour.amount == 0
    if must_persist(new.cost_this_month.amount, int(new.at.timestamp()), old, idle=idle):
        return {}
    return {"used": new.model_copy(update={"cost_this_month": old.cost_this_month, "at": old.at})}


def _top(workloads: Mapping[str, Usage], costs: PoolCosts | None) -> tuple[WorkloadUse, ...]:
    rates = {} if costs is None else costs.by_workload
    largest = sorted(workloads.items(), key=lambda item: (-item[1].cpu_millis, -item[1].pods, item[0]))[:TOP]
    return tuple(
        WorkloadUse(
            workload=name,
            pods=usage.pods,
            cpu=Cpu(quantity("cpu", usage.cpu_millis)),
            memory=_memory(usage.memory_bytes),
            cost_per_hour=_money(rates[name]) if name in rates else None,
        )
        for name, usage in sorted(largest)
    )


def _money(amount: Decimal) -> Money:
    return Money(shown(amount))


def _memory(amount: int) -> Memory:
    for unit, suffix in ((GIB, "Gi"), (MIB, "Mi")):
        if amount and amount % unit == 0:
            return Memory(f"{amount // unit}{suffix}")
    return Memory(str(amount))
