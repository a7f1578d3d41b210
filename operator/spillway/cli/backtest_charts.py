"""The charts of a backtest's report: demand and capacity by tier, cost by day, and thresholds, as plotly figures.

Contract: legends are HTML above a chart, so that they wrap on a narrow screen. Colours are the Okabe-Ito set, told
apart with any colour vision; lines also differ by their dashes. Series of more than `_POINTS` are shown by the highest
value of each hour.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS, STEP_SECONDS, Floats
from spillway.simulate.backtest.bounds import CLAIRVOYANT, OWNED
from spillway.simulate.backtest.run import FLAT, PLAIN, SPILLWAY, Result

FONT: Final = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_INK: Final = "#1b1b1b"
_TIERS: Final = {"owned": "#0072B2", "elastic": "#E69F00", "virtual": "#CC79A7"}
_LINES: Final = {
    PLAIN: ("#555555", "dot"),
    FLAT: ("#D55E00", "dash"),
    SPILLWAY: ("#009E73", "solid"),
    CLAIRVOYANT: ("#56B4E9", "dashdot"),
    OWNED: ("#999999", "longdash"),
}
_POINTS: Final = 2 * DAY_STEPS
_MOST_WORKLOADS: Final = 30
_FEW_DAYS: Final = 4
"""Below this number of days there are bars instead of lines."""
_CONFIG: Final = {"displayModeBar": False, "responsive": True}


@dataclass(frozen=True, slots=True)
class Chart:
    """One chapter of the page."""

    title: str
    text: str
    legend: str
    drawn: tuple[str, ...]


def charts(result: Result) -> list[Chart]:
    """The charts in the page's order."""
    return [
        Chart(
            "Demand and capacity by tier",
            "CPU requests of the pods on each tier, on one scale. The line is what the demand needs at the target.",
            "".join(_box(colour, tier) for tier, colour in _TIERS.items())
            + _stroke(_INK, "dot", "needed by the demand"),
            tuple(_tiers(result)),
        ),
        Chart(
            "Cost of each day",
            "Owned nodes are paid for whether they are in use or not, so every line has the same least cost, except "
            "that of nodes owned for the peak.",
            "".join(_stroke(*_LINES[one.name], one.name) for one in result.outcomes),
            (_costs(result),),
        ),
        Chart(
            "Thresholds",
            "Replicas that stay off virtual nodes, on the day with the highest threshold, beside the highest demand. "
            + _shown(result),
            _box(_TIERS["owned"], "threshold") + _mark(_INK, "highest demand"),
            (_thresholds(result),),
        ),
    ]


def _tiers(result: Result) -> list[str]:
    shown = [result.of(name) for name in (PLAIN, SPILLWAY)]
    most = max(
        float(result.demand_cores.max()),
        *(float((one.tiers.owned + one.tiers.elastic + one.tiers.virtual).max()) for one in shown),
    )
    found = []
    for one in shown:
        figure = go.Figure()
        for (tier, colour), cores in zip(
            _TIERS.items(), (one.tiers.owned, one.tiers.elastic, one.tiers.virtual), strict=True
        ):
            times, values = _series(result, cores)
            figure.add_scatter(
                x=times, y=values, name=tier, stackgroup="tiers", mode="lines", line={"width": 0.5, "color": colour}
            )
        times, values = _series(result, result.demand_cores)
        figure.add_scatter(
            x=times, y=values, name="needed", mode="lines", line={"width": 1.5, "color": _INK, "dash": "dot"}
        )
        figure.update_yaxes(title_text="cores requested", range=[0, most * 1.05])
        found.append(f"<div><h3>{html.escape(one.name)}</h3>{_html(figure)}</div>")
    return found


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
    return _html(figure)


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
        marker={"color": _INK, "symbol": "line-ns-open", "size": 12, "line": {"width": 2}},
    )
    figure.update_xaxes(title_text="replicas", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return _html(figure, height=110 + 24 * len(rows), closest=True)


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


def _html(figure: go.Figure, *, height: int = 320, closest: bool = False) -> str:
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 60, "r": 20, "t": 15, "b": 50},
        font={"family": FONT, "size": 13},
        showlegend=False,
        hovermode="closest" if closest else "x unified",
    )
    return f"<div>{figure.to_html(full_html=False, include_plotlyjs=False, config=_CONFIG)}</div>"


def _swatch(inside: str, words: str) -> str:
    return f'<li><svg width="26" height="12" aria-hidden="true">{inside}</svg>{html.escape(words)}</li>'


def _box(colour: str, words: str) -> str:
    return _swatch(f'<rect width="26" height="12" fill="{colour}"/>', words)


def _mark(colour: str, words: str) -> str:
    return _swatch(f'<path d="M13 0V12" stroke="{colour}" stroke-width="2"/>', words)


def _stroke(colour: str, dash: str, words: str) -> str:
    pattern: dict[str, Any] = {"dot": "2 3", "dash": "7 4", "dashdot": "7 3 2 3", "longdash": "11 3"}
    line = f'<path d="M0 6H26" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{pattern.get(dash, "")}"/>'
    return _swatch(line, words)
