"""The charts of a backtest's report: demand and capacity, cost by day, and thresholds, as plotly figures.

Contract: series of more than `_POINTS` are shown by the highest value of each hour.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
import plotly.graph_objects as go

from spillway.app.report import document as page
from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS, STEP_SECONDS, Floats
from spillway.simulate.backtest.bounds import CLAIRVOYANT, OWNED
from spillway.simulate.backtest.figures import ContenderResult
from spillway.simulate.backtest.run import FLAT, HEADROOM, PLAIN, SPILLWAY, Result

_TIERS: Final = {"owned": page.BLUE, "elastic": page.ORANGE, "virtual": page.PURPLE, "headroom": page.SKY}
_LINES: Final = {
    PLAIN: (page.DARK, "dot"),
    FLAT: (page.RED, "dash"),
    SPILLWAY: (page.GREEN, "solid"),
    HEADROOM: (page.PURPLE, "solid"),
    CLAIRVOYANT: (page.SKY, "dashdot"),
    OWNED: (page.GREY, "longdash"),
}
_NEEDED: Final = "needed by the demand"
_RECOMMENDED: Final = "recommended"
_POINTS: Final = 2 * DAY_STEPS
_MOST_WORKLOADS: Final = 30
_FEW_DAYS: Final = 4
"""Below this number of days there are bars instead of lines."""


def charts(result: Result) -> list[page.Chart]:
    """The charts in the page's order."""
    return [
        page.Chart(
            "Demand and capacity by tier",
            "CPU requests of the pods on each tier, and what headroom keeps free on elastic nodes, on one "
            "scale. The line is what the demand needs at the target.",
            "".join(page.box(colour, tier) for tier, colour in _TIERS.items()) + page.stroke(page.INK, "dot", _NEEDED),
            tuple(_tiers(result)),
        ),
        page.Chart(
            "Demand, forecast and capacity on the last day",
            "CPU requests of the replicas that the demand needs at the target, of those that Spillway recommended by "
            "its forecasts and schedules, and of all pods that have a node.",
            page.box(page.GREY, _NEEDED)
            + page.stroke(page.BLUE, "dash", _RECOMMENDED)
            + "".join(page.stroke(*_LINES[name], name) for name in (PLAIN, SPILLWAY)),
            (_last_day(result),),
        ),
        page.Chart(
            "Cost of each day",
            "Owned nodes are paid for whether they are in use or not, so every line has the same least cost, except "
            "that of nodes owned for the peak.",
            "".join(page.stroke(*_LINES[one.name], one.name) for one in result.outcomes),
            (_costs(result),),
        ),
        page.Chart(
            "Thresholds",
            "Replicas that stay off virtual nodes, on the day with the highest threshold, beside the highest demand. "
            + _shown(result),
            page.box(_TIERS["owned"], "threshold") + page.mark(page.INK, "highest demand"),
            (_thresholds(result),),
        ),
    ]


def _tiers(result: Result) -> list[str]:
    shown = [one for one in result.outcomes if one.name in (PLAIN, SPILLWAY, HEADROOM)]
    most = max(float(result.demand_cores.max()), *(float(np.sum(_by_tier(one), axis=0).max()) for one in shown))
    found = []
    for one in shown:
        figure = go.Figure()
        for (tier, colour), cores in zip(_TIERS.items(), _by_tier(one), strict=True):
            times, values = _series(result, cores)
            figure.add_scatter(
                x=times, y=values, name=tier, stackgroup="tiers", mode="lines", line={"width": 0.5, "color": colour}
            )
        times, values = _series(result, result.demand_cores)
        figure.add_scatter(
            x=times, y=values, name=_NEEDED, mode="lines", line={"width": 1.5, "color": page.INK, "dash": "dot"}
        )
        figure.update_yaxes(title_text="cores requested", range=[0, most * 1.05])
        found.append(page.titled(one.name, page.drawn(figure)))
    return found


