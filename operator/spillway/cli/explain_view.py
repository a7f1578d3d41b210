"""The tables and sentences of `spillway explain`."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from rich.console import RenderableType
from rich.table import Table

from spillway.cli.live import MESSAGE, cell, coloured, literal, table
from spillway.domain.explain.answers import (
    Answer,
    GonePodAnswer,
    NodeAnswer,
    PodAnswer,
    PoolAnswer,
    Price,
    Rank,
    RankedPod,
    WorkloadAnswer,
)

FIRST: Final = 10
"""The next victims of a workload that a table lists; `-o wide` lists all."""

Fact = tuple[str, object]


def answer_view(found: Answer, /, *, wide: bool) -> Sequence[RenderableType]:
    """The parts of an answer: facts, why, and what would change it."""
    if isinstance(found, PodAnswer):
        facts, rest = _pod(found), list[RenderableType]()
    elif isinstance(found, GonePodAnswer):
        facts, rest = _gone(found), _events(found)
    elif isinstance(found, WorkloadAnswer):
        facts, rest = _workload(found), _ranks(found.scale_down, wide=wide)
    elif isinstance(found, NodeAnswer):
        facts, rest = _node(found), _taints(found)
    else:
        facts, rest = _pool(found), list[RenderableType]()
    return [_facts(facts), *_sentences("Why", found.why), *rest, *_sentences("What would change it", found.changes)]


def _facts(facts: Iterator[Fact]) -> Table:
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in facts:
        made.add_row(f"{name}:", cell(value))
    return made


def _sentences(heading: str, sentences: Sequence[str]) -> list[RenderableType]:
    if not sentences:
        return []
    lines = "\n".join(f"- {literal(sentence)}" for sentence in sentences)
    return [f"[bold]{heading}[/]\n{lines}"]


def _pod(found: PodAnswer) -> Iterator[Fact]:
    yield "pod", found.pod
    yield "workload", found.workload
    yield "policy", _governed(found)
    yield "state", f"{found.phase}, {'ready' if found.ready else 'not ready'}"
    yield "node", _place(found.node, found.tier, found.pool, found.zone)
    if found.move is not None:
        yield "moved for", f"{found.move.resource or 'unknown'} (planned node: {found.move.node})"
    yield "scale-down", _rank(found.scale_down)
    yield "price", _price(found.price)


def _gone(found: GonePodAnswer) -> Iterator[Fact]:
    yield "pod", found.pod
    yield "state", "gone"
    if found.planned is not None:
        yield "scaled down", f"{found.planned.workload} at {found.planned.at}"
        yield "rule", f"{found.planned.reason}: {found.planned.because}"


def _events(found: GonePodAnswer) -> list[RenderableType]:
    made = table("at", "object", "reason", MESSAGE)
    for one in found.events:
        made.add_row(*map(cell, (one.at, one.object, one.reason, one.message)))
    return ["[bold]The Events that name it[/]", made]


def _workload(found: WorkloadAnswer) -> Iterator[Fact]:
    yield "workload", found.workload
    yield "policy", _governed(found)
    places = {"fixed": found.on_fixed, "elastic": found.on_elastic, "virtual": found.on_virtual}
    there = ", ".join(f"{count} {tier}" for tier, count in places.items())
    yield (
        "replicas",
        f"{found.replicas} wanted: {there}{f', {found.on_no_node} on no node' if found.on_no_node else ''}",
    )
    if found.threshold is not None:
        kept = "all replicas" if found.threshold.replicas is None else found.threshold.replicas
        yield "threshold", f"{kept} ({found.threshold.reason})"
        if found.threshold.problem:
            yield "", found.threshold.problem
    if found.next_pod is not None:
        pools = f" ({', '.join(found.next_pod.pools)})" if found.next_pod.pools else ""
        yield "next pod", f"{found.next_pod.nodes}{pools}: {found.next_pod.because}"
    for price in found.price:
        yield "price", _price(price)


def _node(found: NodeAnswer) -> Iterator[Fact]:
    yield "node", found.node
    yield "tier", ", ".join(f"{one.tier} for {one.policy}" for one in found.tiers)
    yield "pool", found.pool
    yield "zone", found.zone
    closed = f"unschedulable (cordon of {found.cordoned_by})" if found.cordoned_by else "unschedulable"
    yield "state", f"{'ready' if found.ready else 'not ready'}, {closed if found.unschedulable else 'schedulable'}"
    yield "pods", found.pods
    if found.emptied is not None:
        yield "empties", f"as number {found.emptied} of {found.elastic_nodes} elastic nodes"
    if found.staying:
        yield "kept by", ", ".join(found.staying)
    yield "price", _price(found.price)


def _pool(found: PoolAnswer) -> Iterator[Fact]:
    yield "pool", found.pool
    yield "takes pods", "yes" if found.takes_pods else f"no: it {found.closed_because}"
    yield "cordon", found.cordon
    yield "nodes", f"{found.nodes_ready} of {found.nodes} ready"
    yield "pods", found.pods
    yield "workloads", ", ".join(f"{name} ({count})" for name, count in found.workloads)
    if found.kept_out_namespaces:
        yield "keeps out", ", ".join(found.kept_out_namespaces)
    yield "price", _price(found.price)


def _governed(found: PodAnswer | WorkloadAnswer) -> str | None:
    one = found.governed
    return None if one is None else f"{one.policy} (class {one.workload_class}, mode {one.mode})"


def _place(node: str | None, tier: str | None, pool: str | None, zone: str | None) -> str | None:
    if node is None:
        return None
    more = ", ".join(filter(None, (tier, f"pool {pool}" if pool else "", f"zone {zone}" if zone else "")))
    return f"{node} ({more})" if more else node


def _rank(found: Rank | None) -> str | None:
    if found is None:
        return None
    planned = f"; Spillway would delete it as number {found.planned}" if found.planned is not None else ""
    return f"number {found.rank} of {found.pods} in {found.owner}: {found.because} ({found.reason}){planned}"


def _price(found: Price | None) -> str | None:
    if found is None:
        return None
    return f"{Decimal(found.per_hour):.4f} {found.currency or ''}".rstrip() + f" an hour: {found.basis}"


def _ranks(ranked: Sequence[RankedPod], *, wide: bool) -> list[RenderableType]:
    if not ranked:
        return []
    shown = ranked if wide else ranked[:FIRST]
    has_plan = any(one.rank.planned is not None for one in ranked)
    planned = ("planned",) if has_plan else ()
    made = table("goes as", *planned, "pod", "node", "tier", "pool", "zone", "reason", MESSAGE)
    for one in shown:
        ranks = (one.rank.rank, one.rank.planned) if has_plan else (one.rank.rank,)
        place = (one.pod, one.node, one.tier, one.pool, one.zone)
        made.add_row(*map(cell, (*ranks, *place, one.rank.reason, one.rank.because)))
    decided_by = ranked[0].rank.decided_by
    heading = f"[bold]The next scale-down[/], decided by {decided_by}"
    left = len(ranked) - len(shown)
    more = [coloured("info", f"{left} more pods: -o wide lists all")] if left else []
    return [heading, made, *more]


def _taints(found: NodeAnswer) -> list[RenderableType]:
    if not found.taints:
        return []
    made = table("taint", "value", "effect", MESSAGE)
    for one in found.taints:
        made.add_row(*map(cell, (one.key, one.value, one.effect, one.meaning or "of another client")))
    return [made]
