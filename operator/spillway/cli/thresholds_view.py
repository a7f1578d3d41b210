"""The output of a plan of thresholds: JSON for programs, tables for people."""

import io
from typing import Final

from rich.console import Console
from rich.table import Table

from spillway.cli.json_output import json_text
from spillway.cli.planning import ShownPlan
from spillway.controllers.status.wording import first_names
from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.threshold.request import PAST_ENOUGH_SECONDS, Plan, PlannedPolicy, PlannedWorkload

_WIDTH: Final = 110


def as_json(outcome: ShownPlan) -> str:
    """The whole outcome as JSON."""
    return json_text(outcome)


def as_tables(outcome: ShownPlan) -> str:
    """The outcome as tables: the workloads of the policy, the totals, and the number of nodes."""
    plan = outcome.plan
    policy = next(one for one in plan.policies if one.name == outcome.policy)
    mine = [one for one in plan.workloads if one.policy == outcome.policy]
    out = io.StringIO()
    console = Console(file=out, width=_WIDTH, highlight=False)
    console.print(_workloads(mine, policy.currency))
    for line in _summary(plan, policy):
        console.print(line)
    if policy.nodes:
        console.print(_nodes(policy))
    return out.getvalue()


def _workloads(workloads: list[PlannedWorkload], currency: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("workload", overflow="fold")
    for name in ("threshold", "peak", "history", "confidence", f"saving/h {currency}".strip()):
        table.add_column(name, justify="right")
    for one in sorted(workloads, key=lambda one: (-one.peak, one.workload)):
        table.add_row(
            one.workload,
            "all" if one.threshold is None else str(one.threshold),
            str(one.peak),
            f"{one.history_seconds / DAY_SECONDS:.1f} d",
            "" if one.confidence is None else f"{one.confidence} %",
            _amount(one.saving_per_hour),
        )
        if one.problem:
            table.add_row(f"  {one.problem}")
    return table


def _summary(plan: Plan, policy: PlannedPolicy) -> list[str]:
    lines = [
        "",
        (
            f"owned nodes: at most {plan.peak_cores:.4g} of {plan.allowed_cores:.4g} cores in use "
            f"({plan.capacity_cores:.4g} allocatable)"
        ),
    ]
    if not policy.acting and any(one.acting for one in plan.policies):
        lines.append(
            f"(this is the plan of the enforced policies; {policy.name} is in Recommend: its thresholds and "
            "amounts are those of a plan in which it is enforced too)"
        )
    if plan.excess_cores > 0:
        lines.append(
            f"replicas that must stay there (min, manual or no threshold) need {plan.excess_cores:.4g} cores more "
            "than the target allows"
        )
    if plan.unplaced_cores > 0:
        lines.append(
            f"no single owned node has room for {plan.unplaced_cores:.4g} cores of the replicas of "
            f"{first_names(plan.unplaced)} that must stay there"
        )
    if policy.learning:
        lines.append(
            f"{policy.learning} of {policy.auto} workloads have less than {PAST_ENOUGH_SECONDS / DAY_SECONDS:g} days "
            "of history and therefore stay on physical nodes"
        )
    if policy.saved_vs_owned is not None and policy.saved_vs_virtual is not None:
        against = {"the peak": policy.saved_vs_owned, "the lowest demand only": policy.saved_vs_virtual}
        lines += [
            f"saving per hour: {_money(saved, policy)} compared with owning nodes for {demand}"
            for demand, saved in against.items()
        ]
    else:
        lines.append("no saving is shown: it needs prices of fixed and of virtual nodes in one currency")
    if policy.owned_nodes_advised is not None:
        number = policy.owned_nodes_advised
        lines.append(f"cheapest number of owned nodes: {number}")
    return [*lines, ""]


def _nodes(policy: PlannedPolicy) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("nodes owned", f"cost/h {policy.currency}".strip(), "used on average"):
        table.add_column(name, justify="right")
    for point in policy.nodes:
        advised = " *" if point.nodes == policy.owned_nodes_advised else "  "
        table.add_row(f"{point.nodes}{advised}", _amount(point.cost_per_hour), f"{point.used_percent:.0f} %")
    return table


def _money(amount: float, policy: PlannedPolicy) -> str:
    return f"{_amount(amount)} {policy.currency}".rstrip()


def _amount(amount: float | None) -> str:
    return "" if amount is None else f"{amount:.2f}"
