"""The view of the day: a live picture on a terminal, or one line every few seconds without a terminal."""

import os
from collections import deque
from collections.abc import Sequence
from typing import IO, Final, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.contenders import Contender
from demo.costs import CURRENCY, cost
from demo.day import Scene
from demo.measure import Sample, exactness, node_hours, per_contender, pod_hours
from demo.scaledowns import ScaleDown, Victim
from demo.scenario import HOURS
from demo.tables import (
    COST_TITLE,
    DAY_TITLE,
    SERVED_TITLE,
    Figures,
    Mark,
    Row,
    cost_rows,
    day_rows,
    headline,
    headline_mark,
    served_rows,
)
from spillway.domain.model.names import Tier
from spillway.domain.scale_down.reasons import VictimReason

TIER_STYLE: Final = {"fixed": "blue", "elastic": "yellow", "virtual": "magenta", "unassigned": "bright_black"}
"""The same hues as the page's, which people with any colour vision tell apart."""

PIPED_WIDTH: Final = 120
"""Columns without a terminal: the longest line of the view fits."""

_LAST_SHOWN: Final = 9
_LINE_EVERY_SECONDS: Final = 10.0
_BAR_WIDTH: Final = 30
_CELL_WIDTH: Final = 8


_SHORT: Final = {
    VictimReason.UNASSIGNED: "it was on no node yet",
    VictimReason.PENDING: "it had not started yet",
    VictimReason.PHASE_UNKNOWN: "its node does not answer",
    VictimReason.NOT_READY: "it was not ready",
    VictimReason.REPLACED: "a surge moved it: its successor is ready",
    VictimReason.VIRTUAL: "virtual pods go first",
    VictimReason.ZONE_SKEW: "{zone} had more pods than the others",
    VictimReason.ZONE_LOAD: "its workload has the lowest load in {zone}",
    VictimReason.ELASTIC: "its elastic node empties next",
    VictimReason.FIXED_DOUBLED: "its fixed node had several of the workload",
    VictimReason.FIXED_HOT: "its fixed node is hot",
    VictimReason.FIXED: "the last to come on fixed nodes",
    VictimReason.ROLLOUT_FIXED: "rollout: fixed nodes are freed first",
    VictimReason.ROLLOUT_ELASTIC: "rollout: the elastic node that stays longest",
    VictimReason.ROLLOUT_VIRTUAL: "rollout: virtual nodes are freed last",
}
"""A line of a table each; `explain` has the whole sentences."""


def console_for(file: IO[str]) -> Console:
    """A console as wide as the terminal; into a pipe or a file as wide as `COLUMNS` says, or as the view needs."""
    given = file.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    return Console(file=file, width=None if given else PIPED_WIDTH)


class View:
    """Shows a run. Use it as a context manager; `say` before the day, `tick` during it."""

    def __init__(self, console: Console, contenders: Sequence[Contender]) -> None:
        self._console = console
        self._contenders = tuple(contenders)
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._last: deque[tuple[float, ScaleDown, Victim]] = deque(maxlen=_LAST_SHOWN)
        self._line_at = -_LINE_EVERY_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, what: str) -> None:
        """Show a step of the preparation."""
        self._console.print(f"[bold]·[/] {what}", highlight=False)

    def tick(self, scene: Scene, elapsed: float, closed: Sequence[ScaleDown]) -> None:
        """Show the present moment."""
        for down in scene.held_to_plans(closed):
            for victim in down.victims:
                self._last.append((down.began, down, victim))
        if self._live is not None:
            if not self._live.is_started:
                self._live.start()
            self._live.update(self.picture(scene, elapsed), refresh=True)
        elif elapsed - self._line_at >= _LINE_EVERY_SECONDS:
            self._line_at = elapsed
            self._console.print(_line(scene, elapsed), highlight=False, soft_wrap=True)

    def picture(self, scene: Scene, elapsed: float) -> RenderableType:
        """The whole picture of that moment."""
        return Group(
            _clock(scene, elapsed), *(_contender(scene, one, elapsed) for one in self._contenders), self._deaths(scene)
        )

    def _deaths(self, scene: Scene) -> RenderableType:
        table = Table(box=None, expand=True, pad_edge=False, header_style="bold")
        for name in ("hour", "contender", "pod", "tier", "zone", "why it was deleted"):
            table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=3 if name.startswith("why") else None)
        for at, down, victim in reversed(self._last):
            tier = victim.tier.value if victim.tier else "unassigned"
            table.add_row(
                clock_text(scene.day.hour_at(at)),
                down.contender.value,
                f"{down.workload}-{victim.name.rpartition('-')[2]}",
                Text(tier, style=TIER_STYLE[tier]),
                victim.zone or "-",
                why(down, victim),
            )
        return Panel(table, title="deleted last", title_align="left", border_style="bright_black")


def why(down: ScaleDown, victim: Victim) -> str:
    """Say why a pod was deleted, and where Spillway would have chosen otherwise."""
    if victim.violates_virtual_first:
        return "by Kubernetes' own rules, though a virtual pod ran"
    if not victim.planned:
        return "by Kubernetes' own rules; the plan would have kept it"
    told = _SHORT[VictimReason(victim.reason)].format(zone=victim.zone or "its zone")
    return told if down.contender.operated else f"as the plan would: {told}"


