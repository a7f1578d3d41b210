"""The charts of a cluster's report, as plotly figures.

Contract: a chart without data is not drawn; its chapter says why there is none.
"""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
import plotly.graph_objects as go

from spillway.app.report import document as page
from spillway.app.report.reading import ClusterReport
from spillway.domain.forecast.spec import Floats
from spillway.domain.model.names import Tier
from spillway.domain.overview.history import ClusterHistory, by_day

_TIERS: Final = {Tier.FIXED: page.BLUE, Tier.ELASTIC: page.ORANGE, Tier.VIRTUAL: page.PURPLE}
_COSTS: Final = {
    "with Spillway": (page.GREEN, "solid"),
    "all owned": (page.GREY, "longdash"),
    "all virtual": (page.RED, "dash"),
}
_CAPACITY: Final = "cores of owned nodes"
_STYLES: Final = tuple(
    itertools.product(
        ("solid", "dash", "dot", "dashdot"), (page.BLUE, page.ORANGE, page.GREEN, page.PURPLE, page.RED, page.SKY)
    )
)
"""The dash and the colour of each line of a chart whose lines have no meaning known ahead."""
_MOST_WORKLOADS: Final = 30
_MOST_LINES: Final = len(_STYLES)
_FEW_POINTS: Final = 12
"""Up to this number of points of a line each is marked: of a single one there would be nothing to see."""
_FEW_DAYS: Final = 4
"""Below this number of days there are bars instead of lines."""


def charts(report: ClusterReport) -> list[page.Chart]:
    """The charts in the page's order."""
    found = [_thresholds(report)]
    if report.history is not None:
        history = report.history
        found = [_demand(history), _costs(report), *found, _victims(history), *_balance(history), _limits(history)]
    return found


def _none(title: str, why: str) -> page.Chart:
    return page.Chart(title, why, "", ())


def _demand(history: ClusterHistory) -> page.Chart:
    title = "Demand and capacity by tier"
    if not _known(history.cores):
        return _none(title, "There is no history of requests: Prometheus has no spillway_consumed_cpu_seconds_total.")
    cores = go.Figure()
    for tier, colour in _TIERS.items():
        if (values := history.cores.get(tier)) is not None:
            cores.add_scatter(
                x=_times(history),
                y=_values(values),
                name=tier.value,
                stackgroup="tiers",
                mode="lines",
                line={"width": 0.5, "color": colour},
            )
    if history.owned_cores is not None:
        line = {"color": page.INK, "width": 1.5, "dash": "dot"}
        cores.add_scatter(x=_times(history), y=_values(history.owned_cores), name=_CAPACITY, mode="lines", line=line)
    cores.update_yaxes(title_text="cores requested", rangemode="tozero")
    drawn = [page.titled("Requests of running pods", page.drawn(cores))]
    if _known(history.nodes):
        nodes = go.Figure()
        for tier, colour in _TIERS.items():
            if (values := history.nodes.get(tier)) is not None:
                line = {"color": colour, "width": 2, "shape": "hv"}
                nodes.add_scatter(x=_times(history), y=_values(values), name=tier.value, mode=_mode(values), line=line)
        nodes.update_yaxes(title_text="nodes", rangemode="tozero")
        drawn.append(page.titled("Nodes", page.drawn(nodes)))
    legend = "".join(page.box(colour, tier.value) for tier, colour in _TIERS.items())
    if history.owned_cores is not None:
        legend += page.stroke(page.INK, "dot", _CAPACITY)
    return page.Chart(title, "CPU requests of running pods, and the nodes of each tier.", legend, tuple(drawn))


def _costs(report: ClusterReport) -> page.Chart:
    title = "Cost of each day"
    if not report.days or report.prices is None:
        return _none(title, "The costs are not known.")
    days = [f"{_moment(one.begins):%b %-d}" for one in report.days]
    amounts: dict[str, list[float | None]] = {
        "with Spillway": [one.actual for one in report.days],
        "all owned": [one.all_owned for one in report.days],
        "all virtual": [one.all_virtual for one in report.days],
    }
    shown = {name: values for name, values in amounts.items() if None not in values}
    figure = go.Figure()
    for name, values in shown.items():
        colour, dash = _COSTS[name]
        if len(days) < _FEW_DAYS:
            figure.add_bar(x=days, y=values, name=name, marker={"color": colour})
        else:
            line = {"color": colour, "dash": dash, "width": 2.2}
            figure.add_scatter(x=days, y=values, name=name, mode="lines+markers", line=line)
    figure.update_xaxes(type="category")
    figure.update_yaxes(title_text=f"cost of a day {report.prices.currency}".strip(), rangemode="tozero")
    text = "The first and the last day have only the hours that are shown."
    return page.Chart(title, text, "".join(page.stroke(*_COSTS[name], name) for name in shown), (page.drawn(figure),))


