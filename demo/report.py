"""The run as one self-contained HTML page: cost, tables and charts, with plotly inside (no network needed).

Contract: `page` returns the whole file. What users ask first comes first: the cost of the day and the saving.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any, Final

from demo.charts import charts
from demo.day import Scene
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
from spillway.app.report.document import document

MARK_COLOUR: Final = {Mark.GAIN: "#00664b", Mark.LOSS: "#a33b00"}

_STYLE: Final = f"""
.gain {{ color: {MARK_COLOUR[Mark.GAIN]}; }} .loss {{ color: {MARK_COLOUR[Mark.LOSS]}; }}
"""

_PRICES: Final = (
    "The same prices for all contenders. Fixed nodes are paid for the whole day, used or not; elastic nodes while they "
    "exist; virtual nodes bill each pod while it exists."
)


_FORESIGHT: Final = (
    " Without Spillway the HPAs go by CPU alone. With it they also go by the recommended replicas: the forecast of the "
    "highest demand between {startup} and {window} ahead, from {history} of demand in Prometheus, at a CPU utilization "
    "of {utilization_percent} %. Spillway keeps headroom on elastic nodes for the replicas that will come next."
)


def page(scene: Scene, figures: Figures, about: Mapping[str, Any]) -> str:
    """The page of a finished run."""
    told = (
        f"{about['workloads']} workloads with an HPA each, {about['seconds_per_hour']} s to the hour, "
        f"seed {about['seed']}, "
        f"Kubernetes {about['kubernetes']} with Karpenter; contenders side by side in one cluster on "
        f"{about['machine']['cpus']} CPUs."
    )
    if ahead := about.get("foresight"):
        told += _FORESIGHT.format(**ahead)
    body = (
        "<h1>A day with and without Spillway</h1>"
        f'<p class="headline {headline_mark(figures).value}">{html.escape(headline(figures))}</p>'
        f"{_table(COST_TITLE, cost_rows(figures), figures, priced=True)}<p>{html.escape(_PRICES)}</p>"
        f"{_table(SERVED_TITLE, served_rows(figures), figures)}"
        f"{_table(DAY_TITLE, day_rows(figures), figures)}<p>{html.escape(told)}</p>"
    )
    return document("Spillway: a day", body, charts(scene), style=_STYLE)


def _table(title: str, rows: Sequence[Row], figures: Figures, *, priced: bool = False) -> str:
    price = "<th>price</th>" if priced else ""
    head = price + "".join(f"<th>{name}</th>" for name in figures)
    lines = "".join(
        f'<tr class="{"strong" if row.strong else ""}"><td>{html.escape(row.words)}</td>'
        + (f"<td>{html.escape(row.price)}</td>" if priced else "")
        + "".join(f'<td class="{cell.mark.value}">{html.escape(cell.text)}</td>' for cell in row.cells)
        + "</tr>"
        for row in rows
    )
    heading = f"<h2>{html.escape(title[0].upper() + title[1:])}</h2>"
    return f'{heading}<div class="scroll"><table><tr><th></th>{head}</tr>{lines}</table></div>'