def _last_day(result: Result) -> str:
    lines = [(_RECOMMENDED, result.recommended_cores, (page.BLUE, "dash"))]
    for name in (PLAIN, SPILLWAY):
        tiers = result.of(name).tiers
        lines.append((name, tiers.owned + tiers.elastic + tiers.virtual, _LINES[name]))
    steps = range(max(0, result.demand_cores.size - DAY_STEPS), result.demand_cores.size)
    times = [_time(result.case.counted_from + step * STEP_SECONDS) for step in steps]
    figure = go.Figure()
    figure.add_scatter(
        x=times,
        y=result.demand_cores[steps.start :].tolist(),
        name=_NEEDED,
        mode="lines",
        fill="tozeroy",
        line={"width": 0.5, "color": page.GREY},
    )
    for name, cores, (colour, dash) in lines:
        line = {"color": colour, "dash": dash, "width": 2}
        figure.add_scatter(x=times, y=np.round(cores[steps.start :], 3).tolist(), name=name, mode="lines", line=line)
    figure.update_yaxes(title_text="cores requested", rangemode="tozero")
    return page.drawn(figure)


def _by_tier(one: ContenderResult) -> tuple[Floats, ...]:
    return one.tiers.owned, one.tiers.elastic, one.tiers.virtual, one.tiers.headroom


def _costs(result: Result) -> str:
    figure = go.Figure()
    for one in result.outcomes:
        costs = list(one.figures.cost_by_day)
        times = [_time(result.case.counted_from + day * DAY_STEPS * STEP_SECONDS) for day in range(len(costs))]
        days = [f"{time:%b %-d}" for time in times]
        colour, dash = _LINES[one.name]
        if len(days) < _FEW_DAYS:
            figure.add_bar(x=days, y=costs, name=one.name, marker={"color": colour})
        else:
            line = {"color": colour, "dash": dash, "width": 2.2}
            figure.add_scatter(x=days, y=costs, name=one.name, mode="lines+markers", line=line)
    figure.update_xaxes(type="category")
    figure.update_yaxes(title_text=f"cost of a day {result.case.setup.prices.currency}".strip(), rangemode="tozero")
    return page.drawn(figure)


def _thresholds(result: Result) -> str:
    peaks = np.nan_to_num(result.case.demand).max(axis=1)
    rows = sorted(range(peaks.size), key=lambda row: -float(peaks[row]))[:_MOST_WORKLOADS]
    names = [result.case.services[row].workload for row in rows]
    planned = [
        [one.replicas[row] for one in result.thresholds[1:] if one.replicas[row] is not None] or [0] for row in rows
    ]
    highest = [max(number or 0 for number in numbers) for numbers in planned]
    lowest = [min(number or 0 for number in numbers) for numbers in planned]
    figure = go.Figure()
    figure.add_bar(
        y=names,
        x=highest,
        orientation="h",
        name="threshold",
        marker={"color": _TIERS["owned"]},
        customdata=lowest,
        hovertemplate="%{customdata} to %{x}",
    )
    figure.add_scatter(
        y=names,
        x=[float(np.ceil(peaks[row])) for row in rows],
        name="highest demand",
        mode="markers",
        marker={"color": page.INK, "symbol": "line-ns-open", "size": 12, "line": {"width": 2}},
    )
    figure.update_xaxes(title_text="replicas", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return page.drawn(figure, height=110 + 24 * len(rows), closest=True)


def _shown(result: Result) -> str:
    count = len(result.case.services)
    return f"The {_MOST_WORKLOADS} largest of {count} workloads." if count > _MOST_WORKLOADS else ""


def _series(result: Result, values: Floats) -> tuple[list[datetime], Sequence[float]]:
    each = 1
    if values.size > _POINTS:
        each = HOUR_STEPS
        values = np.maximum.reduceat(values, np.arange(0, values.size, each))
    times = [_time(result.case.counted_from + index * each * STEP_SECONDS) for index in range(values.size)]
    return times, [round(float(value), 3) for value in values]


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
