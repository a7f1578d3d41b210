"""The curves of the forecast bench as one self-contained page: unmet demand by cost, for each trace and start-up."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import plotly.graph_objects as go
from plotly.subplots import make_subplots

Curve = Mapping[str, Sequence[tuple[float, float]]]
"""For each contender the points of mean capacity over that of the present demand, and unmet percent."""
COLUMNS: Final = 3
COLORS: Final = {"spillway": "#1f77b4", "crane": "#d62728", "reactive_x_margin": "#7f7f7f", "last_day": "#2ca02c"}


def drawn(curves: Mapping[str, Curve], path: Path) -> None:
    """Unmet demand by cost, one chart for each trace and start-up, as one self-contained page."""
    rows = math.ceil(len(curves) / COLUMNS)
    figure = make_subplots(rows=rows, cols=COLUMNS, subplot_titles=list(curves), vertical_spacing=0.25 / max(rows, 1))
    for index, curve in enumerate(curves.values()):
        for who, points in curve.items():
            x, y = zip(*sorted(points), strict=True)
            line = go.Scatter(
                x=x, y=y, name=who.replace("_", " "), legendgroup=who, showlegend=index == 0, line_color=COLORS[who]
            )
            figure.add_trace(line, row=index // COLUMNS + 1, col=index % COLUMNS + 1)
    figure.update_xaxes(title="mean capacity / present demand", range=[0.9, 2.5])
    figure.update_yaxes(title="unmet %", rangemode="tozero")
    figure.update_layout(template="plotly_white", height=320 * rows, title="Unmet demand by cost")
    figure.write_html(path, include_plotlyjs="inline")
