"""The page of the report: tables of the current state and charts of the history, with plotly inside."""

import html
from collections.abc import Iterable, Sequence
from typing import Final

from spillway.app.report.charts import charts
from spillway.app.report.document import INK, RED, document
from spillway.app.report.reading import ClusterReport
from spillway.domain.model.units import HOUR_SECONDS
from spillway.domain.overview.attention import Severity

_STYLE: Final = f"""
p.headline {{ color: {INK}; }} td.text {{ text-align: left; white-space: normal !important; }}
td.error {{ color: {RED}; font-weight: 600; }}
@media print {{ tr {{ break-inside: avoid; }} h2 {{ break-after: avoid; }} body {{ margin: 0; }} }}
"""
_MEANING: Final = (
    "The costs are those of the hours that the metrics cover. With Spillway: fixed and elastic nodes at their price, "
    "used or not, and what pods on virtual nodes were charged. All owned: as many fixed nodes as hold the highest CPU "
    "requests of the whole time. All virtual: all requests at the price of virtual nodes."
)


def page(report: ClusterReport, *, prometheus_setting: str = "--prometheus-url") -> str:
    """The page of a report. `prometheus_setting` is what the reader sets to name the Prometheus with the history."""
    body = (
        f'<h1>Spillway</h1><p class="headline">{html.escape(headline(report))}</p>'
        f"<p>{html.escape(_about(report, prometheus_setting))}</p>"
        f"{_costs(report)}{_policies(report)}{_pools(report)}{_attention(report)}"
    )
    return document("Spillway: report", body, charts(report), style=_STYLE)


def headline(report: ClusterReport) -> str:
    """What was saved, in one sentence."""
    actual = sum(one.actual for one in report.days)
    owned = [one.all_owned for one in report.days if one.all_owned is not None]
    if report.history is None:
        return "The current state; no history was read."
    if not report.days:
        return "The costs of the time shown are not known."
    currency = report.prices.currency if report.prices is not None else ""
    hours = sum(one.hours for one in report.days)
    text = f"{actual:,.2f} {currency} in {_duration(hours)}".replace("  ", " ")
    if len(owned) < len(report.days) or not sum(owned):
        return f"{text}."
    percent = 100 * (1 - actual / sum(owned))
    return f"{text}: {abs(percent):.1f} % {'less' if percent >= 0 else 'more'} than with owned nodes alone."


def _about(report: ClusterReport, prometheus_setting: str) -> str:
    overview, history = report.overview, report.history
    text = f"Cluster {overview.cluster}, read at {overview.at}."
    if history is None:
        return f"{text} Set {prometheus_setting} for costs and charts of the past."
    length = history.times.size * history.step_seconds / HOUR_SECONDS
    shown = f"{length / 24:.0f} days" if length > 48 else _duration(length)
    step = "hour" if history.step_seconds >= HOUR_SECONDS else f"{history.step_seconds / 60:.0f} minutes"
    text += f" The charts show the last {shown}, one value for each {step}; times are UTC."
    if report.prices is None:
        return f"{text} There are no costs: no ElasticPolicy has tiers.fixed.price in one currency with its pools."
    if not report.days:
        return f"{text} There are no costs: Prometheus has no history of the requests and nodes."
    return f"{text} The prices are those of the ElasticPolicy {report.prices.name}."


def _duration(hours: float) -> str:
    """In hours, or in minutes below two of them."""
    return f"{hours:,.0f} hours" if hours >= 2 else f"{60 * hours:.0f} minutes"


def _costs(report: ClusterReport) -> str:
    if not report.days or report.prices is None:
        return ""
    days, currency = report.days, report.prices.currency
    actual = sum(one.actual for one in days)
    parts: list[tuple[str, float | None]] = [
        ("with Spillway", actual),
        ("fixed nodes", sum(one.fixed for one in days)),
        ("elastic nodes", sum(one.elastic for one in days)),
        ("virtual nodes", sum(one.virtual for one in days)),
        ("all owned", _sum(one.all_owned for one in days)),
        ("all virtual", _sum(one.all_virtual for one in days)),
    ]
    rows = [(words, f"{amount:,.2f}") for words, amount in parts if amount is not None]
    return f"<h2>Costs</h2>{_table(('', currency or 'cost'), rows)}<p>{html.escape(_MEANING)}</p>"


def _sum(amounts: Iterable[float | None]) -> float | None:
    known = list(amounts)
    return None if None in known else sum(one for one in known if one is not None)


def _policies(report: ClusterReport) -> str:
    rows = [
        (
            one.name,
            one.mode,
            one.reason,
            one.workloads,
            one.on_fixed,
            one.on_elastic,
            one.on_virtual,
            _money(one.saving_per_hour, one.currency),
            _planned(one.victims, one.as_planned),
        )
        for one in report.overview.policies
    ]
    head = (
        "policy",
        "mode",
        "state",
        "workloads",
        "on fixed",
        "on elastic",
        "on virtual",
        "saving per hour",
        "victims as planned",
    )
    return f"<h2>Policies</h2>{_table(head, rows)}" if rows else ""


def _planned(victims: int | None, as_planned: int | None) -> str | None:
    return None if not victims else f"{as_planned or 0} of {victims}"


def _pools(report: ClusterReport) -> str:
    rows = [
        (
            one.name,
            one.reason,
            one.pods if one.pods_limit is None else f"{one.pods or 0} of {one.pods_limit}",
            _money(one.cost_per_hour, one.currency),
            _money(one.cost_this_month, one.currency),
            _money(one.cost_per_month_limit, one.currency),
        )
        for one in report.overview.pools
    ]
    head = ("pool", "state", "pods", "cost per hour", "cost this month", "limit per month")
    return f"<h2>Pools</h2>{_table(head, rows)}" if rows else ""


def _money(text: str | None, currency: str | None) -> str | None:
    return None if text is None else f"{float(text):,.2f} {currency or ''}".rstrip()


def _attention(report: ClusterReport) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(f'{one.kind}/{one.name}'.rstrip('/'))}</td>"
        f'<td class="{"error" if one.severity is Severity.ERROR else ""}">{html.escape(one.severity.value)}</td>'
        f'<td class="text">{html.escape(one.message)}</td></tr>'
        for one in report.overview.attention
    )
    if not rows:
        return "<p>Nothing needs attention.</p>"
    return (
        "<h2>What needs attention</h2>"
        f'<div class="scroll"><table><tr><th>object</th><th>severity</th><th>message</th></tr>{rows}</table></div>'
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    cells = "".join(f"<th>{html.escape(one)}</th>" for one in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape('-' if one is None else str(one))}</td>" for one in row) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{cells}</tr>{lines}</table></div>'
