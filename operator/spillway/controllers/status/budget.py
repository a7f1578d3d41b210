"""The status of a VirtualNodeBudget: is the pool open, how far has a drain come, what is used and by whom."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from spillway.api.conditions import READY, Condition
from spillway.api.scalars import Cpu, Memory, rfc3339
from spillway.api.virtualnodebudget import (
    BudgetUse,
    DrainProgress,
    VirtualNodeBudget,
    VirtualNodeBudgetStatus,
    WorkloadUse,
)
from spillway.controllers.budget.costs import PoolCosts, costs_used, limit_conditions, money, rarely
from spillway.controllers.pools.conditions import not_ready, pool_conditions
from spillway.controllers.pools.memory import PoolMemory
from spillway.controllers.status.conditions import Findings, Unusual, conditions
from spillway.domain.budget.alerts import AT, LimitUse
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.usage import NOTHING, Usage
from spillway.domain.nodes.cordon import Hold

TOP = 20
GIB = 1 << 30
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class PoolCount:
    """One pool as it stands."""

    nodes: int = 0
    ready: int = 0
    closed: int = 0
    """Unschedulable, whoever closed them."""
    cordoned: int = 0
    """Of these, with our mark."""
    used: Usage = NOTHING

    @classmethod
    def of(cls, nodes: Iterable[NodeRecord], used: Usage) -> "PoolCount":
        """Count these nodes."""
        listed = list(nodes)
        return cls(
            nodes=len(listed),
            ready=sum(node.ready for node in listed),
            closed=sum(node.unschedulable for node in listed),
            cordoned=sum(node.unschedulable and bool(node.cordoned_by) for node in listed),
            used=used,
        )


def budget_status(
    budget: VirtualNodeBudget,
    *,
    current: VirtualNodeBudgetStatus,
    count: PoolCount,
    workloads: Mapping[str, Usage],
    drain: DrainProgress | None,
    findings: Findings,
    now: datetime,
    memory: PoolMemory | None = None,
    costs: PoolCosts | None = None,
    limits: tuple[LimitUse, ...] | None = None,
) -> VirtualNodeBudgetStatus:
    """What the status should be.

    What stands there of health and stock stays where `memory` is not known, of money where `costs` and of the limits
    where `limits` are not.
    """
    if memory is None:
        memory = PoolMemory.of(current.wire())
    unusual = tuple(limit_conditions(budget, limits, current.conditions))
    full = next((one for one in unusual if one.kind == AT and one.holds), None)
    status = current.model_copy(
        update={
            **memory.status(),
            "observed_generation": budget.metadata.generation,
            "nodes": count.nodes,
            "nodes_ready": count.ready,
            "cordoned": count.cordoned,
            "drain": drain,
            "used": BudgetUse(
                pods=count.used.pods,
                cpu=_cpu(count.used.cpu_millis),
                memory=_memory(count.used.memory_bytes),
                **costs_used(budget, costs, current.used),
            ),
            "per_workload_top": _top(workloads, costs),
            "conditions": conditions(
                current.conditions,
                findings,
                _ready(budget, count, drain, memory, full=full, now=now),
                unusual,
                also=tuple(pool_conditions(budget, memory, now)),
                generation=budget.metadata.generation,
                now=now,
            ),
        }
    )
    return rarely(status, current)


def _ready(
    budget: VirtualNodeBudget,
    count: PoolCount,
    drain: DrainProgress | None,
    memory: PoolMemory,
    *,
    full: Unusual | None,
    now: datetime,
) -> Condition:
    hold = Hold.of(budget)
    if not hold.active(now.timestamp()):
        if count.cordoned:
            message = f"{count.cordoned} of {count.nodes} nodes have still to be opened."
            return Condition.make(READY, holds=False, reason="Opening", message=message, now=now)
        reason, message = ("Open", "The pool takes pods.") if full is None else ("Full", full.message)
        takes = Condition.make(READY, holds=True, reason=reason, message=message, now=now)
        return not_ready(budget, memory, now) or takes
    until = f" until {rfc3339(budget.spec.cordon_until)}" if budget.spec.cordon_until else ""
    if count.closed < count.nodes:
        message = f"{count.closed} of {count.nodes} nodes are closed."
        return Condition.make(READY, holds=False, reason="Closing", message=message, now=now)
    if drain is not None and drain.remaining:
        message = f"Every node is closed{until}; pods are being evicted as their disruption budgets allow."
        return Condition.make(READY, holds=True, reason="Draining", message=message, now=now)
    reason = "Drained" if hold.drains(now.timestamp()) else "Held"
    return Condition.make(READY, holds=True, reason=reason, message=f"Every node is closed{until}.", now=now)


def _top(workloads: Mapping[str, Usage], costs: PoolCosts | None) -> tuple[WorkloadUse, ...]:
    rates = {} if costs is None else costs.by_workload
    largest = sorted(workloads.items(), key=lambda item: (-item[1].cpu_millis, -item[1].pods, item[0]))[:TOP]
    return tuple(
        WorkloadUse(
            workload=name,
            pods=usage.pods,
            cpu=_cpu(usage.cpu_millis),
            memory=_memory(usage.memory_bytes),
            cost_per_hour=money(rates[name]) if name in rates else None,
        )
        for name, usage in sorted(largest)
    )


def _cpu(millis: int) -> Cpu:
    return Cpu(f"{millis // 1000}" if millis % 1000 == 0 else f"{millis}m")


def _memory(amount: int) -> Memory:
    for unit, suffix in ((GIB, "Gi"), (MIB, "Mi")):
        if amount and amount % unit == 0:
            return Memory(f"{amount // unit}{suffix}")
    return Memory(str(amount))
