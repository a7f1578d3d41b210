"""The report of a backtest: one HTML page with the table and charts, and plotly inside."""

import html
from typing import Final

from spillway.app.report.document import INK, document
from spillway.cli.backtest_charts import charts
from spillway.cli.backtest_output import ROWS, about, formatted, headline
from spillway.simulate.backtest.run import Result

_STYLE: Final = f"""
p.headline {{ color: {INK}; }}
th {{ white-space: nowrap; }} td:first-child {{ white-space: pre; }}
"""

_MEANING: Final = (
    "All contenders have the same demand, nodes, node autoscaler and prices. plain: HPA and cluster-autoscaler. flat "
    "cost: the same with one deletion cost on all pods beyond the owned nodes. with headroom: Spillway that also keeps "
    "room free on elastic nodes for the rise that forecasts expect. Unmet demand is what the ready replicas do not "
    "carry at all of their CPU request; demand above the target is served, but more slowly than intended. A "
    "scale-down is needless if the workload is scaled up within a quarter of an hour. The clairvoyant knows the demand "
    "ahead: serving all of it at the target cannot cost less in this model."
)


def page(result: Result) -> str:
    """The page of a result."""
    body = (
        f'<h1>What Spillway would have saved</h1><p class="headline">{html.escape(headline(result))}</p>'
        f"<p>{html.escape(about(result))}</p>{_table(result)}<p>{html.escape(_MEANING)}</p>"
    )
    return document("Spillway: backtest", body, charts(result), style=_STYLE)


def _table(result: Result) -> str:
    head = "".join(f"<th>{html.escape(one.name)}</th>" for one in result.outcomes)
    lines = "".join(
        f'<tr class="{"" if index else "strong"}"><td>{html.escape(words)}</td>'
        + "".join(f"<td>{html.escape(formatted(value(one.figures), form))}</td>" for one in result.outcomes)
        + "</tr>"
        for index, (words, value, form) in enumerate(ROWS)
    )
    return f'<div class="scroll"><table><tr><th></th>{head}</tr>{lines}</table></div>'
