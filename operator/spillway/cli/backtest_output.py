"""The output of a backtest: a document for programs, a table for people."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from rich.console import RenderableType
from rich.table import Table

from spillway.cli.live import literal
from spillway.domain.forecast.spec import STEP_SECONDS
from spillway.simulate.backtest.bounds import OWNED
from spillway.simulate.backtest.case import Setup
from spillway.simulate.backtest.figures import Figures
from spillway.simulate.backtest.run import PLAIN, SPILLWAY, Result

_SMALL_COST: Final = 100.0

ROWS: Final[tuple[tuple[str, Callable[[Figures], float], str], ...]] = (
    ("cost", lambda one: one.cost, "cost"),
    ("  owned nodes", lambda one: one.owned_cost, "cost"),
    ("  elastic nodes", lambda one: one.elastic_cost, "cost"),
    ("  virtual nodes", lambda one: one.virtual_cost, "cost"),
    ("elastic node-hours", lambda one: one.elastic_node_hours, "amount"),
    ("virtual core-hours", lambda one: one.virtual_core_hours, "amount"),
    ("unmet demand", lambda one: one.unmet_percent, "small percent"),
    ("demand above the target", lambda one: one.above_target_percent, "small percent"),
    ("pods waiting for a node, hours", lambda one: one.waiting_pod_hours, "amount"),
    ("headroom core-hours", lambda one: one.headroom_core_hours, "amount"),
    ("scalings", lambda one: one.scalings, "count"),
    ("needless scale-downs", lambda one: one.needless_scale_downs, "count"),
    ("evictions", lambda one: one.evictions, "count"),
    ("mean CPU utilisation", lambda one: one.cpu_percent, "percent"),
    ("packing", lambda one: one.packing_percent, "percent"),
)
"""The rows of the table: words, value and form."""


class DayThresholds(msgspec.Struct, frozen=True, rename={"since": "from"}):
    """The thresholds from a time on."""

    since: float
    """Unix seconds."""
    replicas: dict[str, int | None]
    """By workload; null while it has too little history: all replicas stay on physical nodes."""


class Backtest(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from", "saved_percent": "savedPercent"}):
    """The output for programs, with camelCase keys that docs/how-to/backtest.md documents: a key keeps its meaning."""

    title: str
    workloads: int
    since: float
    """When counting begins, after the first two days; Unix seconds."""
    hours: float
    """The hours that are counted."""
    setup: Setup
    saved_percent: dict[str, float]
    """What Spillway saves against each other contender, in percent of its cost."""
    contenders: dict[str, Figures]
    thresholds: tuple[DayThresholds, ...]


def described(result: Result) -> Backtest:
    """The figures of all contenders, the thresholds and the case."""
    case = result.case
    names = [service.workload for service in case.services]
    return Backtest(
        title=case.title,
        workloads=len(names),
        since=case.counted_from,
        hours=case.hours,
        setup=case.setup,
        saved_percent={one.name: result.saved_percent(one.name) for one in result.outcomes if one.name != SPILLWAY},
        contenders={one.name: one.figures for one in result.outcomes},
        thresholds=tuple(
            DayThresholds(case.start + one.step * STEP_SECONDS, dict(zip(names, one.replicas, strict=True)))
            for one in result.thresholds
        ),
    )


def backtest_view(result: Result) -> Sequence[RenderableType]:
    """What was replayed, the saving, and the figures of all contenders side by side."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for one in result.outcomes:
        table.add_column(one.name, justify="right")
    for words, value, form in ROWS:
        table.add_row(words, *(formatted(value(one.figures), form) for one in result.outcomes))
    return [f"{literal(about(result))}\n{headline(result)}", table]


def about(result: Result) -> str:
    """One line: the demand, how long it is, and the nodes."""
    case, setup = result.case, result.case.setup
    since = datetime.fromtimestamp(case.counted_from, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{case.title}: {len(case.services)} {'workload' if len(case.services) == 1 else 'workloads'}, "
        f"{case.hours / 24:.1f} days from {since}; {setup.nodes} owned nodes of {setup.node_cores:g} cores, up to "
        f"{setup.elastic_nodes} elastic ones, costs in {setup.prices.currency or 'the unit of the prices'}"
    )


def headline(result: Result) -> str:
    """The saving against plain Kubernetes, and against nodes owned for the peak."""
    parts = [f"{_saved(result.saved_percent(name))} {name}" for name in (PLAIN, OWNED)]
    return f"Spillway: {parts[0]} Kubernetes, {parts[1]}"


def formatted(value: float, form: str) -> str:
    """A figure as it is shown."""
    if form == "cost":
        return f"{value:,.2f}" if abs(value) < _SMALL_COST else f"{value:,.0f}"
    if form == "percent":
        return f"{value:.1f} %"
    if form == "small percent":
        return f"{value:.3f} %"
    return f"{value:,.0f}" if form == "count" else f"{value:,.1f}"


def _saved(percent: float) -> str:
    return f"{percent:.1f} % less than" if percent >= 0 else f"{-percent:.1f} % more than"
