"""The run as one self-contained HTML page: cost, tables and charts, with plotly inside (no network needed).

Contract: `page` returns the whole file. What users ask first comes first: the cost of the day and the saving.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any, Final

from plotly.offline import get_plotlyjs

from demo.charts import FONT, charts
from demo.day import Scene
from demo.tables import COST_TITLE, DAY_TITLE, Figures, Mark, Row, cost_rows, day_rows, headline, headline_mark

MARK_COLOUR: Final = {Mark.GAIN: "#00664b", Mark.LOSS: "#a33b00"}

_STYLE: Final = f"""
body {{ font-family: {FONT}; margin: 2rem auto; max-width: 74rem; padding: 0 1rem; color: #1b1b1b;
 background: #fff; }}
h1 {{ font-size: 1.5rem; margin-bottom: .3rem; }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .2rem; }}
h3 {{ font-size: .95rem; font-weight: 600; margin: .6rem 0 0; }}
p {{ line-height: 1.5; max-width: 60rem; margin: .3rem 0 .8rem; color: #444; }}
p.headline {{ font-size: 1.25rem; font-weight: 600; margin: .8rem 0; }}
div.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: .5rem 0 1rem; }}
th, td {{ padding: .35rem .9rem; border-bottom: 1px solid #ddd; text-align: right;
 font-variant-numeric: tabular-nums; }}
th:first-child, td:first-child {{ text-align: left; }} th {{ border-bottom: 2px solid #999; }}
tr.strong {{ font-weight: 600; }}
.gain {{ color: {MARK_COLOUR[Mark.GAIN]}; }} .loss {{ color: {MARK_COLOUR[Mark.LOSS]}; }}
ul.legend {{ display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: .4rem 0 0; padding: 0;
 font-size: .85rem; }}
ul.legend svg {{ vertical-align: middle; margin-right: .4rem; }}
td:not(:first-child) {{ white-space: nowrap; }}
div.charts {{ display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 0 1rem; }}
@media (max-width: 40rem) {{
 body {{ margin: 1rem auto; padding: 0 .7rem; font-size: .9rem; }} th, td {{ padding: .3rem .4rem; }}
 p.headline {{ font-size: 1.1rem; }} div.charts {{ grid-template-columns: minmax(0, 1fr); }}
}}
"""

_PRICES: Final = (
    "The same prices for all contenders. Fixed nodes are paid for the whole day, used or not; elastic nodes while they "
    "exist; virtual nodes bill each pod while it exists."
)


def page(scene: Scene, figures: Figures, about: Mapping[str, Any]) -> str:
    """The page of a finished run."""
    body = "".join(
        f"<h2>{chart.title}</h2><p>{chart.text}</p>"
        f'<ul class="legend">{chart.legend}</ul>'
        f'<div class="charts" style="--columns: {len(chart.drawn)}">{"".join(chart.drawn)}</div>'
        for chart in charts(scene)
    )
    told = (
        f"{about['workloads']} workloads with an HPA each, {about['seconds_per_hour']} s to the hour, "
        f"seed {about['seed']}, "
        f"Kubernetes {about['kubernetes']} with Karpenter; contenders side by side in one cluster on "
        f"{about['machine']['cpus']} CPUs."
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Spillway: a day</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body>"
        "<h1>A day with and without Spillway</h1>"
        f'<p class="headline {headline_mark(figures).value}">{html.escape(headline(figures))}</p>'
        f"{_table(COST_TITLE, cost_rows(figures), figures, priced=True)}<p>{html.escape(_PRICES)}</p>"
        f"{_table(DAY_TITLE, day_rows(figures), figures)}<p>{html.escape(told)}</p>{body}</body></html>\n"
    )


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
