"""The report of a backtest: one HTML page with the table and charts, and plotly inside (no network needed)."""

import html
from typing import Final

from plotly.offline import get_plotlyjs

from spillway.cli.backtest_charts import FONT, charts
from spillway.cli.backtest_output import ROWS, about, formatted, headline
from spillway.simulate.backtest.run import Result

_STYLE: Final = f"""
body {{ font-family: {FONT}; margin: 2rem auto; max-width: 74rem; padding: 0 1rem; color: #1b1b1b;
 background: #fff; }}
h1 {{ font-size: 1.5rem; margin-bottom: .3rem; }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .2rem; }}
h3 {{ font-size: .95rem; font-weight: 600; margin: .6rem 0 0; }}
p {{ line-height: 1.5; max-width: 60rem; margin: .3rem 0 .8rem; color: #444; }}
p.headline {{ font-size: 1.25rem; font-weight: 600; margin: .8rem 0; color: #1b1b1b; }}
div.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: .5rem 0 1rem; }}
th, td {{ padding: .35rem .9rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap;
 font-variant-numeric: tabular-nums; }}
th:first-child, td:first-child {{ text-align: left; white-space: pre; }} th {{ border-bottom: 2px solid #999; }}
tr:first-child + tr td {{ font-weight: 600; }}
ul.legend {{ display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: .4rem 0 0; padding: 0;
 font-size: .85rem; }}
ul.legend svg {{ vertical-align: middle; margin-right: .4rem; }}
div.charts {{ display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 0 1rem; }}
@media (max-width: 40rem) {{
 body {{ margin: 1rem auto; padding: 0 .7rem; font-size: .9rem; }} th, td {{ padding: .3rem .4rem; }}
 p.headline {{ font-size: 1.1rem; }} div.charts {{ grid-template-columns: minmax(0, 1fr); }}
}}
"""

_MEANING: Final = (
    "All contenders have the same demand, nodes, node autoscaler and prices. plain: HPA and cluster-autoscaler. flat "
    "cost: the same with one deletion cost on all pods beyond the owned nodes. Unmet demand is what the ready replicas "
    "do not carry at all of their CPU request; demand above the target is served, but more slowly than intended. The "
    "clairvoyant knows the demand ahead: serving all of it at the target cannot cost less in this model."
)


def page(result: Result) -> str:
    """The page of a result."""
    body = "".join(
        f"<h2>{chart.title}</h2><p>{html.escape(chart.text)}</p>"
        f'<ul class="legend">{chart.legend}</ul>'
        f'<div class="charts" style="--columns: {len(chart.drawn)}">{"".join(chart.drawn)}</div>'
        for chart in charts(result)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Spillway: backtest</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body>"
        f'<h1>What Spillway would have saved</h1><p class="headline">{html.escape(headline(result))}</p>'
        f"<p>{html.escape(about(result))}</p>{_table(result)}<p>{html.escape(_MEANING)}</p>{body}</body></html>\n"
    )


def _table(result: Result) -> str:
    head = "".join(f"<th>{html.escape(one.name)}</th>" for one in result.outcomes)
    lines = "".join(
        f"<tr><td>{html.escape(words)}</td>"
        + "".join(f"<td>{html.escape(formatted(value(one.figures), form))}</td>" for one in result.outcomes)
        + "</tr>"
        for words, value, form in ROWS
    )
    return f'<div class="scroll"><table><tr><th></th>{head}</tr>{lines}</table></div>'
