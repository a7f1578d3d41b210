"""The tables of `spillway plan thresholds`."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table

from spillway.cli.live import cell, literal, table
from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.model.wording import first_names
from spillway.domain.overview.thresholds import JointPlan, PolicyThresholds, ThresholdRow, ThresholdsPlan
from spillway.domain.threshold.request import PAST_ENOUGH_SECONDS


def thresholds_view(found: ThresholdsPlan, /, *, wide: bool) -> Sequence[RenderableType]:
    """The workloads of the policy, the sums, and the numbers of nodes that could be owned."""
    policy = next(one for one in found.plan.policies if one.name == found.policy)
    mine = [one for one in found.plan.workloads if one.policy == found.policy]
    mine.sort(key=lambda one: (-one.peak, one.workload))
    parts: list[RenderableType] = [_workloads(mine, policy.currency, wide=wide)]
    if problems := [f"{literal(one.workload)}: {literal(one.problem)}" for one in mine if one.problem]:
        parts.append("\n".join(problems))
    parts.append("\n".join(_sums(found.plan, policy)))
    if policy.nodes:
        parts.append(_nodes(policy))
    return parts


def _workloads(rows: Sequence[ThresholdRow], currency: str | None, *, wide: bool) -> Table:
    more = ("on owned", "basis", "saving/h against virtual") if wide else ()
    made = table("workload", "threshold", "peak", "history", "confidence", "saving/h", *more)
    for one in rows:
        saved = _money(one.saving_per_hour_against_virtual, currency)
        extra = (cell(one.owned), cell(one.basis or "-"), saved) if wide else ()
        made.add_row(
            cell(one.workload),
            "all" if one.threshold is None else cell(one.threshold),
            cell(one.peak),
            f"{one.history_seconds / DAY_SECONDS:.1f} d",
            "-" if one.confidence is None else f"{one.confidence} %",
            _money(one.saving_per_hour, currency),
            *extra,
        )
    return made


def _sums(plan: JointPlan, policy: PolicyThresholds) -> Iterator[str]:
    yield (
        f"owned nodes: at most {plan.peak_cores:.4g} of {plan.allowed_cores:.4g} cores in use "
        f"({plan.capacity_cores:.4g} allocatable)"
    )
    if plan.enforced and not policy.enforced:
        yield (
            f"(this is the plan of the enforced policies; {literal(policy.name)} is in Recommend: its thresholds and "
            "amounts are those of a plan in which it is enforced too)"
        )
    if plan.excess_cores > 0:
        yield (
            f"replicas that must stay there (min, manual or no threshold) need {plan.excess_cores:.4g} cores more "
            "than the target allows"
        )
    if plan.unplaced_cores > 0:
        yield (
            f"no single owned node has room for {plan.unplaced_cores:.4g} cores of the replicas of "
            f"{literal(first_names(plan.unplaced))} that must stay there"
        )
    if policy.learning:
        yield (
            f"{policy.learning} of {policy.auto} workloads have less than {PAST_ENOUGH_SECONDS / DAY_SECONDS:g} days "
            "of history and therefore stay on physical nodes"
        )
    if policy.saved_vs_owned is not None and policy.saved_vs_virtual is not None:
        against = {"the peak": policy.saved_vs_owned, "the lowest demand only": policy.saved_vs_virtual}
        for demand, saved in against.items():
            yield f"saving per hour: {_money(saved, policy.currency)} compared with owning nodes for {demand}"
    else:
        yield "no saving is shown: it needs prices of fixed and of virtual nodes in one currency"
    if policy.owned_nodes_advised is not None:
        yield f"cheapest number of owned nodes: {policy.owned_nodes_advised}"


def _nodes(policy: PolicyThresholds) -> Table:
    made = table("nodes owned", "cost/h", "used on average")
    for point in policy.nodes:
        advised = " *" if point.nodes == policy.owned_nodes_advised else ""
        cost = _money(point.cost_per_hour, policy.currency)
        made.add_row(f"{point.nodes}{advised}", cost, f"{point.used_percent:.0f} %")
    return made


def _money(amount: float | None, currency: str | None) -> str:
    return "-" if amount is None else f"{amount:.2f} {literal(currency or '')}".rstrip()
