"""The tables of `spillway plan scaling`, `headroom` and `moves`."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import RenderableType

from spillway.cli.live import cell, literal, table
from spillway.domain.overview.plans import HeadroomPlan, MovesRow, ScalingPlan


def plan_view(found: Any, /, *, wide: bool) -> Sequence[RenderableType]:  # noqa: ANN401 - one of the three plans
    """The table of one of the plans, or a line that says that there is none."""
    if isinstance(found, ScalingPlan):
        return _scaling(found, wide=wide) if found.scaling else ["No class has `scaling`, or it has no workload yet."]
    if isinstance(found, HeadroomPlan):
        return _headroom(found, wide=wide) if found.headroom else ["No policy has `headroom`."]
    if found.moves:
        return [part for row in found.moves for part in _moves(row)]
    return ["No ZonalBalance has `rebalance`, and no policy `consolidation`."]


def _scaling(found: ScalingPlan, *, wide: bool) -> Sequence[RenderableType]:
    more = ("forecast", "policy") if wide else ()
    made = table("workload", "replicas", "reason", "autoscaler", *more)
    for one in found.scaling:
        reason = f"{one.reason} {one.schedule}" if one.schedule else one.reason
        extra = (one.forecast, one.policy) if wide else ()
        made.add_row(*map(cell, (one.workload, one.replicas, reason, one.autoscaler, *extra)))
    return [made]


def _headroom(found: HeadroomPlan, *, wide: bool) -> Sequence[RenderableType]:
    more = ("cpu", "memory", "forecast") if wide else ()
    made = table("policy", "ready", "nodes", "reason", "held by", *more)
    for one in found.headroom:
        reason = f"{one.reason} {one.schedule}" if one.schedule else one.reason
        extra = (one.cpu, one.memory, one.forecast) if wide else ()
        made.add_row(
            *map(cell, (one.policy, f"{one.ready}/{one.pods}", one.nodes, reason, one.held_by or "(Recommend)", *extra))
        )
    return [made]


def _moves(row: MovesRow) -> Iterator[RenderableType]:
    purpose = "to even out load" if row.purpose == "EvenLoad" else "to empty elastic nodes"
    lines = [f"[bold]{literal(f'{row.kind}/{row.name}')}[/], {purpose} (mode {row.mode})"]
    if row.imbalance_percent is not None:
        expected = row.expected_imbalance_percent
        after = f", {expected} points after the moves" if expected is not None else ""
        lines.append(f"  imbalance: {row.imbalance_percent} points between the most and the least loaded node{after}")
    if row.emptying:
        lines.append(f"  emptying: {literal(', '.join(row.emptying))}")
    moved = f"{row.done} since the leader started, {row.last_day} in the last 24 hours"
    lines.append(f"  moved: {moved}; {row.in_progress} in progress")
    lines += [f"  next: {literal(one)}" for one in row.next] or ["  next: nothing"]
    lines += [f"  not moved: {literal(one)}" for one in row.left]
    yield "\n".join(lines)