def _thresholds(report: ClusterReport) -> page.Chart:
    title = "Thresholds"
    rows = [one for one in report.thresholds if one.replicas is not None]
    if not rows:
        return _none(title, "No workload has a threshold: all replicas stay on physical nodes.")
    rows.sort(key=lambda one: (-report.highest.get(one.workload, one.replicas or 0), one.workload))
    count, rows = len(rows), rows[:_MOST_WORKLOADS]
    names = [one.workload.removeprefix("Deployment/") for one in rows]
    figure = go.Figure()
    figure.add_bar(
        y=names,
        x=[one.replicas for one in rows],
        orientation="h",
        name="threshold",
        marker={"color": _TIERS[Tier.FIXED]},
        customdata=[one.reason for one in rows],
        hovertemplate="%{x} (%{customdata})",
    )
    if report.highest:
        figure.add_scatter(
            y=names,
            x=[report.highest.get(one.workload) for one in rows],
            name="highest replicas",
            mode="markers",
            marker={"color": page.INK, "symbol": "line-ns-open", "size": 12, "line": {"width": 2}},
        )
    figure.update_xaxes(title_text="replicas", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True)
    text = "Replicas that stay off virtual nodes"
    text += ", beside the highest number of replicas in the time shown." if report.highest else "."
    if count > _MOST_WORKLOADS:
        text += f" The {_MOST_WORKLOADS} largest of {count} workloads."
    legend = page.box(_TIERS[Tier.FIXED], "threshold") + (
        page.mark(page.INK, "highest replicas") if report.highest else ""
    )
    return page.Chart(title, text, legend, (page.drawn(figure, height=110 + 24 * len(rows), closest=True),))


def _victims(history: ClusterHistory) -> page.Chart:
    text = "Pods that scale-downs were planned to delete, by the rule that chose them."
    return _daily(history, "Victims by reason", text, history.victims, "No scale-down was planned in the time shown.")


def _balance(history: ClusterHistory) -> list[page.Chart]:
    title = "Imbalance"
    if _known(history.imbalance):
        shares = {name: values * 100 for name, values in history.imbalance.items()}
        text = "Load of the most loaded node minus that of the least loaded one, by ZonalBalance."
        imbalance = _lines(history, title, text, shares, "percentage points")
    else:
        imbalance = _none(title, "No ZonalBalance measured the load of nodes in the time shown.")
    text = "Pods that were moved without a scale-down, by purpose and result."
    return [imbalance, _daily(history, "Moves", text, history.moves, "No pod was moved in the time shown.")]


def _limits(history: ClusterHistory) -> page.Chart:
    title = "Limits of pools"
    if not _known(history.limits):
        return _none(title, "No pool has a limit.")
    shares = {name: values * 100 for name, values in history.limits.items()}
    text = "The highest used share of each limit of the pools; no pod is sent to a pool at 100 %."
    return _lines(history, title, text, shares, "% of the limit")


def _lines(history: ClusterHistory, title: str, text: str, lines: Mapping[str, Floats], unit: str) -> page.Chart:
    figure, legend = go.Figure(), ""
    highest = sorted(lines, key=lambda name: (-float(np.nanmax(lines[name], initial=0.0)), name))[:_MOST_LINES]
    for name, (dash, colour) in zip(sorted(highest), _STYLES, strict=False):
        line = {"color": colour, "dash": dash, "width": 2}
        values = lines[name]
        figure.add_scatter(x=_times(history), y=_values(values), name=name, mode=_mode(values), line=line)
        legend += page.stroke(colour, dash, name)
    figure.update_yaxes(title_text=unit, rangemode="tozero")
    if len(lines) > _MOST_LINES:
        text += f" The {_MOST_LINES} highest of {len(lines)}."
    return page.Chart(title, text, legend, (page.drawn(figure),))


def _daily(history: ClusterHistory, title: str, text: str, values: Mapping[str, Floats], none: str) -> page.Chart:
    sums = {name: by_day(history, found) for name, found in values.items()}
    shown = {name: found for name, found in sums.items() if np.round(found[1]).any()}
    if not shown:
        return _none(title, none)
    figure, legend = go.Figure(), ""
    for name, (_, colour) in zip(sorted(shown), itertools.cycle(_STYLES), strict=False):
        days, amounts = shown[name]
        figure.add_bar(
            x=[f"{_moment(day):%b %-d}" for day in days],
            y=[round(float(amount), 1) for amount in amounts],
            name=name,
            marker={"color": colour},
        )
        legend += page.box(colour, name)
    figure.update_layout(barmode="stack")
    figure.update_xaxes(type="category")
    figure.update_yaxes(title_text="pods a day", rangemode="tozero")
    return page.Chart(title, text, legend, (page.drawn(figure),))


def _known(values: Mapping[str, Floats]) -> bool:
    return any(not np.isnan(one).all() for one in values.values())


def _times(history: ClusterHistory) -> list[datetime]:
    return [_moment(time) for time in history.times]


def _values(values: Floats) -> Sequence[float | None]:
    """Numbers for JSON; what is not known is a gap."""
    return [None if np.isnan(value) else round(float(value), 3) for value in values]


def _mode(values: Floats) -> str:
    """How a line is drawn."""
    return "lines+markers" if np.isfinite(values).sum() <= _FEW_POINTS else "lines"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), tz=UTC)
