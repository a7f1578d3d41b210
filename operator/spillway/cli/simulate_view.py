"""The tables of `spillway simulate`."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import RenderableType
from rich.table import Table

from spillway.cli.live import MESSAGE, cell, coloured, literal, table
from spillway.domain.doctor.findings import Finding
from spillway.domain.proposal.answers import (
    Proposal,
    ProposedCost,
    ProposedMoves,
    ProposedPool,
    ProposedTier,
    ProposedWorkload,
)

_SHOWN: Final = 20


def proposal_view(found: Proposal, /, *, wide: bool) -> Sequence[RenderableType]:
    """The parts of the answer; a part without rows is left out."""
    return list(_parts(found, wide=wide))


def _parts(found: Proposal, *, wide: bool) -> Iterator[RenderableType]:
    yield f"cluster:   {literal(found.cluster)}\nresources: {literal(', '.join(found.resources))}"
    yield _summary(found)
    if found.workloads:
        shown = found.workloads if wide else found.workloads[:_SHOWN]
        yield _workloads(shown, wide=wide)
        if len(shown) < len(found.workloads):
            yield f"and {len(found.workloads) - len(shown)} more: -o wide shows them"
    if found.tiers:
        yield _tiers(found.tiers)
    if found.pools:
        yield _pools(found.pools)
    if found.costs:
        yield _costs(found.costs)
    if found.moves:
        yield _moves(found.moves)
    if found.risks:
        yield _risks(found.risks)


def _summary(found: Proposal) -> str:
    lines = [
        f"Workloads governed: {found.governed}; treated differently: {len(found.workloads)}.",
        f"{found.to_virtual} replicas would go to virtual nodes as pods are created.",
        f"{found.to_physical} replicas would come back from there.",
        f"{found.costs_written} pods would get a deletion cost.",
    ]
    if found.owned_nodes_advised is not None:
        lines.append(f"The cheapest number of owned nodes would be {found.owned_nodes_advised}.")
    if not found.enforced:
        lines.append("No proposed policy is in mode Enforce: none of this would be done, only recommended.")
    return "\n".join(lines)


def _change(now: object, after: object) -> str:
    return cell(after) if now == after else f"{cell(now)} -> {cell(after)}"


def _threshold(replicas: int | None, reason: str | None) -> int | str | None:
    """The threshold in a table; nothing where no class places the pods, because the scheduler alone does."""
    return "all" if replicas is None and reason is not None else replicas


def _workloads(rows: Sequence[ProposedWorkload], *, wide: bool) -> Table:
    more = ("first victim", MESSAGE) if wide else ()
    made = table("workload", "replicas", "policy/class", "threshold", "on virtual", *more)
    if wide:
        made.columns[-1].header = "NEXT POD"
    for one in rows:
        extra = (_change(one.first_victim_now, one.first_victim), cell(one.next_pod)) if wide else ()
        made.add_row(
            cell(one.workload),
            cell(one.replicas),
            _change(one.governed_now, one.governed),
            _change(
                _threshold(one.threshold_now, one.threshold_reason_now), _threshold(one.threshold, one.threshold_reason)
            ),
            _change(one.virtual_now, one.virtual),
            *extra,
        )
    return made


def _tiers(rows: Sequence[ProposedTier]) -> Table:
    made = table("policy", "tier", "nodes", "taint")
    for one in rows:
        made.add_row(cell(one.policy), cell(one.tier), _change(one.nodes_now, one.nodes), cell(one.taint))
    return made


def _pools(rows: Sequence[ProposedPool]) -> Table:
    made = table("pool", "nodes", "pods", "cost/h", "takes pods")
    for one in rows:
        made.add_row(
            cell(one.pool),
            _change(one.nodes_now, one.nodes),
            cell(one.pods_now) if one.pods_limit is None else f"{one.pods_now}/{one.pods_limit}",
            "-" if one.cost_per_hour is None else f"{float(one.cost_per_hour):.2f} {one.currency or ''}".rstrip(),
            "yes" if one.closed_because is None else coloured("warning", "no"),
        )
    return made


def _costs(rows: Sequence[ProposedCost]) -> Table:
    made = table("costs per hour", "now", "proposed")
    for one in rows:
        amounts = (
            ("pods on virtual nodes", one.virtual_per_hour_now, one.virtual_per_hour),
            ("saved, compared with owning nodes for the peak", None, one.saving_per_hour),
        )
        for words, now, after in amounts:
            if now is not None or after is not None:
                shown = ("-" if text is None else f"{float(text):.2f} {one.currency}".rstrip() for text in (now, after))
                made.add_row(words, *shown)
    return made


def _moves(rows: Sequence[ProposedMoves]) -> Table:
    made = table("zonalbalance", "imbalance", "moves", "for", MESSAGE)
    made.columns[-1].header = "FIRST MOVE"
    for one in rows:
        expected = one.imbalance_percent if one.expected_imbalance_percent is None else one.expected_imbalance_percent
        first = next(iter(one.next), None) if one.problem is None else f"not planned: {one.problem}"
        made.add_row(
            cell(one.balance),
            _change(one.imbalance_percent, expected),
            cell(one.planned),
            cell(one.reason),
            cell(first),
        )
    return made


def _risks(rows: Sequence[Finding]) -> Table:
    made = table("severity", "object", MESSAGE)
    made.columns[-1].header = "RISK"
    for one in rows:
        made.add_row(coloured(one.severity.value), cell(one.object), cell(f"{one.message}. {one.remedy}"))
    return made
