"""The screen of `spillway status`."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from rich.console import RenderableType
from rich.table import Table

from spillway.cli.live import MESSAGE, cell, coloured, literal, table
from spillway.domain.overview.attention import Attention
from spillway.domain.overview.status import BalanceRow, Overview, PolicyRow, PoolRow, SavingRow, ZoneRow

WITHOUT_HISTORY: Final = "saved today and this month: - (needs --prometheus-url)"
WITHOUT_SAVING: Final = "saved today and this month: - (no thresholds of mode Auto were planned with prices)"


def overview_view(found: Overview, /, *, wide: bool, history: bool = True) -> Sequence[RenderableType]:
    """The parts of the screen; a part without rows is left out. `history`: whether there is a Prometheus."""
    return list(_parts(found, wide=wide, history=history))


def _parts(found: Overview, *, wide: bool, history: bool) -> Iterator[RenderableType]:
    yield _head(found)
    if not (found.policies or found.pools or found.balances):
        yield "There are no Spillway resources in this cluster."
    if found.policies:
        yield _policies(found.policies, wide=wide)
    if found.pools:
        yield _pools(found.pools, wide=wide)
    if found.balances:
        yield _balances(found.balances, wide=wide)
    if found.zones:
        yield _zones(found.zones)
    if found.savings:
        yield _savings(found.savings)
    if found.policies and not history:
        yield WITHOUT_HISTORY
    elif found.policies and all(one.saved_this_month is None for one in found.savings):
        yield WITHOUT_SAVING
    if found.attention:
        yield _attention(found.attention, wide=wide)
    else:
        yield "Nothing needs attention."


def _head(found: Overview) -> str:
    operator = found.operator
    if operator.leader is not None:
        leader = f"{literal(operator.leader)} leads"
    elif operator.problem is not None:
        leader = coloured("error", "no replica leads")
    else:
        leader = "not known: you may not read its Lease"
    return f"cluster:  {literal(found.cluster)}\noperator: {leader}"


def _policies(rows: Sequence[PolicyRow], *, wide: bool) -> Table:
    more = ("fixed nodes", "elastic nodes", "virtual nodes", "victims", "as planned", "advised nodes") if wide else ()
    made = table(
        "policy", "mode", "ready", "reason", "workloads", "on fixed", "on elastic", "on virtual", "saving/h", *more
    )
    for one in rows:
        extra = (
            (
                one.fixed_nodes,
                one.elastic_nodes,
                one.virtual_nodes,
                one.victims,
                one.as_planned,
                one.owned_nodes_advised,
            )
            if wide
            else ()
        )
        made.add_row(
            cell(one.name),
            cell(one.mode),
            _good(one.ready),
            cell(one.reason),
            *map(cell, (one.workloads, one.on_fixed, one.on_elastic, one.on_virtual)),
            _money(one.saving_per_hour, one.currency),
            *map(cell, extra),
        )
    return made


def _pools(rows: Sequence[PoolRow], *, wide: bool) -> Table:
    more = ("cpu", "memory", "opens at") if wide else ()
    made = table("pool", "cordon", "accepting", "reason", "ready nodes", "pods", "cost/h", "cost this month", *more)
    for one in rows:
        extra = (_of(one.cpu, one.cpu_limit), _of(one.memory, one.memory_limit), cell(one.cordon_until)) if wide else ()
        made.add_row(
            cell(one.name),
            cell(one.cordon),
            _good(one.accepting, bad="warning"),
            cell(one.reason),
            _of(one.nodes_ready, one.nodes),
            _of(one.pods, one.pods_limit),
            _money(one.cost_per_hour, one.currency, one.cost_per_hour_limit),
            _money(one.cost_this_month, one.currency, one.cost_per_month_limit),
            *extra,
        )
    return made


def _balances(rows: Sequence[BalanceRow], *, wide: bool) -> Table:
    more = ("largest skew", "moves planned", "moves done") if wide else ()
    made = table("balance", "ready", "workloads", "uneven", "max skew", "imbalance", "hot nodes", "rebalance", *more)
    for one in rows:
        extra = (one.largest_skew, one.moves_planned, one.moves_done) if wide else ()
        made.add_row(
            cell(one.name),
            _good(one.ready),
            *map(cell, (one.workloads, one.uneven_workloads, one.max_skew)),
            _percent(one.imbalance_percent),
            cell(one.hot_nodes),
            cell(one.rebalance),
            *map(cell, extra),
        )
    return made


def _zones(rows: Sequence[ZoneRow]) -> Table:
    made = table("zone", "balance", "nodes", "pods", "load")
    for one in rows:
        made.add_row(
            cell(one.zone or "(no zone)"),
            cell(one.balance),
            cell(one.nodes),
            cell(one.pods),
            _percent(one.load_percent),
        )
    return made


def _savings(rows: Sequence[SavingRow]) -> Table:
    today = any(one.saved_today is not None for one in rows)
    made = table("savings and costs", "per hour", *(("today",) if today else ()), "this month")
    for one in rows:
        for words, hour, day, month in (
            (
                "saved, compared with owning nodes for the peak",
                one.saving_per_hour,
                one.saved_today,
                one.saved_this_month,
            ),
            (
                "saved, compared with owning nodes for the lowest demand",
                one.saving_per_hour_against_virtual,
                None,
                None,
            ),
            ("cost of virtual nodes", one.virtual_cost_per_hour, None, one.virtual_cost_this_month),
        ):
            if any(amount is not None for amount in (hour, day, month)):
                shown = (hour, day, month) if today else (hour, month)
                made.add_row(words, *(_money(amount, one.currency) for amount in shown))
    return made


def _attention(rows: Sequence[Attention], *, wide: bool) -> Table:
    made = table("severity", "object", "condition", "reason", *(("since",) if wide else ()), MESSAGE)
    for one in rows:
        since = (cell(one.since),) if wide else ()
        made.add_row(
            coloured(one.severity.value),
            cell(f"{one.kind}/{one.name}".rstrip("/")),
            cell(one.condition),
            cell(one.reason),
            *since,
            cell(one.message),
        )
    return made


def _good(holds: bool, *, bad: str = "error") -> str:  # noqa: FBT001 - the one thing that it shows
    return "yes" if holds else coloured(bad, "no")


def _of(part: object, whole: object) -> str:
    return cell(part) if whole is None else f"{cell(part)}/{cell(whole)}"


def _money(text: str | None, currency: str | None, limit: str | None = None) -> str:
    """An amount with two decimals, and its limit if it has one."""
    if text is None:
        return "-"
    amount = f"{Decimal(text):.2f}"
    return f"{amount if limit is None else _of(amount, limit)} {currency or ''}".rstrip()


def _percent(number: int | None) -> str:
    return "-" if number is None else f"{number} %"