def clock_text(hour: float) -> str:
    minutes = round(hour * 60) % (24 * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _clock(scene: Scene, elapsed: float) -> RenderableType:
    hour = scene.day.hour_at(elapsed)
    grid = Table.grid(padding=(0, 2))
    left = max(scene.day.seconds - elapsed, 0)
    ahead = f" · {left:.0f} s to go" if left else ""
    grid.add_row(
        Text(clock_text(hour), style="bold"),
        ProgressBar(total=scene.day.seconds, completed=min(elapsed, scene.day.seconds), width=_BAR_WIDTH),
        f"load {scene.day.total_load(hour):.0f} cores each{ahead}",
    )
    return grid


def _contender(scene: Scene, contender: Contender, elapsed: float) -> RenderableType:
    sample = scene.observer.samples[contender][-1]
    downs = scene.held_to_plans(per_contender(scene.observer.tracker.finished, contender))
    figures = exactness(downs)
    hours = node_hours(scene.observer.lifetimes(contender), until=elapsed, seconds_per_hour=scene.day.seconds_per_hour)
    table = Table.grid()
    table.add_row(_bar(sample, scene) + Text("  ") + _counts(sample))
    share = figures["planned_ready_deleted"] / figures["victims_ready"] if figures["victims_ready"] else 1.0
    evicted = "-" if scene.audit is None else str(scene.audit.evictions[contender])
    until_now = [one for one in scene.observer.samples[contender] if one.at <= elapsed]
    spent = cost(
        hours=min(elapsed / scene.day.seconds_per_hour, HOURS),
        elastic_node_hours=hours,
        virtual_pod_hours=pod_hours(until_now, Tier.VIRTUAL, scene.day.seconds_per_hour),
    )
    table.add_row(
        f"elastic nodes {sample.elastic_nodes:3d} · {hours:6.1f} node-hours · zone skew {sample.skew_max}"
        f" · cost {spent['total']:.2f} {CURRENCY}"
    )
    table.add_row(
        f"deleted {figures['victims']}, {share:.0%} as planned · "
        f"virtual-first broken {figures['virtual_first_violations']} times · evictions {evicted}",
    )
    if sample.forecast_cores is not None:
        table.add_row(
            f"requests of ready pods {sample.ready_cores:.0f} cores · forecast load {sample.forecast_cores:.0f}"
            f" · headroom {sample.headroom_cores:.0f}"
        )
    bold = "bold cyan" if contender.operated else "bold"
    return Panel(table, title=Text(contender.value, style=bold), title_align="left", border_style="bright_black")


def _bar(sample: Sample, scene: Scene) -> Text:
    most = max((s.total for series in scene.observer.samples.values() for s in series), default=1) or 1
    bar = Text()
    for tier, count in sample.pods.items():
        bar.append("█" * round(count * _BAR_WIDTH / most), style=TIER_STYLE[tier])
    return bar if bar.cell_len >= _BAR_WIDTH else bar + Text("·" * (_BAR_WIDTH - bar.cell_len), style="bright_black")


def _counts(sample: Sample) -> Text:
    text = Text("pods ")
    for tier, count in sample.pods.items():
        if count or tier != "unassigned":
            text.append(f" {tier} {count:3d} ", style=TIER_STYLE[tier])
    return text


def _line(scene: Scene, elapsed: float) -> str:
    parts = []
    for contender in scene.contenders:
        sample = scene.observer.samples[contender][-1]
        pods = "/".join(str(sample.pods[tier]) for tier in Tier)
        victims = sum(len(down.victims) for down in per_contender(scene.observer.tracker.finished, contender))
        ahead = "" if sample.forecast_cores is None else f", forecast load {sample.forecast_cores:.0f}"
        parts.append(
            f"{contender.value}: pods fixed/elastic/virtual {pods}, elastic nodes {sample.elastic_nodes}, "
            f"skew {sample.skew_max}, deleted {victims}{ahead}"
        )
    return f"{clock_text(scene.day.hour_at(elapsed))}  " + "  |  ".join(parts)


_MARK_STYLE: Final = {Mark.GAIN: "green", Mark.LOSS: "red", Mark.SAME: ""}


def summary(figures: Figures) -> RenderableType:
    """The end of the day, contenders side by side: its cost, how the load was served, how pods were deleted."""
    return Group(
        Text(headline(figures), style=f"bold {_MARK_STYLE[headline_mark(figures)]}".strip()),
        "",
        _table(COST_TITLE, cost_rows(figures), figures, priced=True),
        "",
        _table(SERVED_TITLE, served_rows(figures), figures),
        "",
        _table(DAY_TITLE, day_rows(figures), figures),
    )


def _table(title: str, rows: Sequence[Row], figures: Figures, *, priced: bool = False) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=SIMPLE_HEAD)
    table.add_column("")
    if priced:
        table.add_column("price", justify="right")
    for name in figures:
        table.add_column(name, justify="right", min_width=_CELL_WIDTH, no_wrap=True)
    for row in rows:
        cells = [Text(cell.text, style=_MARK_STYLE[cell.mark]) for cell in row.cells]
        before = (row.words, row.price) if priced else (row.words,)
        table.add_row(*before, *cells, style="bold" if row.strong else "")
    return table
