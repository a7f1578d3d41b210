"""The run as one self-contained HTML page: a summary table and charts, with plotly inside (no network needed).

Contract: `page` returns the whole file. Colours are the Okabe-Ito set, told apart with any colour vision; a contender
also has a dash pattern of its own.
"""

import html
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from demo.contenders import Contender
from demo.day import Scene
from demo.measure import Sample, per_contender
from demo.scenario import DAY_BEGINS_AT, HOURS
from demo.view import ROWS, figure_text
from spillway.domain.model.names import Tier

TIER_COLOUR: Final = {"fixed": "#0072B2", "elastic": "#E69F00", "virtual": "#CC79A7", "unassigned": "#999999"}
CONTENDER_COLOUR: Final = {"plain": "#555555", "flat": "#D55E00", "spillway": "#009E73"}
CONTENDER_DASH: Final = {"plain": "dot", "flat": "dash", "spillway": "solid"}

_FONT: Final = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_STYLE: Final = f"""
body {{ font-family: {_FONT}; margin: 2rem auto; max-width: 74rem; padding: 0 1rem; color: #1b1b1b;
 background: #fff; }}
h1 {{ font-size: 1.5rem; margin-bottom: .3rem; }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .2rem; }}
p {{ line-height: 1.5; max-width: 60rem; margin: .3rem 0 .8rem; color: #444; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
th, td {{ padding: .35rem .9rem; border-bottom: 1px solid #ddd; text-align: right;
 font-variant-numeric: tabular-nums; }}
th:first-child, td:first-child {{ text-align: left; }} th {{ border-bottom: 2px solid #999; }}
.spillway {{ color: #00664b; font-weight: 600; }}
"""


_PODS: Final = (
    "Pods by tier",
    (
        "The same load for everybody. Fixed nodes are paid for in any case, elastic nodes cost while they stand, "
        "virtual nodes bill each pod: the most expensive should be the first to go. "
        "Dotted: the replicas that the load asks for."
    ),
)
_NODES: Final = (
    "Elastic nodes",
    "Karpenter takes a node away only once it is empty (WhenEmpty). The area under a line is what is paid for.",
)
_SKEW: Final = (
    "Zone skew",
    (
        "The worst workload at rest: pods in its fullest zone minus pods in its emptiest. Scheduling keeps it at 1; "
        "a higher skew was caused by scaling down."
    ),
)
_VICTIMS: Final = (
    "Who was deleted",
    (
        "Victims of scale-downs by tier. Full colour: as planned (by the operator; for the others, as its planner "
        "would have). Hatched: all others."
    ),
)


def page(scene: Scene, figures: Mapping[str, Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """The page of a finished run."""
    charts = ((_PODS, _pods(scene)), (_NODES, _nodes(scene)), (_SKEW, _skew(scene)), (_VICTIMS, _victims(scene)))
    body = "".join(
        f"<h2>{title}</h2><p>{text}</p>{_html(chart, first=index == 0)}"
        for index, ((title, text), chart) in enumerate(charts)
    )
    told = (
        f"{about['workloads']} workloads with an HPA each, {about['seconds_per_hour']} s to the hour, "
        f"seed {about['seed']}, "
        f"Kubernetes {about['kubernetes']} with Karpenter; contenders side by side in one cluster on "
        f"{about['machine']['cpus']} CPUs."
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Spillway: a day</title>'
        f"<style>{_STYLE}</style></head><body><h1>A day with and without Spillway</h1>"
        f"<p>{html.escape(told)}</p>{_table(figures)}{body}</body></html>\n"
    )


def _table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    head = "".join(f'<th class="{name}">{name}</th>' for name in figures)
    rows = "".join(
        f"<tr><td>{html.escape(words)}</td>"
        + "".join(f'<td class="{name}">{figure_text(values.get(key), unit)}</td>' for name, values in figures.items())
        + "</tr>"
        for words, key, unit in ROWS
    )
    return f"<table><tr><th></th>{head}</tr>{rows}</table>"


def _hours(samples: list[Sample]) -> list[float]:
    """Hours that go on counting past midnight, so that a line does not jump back."""
    return [sample.hour + (HOURS if sample.hour < DAY_BEGINS_AT else 0) for sample in samples]


def _samples(scene: Scene, contender: Contender) -> list[Sample]:
    return [sample for sample in scene.observer.samples[contender] if sample.at < scene.day.seconds]


def _pods(scene: Scene) -> go.Figure:
    names = [contender.value for contender in scene.contenders]
    figure = make_subplots(rows=1, cols=len(names), shared_yaxes=True, subplot_titles=names, horizontal_spacing=0.05)
    for column, contender in enumerate(scene.contenders, 1):
        samples = _samples(scene, contender)
        for tier in (*(t.value for t in Tier), "unassigned"):
            figure.add_scatter(
                x=_hours(samples),
                y=[sample.pods[tier] for sample in samples],
                name=tier,
                legendgroup=tier,
                showlegend=column == 1,
                stackgroup="pods",
                mode="lines",
                line={"width": 0.5, "color": TIER_COLOUR[tier]},
                row=1,
                col=column,
            )
        figure.add_scatter(
            x=_hours(samples),
            y=[scene.day.ideal_replicas(sample.hour) for sample in samples],
            name="asked for by the load",
            legendgroup="load",
            showlegend=column == 1,
            mode="lines",
            line={"width": 1.5, "color": "#1b1b1b", "dash": "dot"},
            row=1,
            col=column,
        )
    figure.update_yaxes(title_text="pods", row=1, col=1)
    return _laid_out(figure, height=400, legend_y=1.25)


def _nodes(scene: Scene) -> go.Figure:
    figure = go.Figure()
    for contender in scene.contenders:
        samples = _samples(scene, contender)
        figure.add_scatter(
            x=_hours(samples), y=[sample.elastic_nodes for sample in samples], **_line(contender), line_shape="hv"
        )
    figure.update_yaxes(title_text="elastic nodes", rangemode="tozero")
    return _laid_out(figure)


def _skew(scene: Scene) -> go.Figure:
    figure = go.Figure()
    for contender in scene.contenders:
        samples = _samples(scene, contender)
        figure.add_scatter(x=_hours(samples), y=[s.skew_max for s in samples], **_line(contender), line_shape="hv")
    figure.update_yaxes(title_text="zone skew (pods)", rangemode="tozero", dtick=1)
    return _laid_out(figure, height=300)


def _victims(scene: Scene) -> go.Figure:
    figure = go.Figure()
    names = [contender.value for contender in scene.contenders]
    counts: dict[str, Counter[tuple[str, bool]]] = {name: Counter() for name in names}
    for contender in scene.contenders:
        for down in per_contender(scene.observer.tracker.finished, contender):
            # As in the table: Spillway is held to what it planned itself, the others to what its planner would have.
            held = scene.plans.verdict(down, scene.epoch).down if contender is Contender.SPILLWAY else down
            for victim in held.victims:
                tier = victim.tier.value if victim.tier else "unassigned"
                counts[contender.value][tier, victim.planned] += 1
    for planned in (True, False):
        for tier in TIER_COLOUR:
            if not any(counts[name][tier, planned] for name in names):
                continue
            figure.add_bar(
                y=names,
                x=[counts[name][tier, planned] for name in names],
                orientation="h",
                name=f"{tier}, {'as planned' if planned else 'not planned'}",
                marker={
                    "color": TIER_COLOUR[tier],
                    "opacity": 1.0 if planned else 0.35,
                    "pattern": {"shape": "" if planned else "/"},
                },
            )
    figure.update_layout(barmode="stack", xaxis_title="pods deleted by scale-downs", yaxis={"autorange": "reversed"})
    return _laid_out(figure, height=160 + 60 * len(names), hours=False, legend_y=1.1 + 0.6 / len(names))


def _line(contender: Contender) -> dict[str, Any]:
    return {
        "name": contender.value,
        "mode": "lines",
        "line": {"color": CONTENDER_COLOUR[contender], "dash": CONTENDER_DASH[contender], "width": 2.2},
    }


def _laid_out(figure: go.Figure, *, height: int = 340, hours: bool = True, legend_y: float = 1.16) -> go.Figure:
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        font={"family": _FONT, "size": 13},
        legend={"orientation": "h", "y": legend_y, "x": 0, "traceorder": "normal"},
        hovermode="x unified" if hours else "closest",
    )
    if hours:
        marks = [DAY_BEGINS_AT + 4 * step for step in range(7)]
        figure.update_xaxes(
            title_text="hour of the day",
            tickvals=marks,
            ticktext=[f"{int(mark % HOURS):02d}:00" for mark in marks],
            range=[DAY_BEGINS_AT, DAY_BEGINS_AT + HOURS],
        )
    return figure


def _html(figure: go.Figure, *, first: bool) -> str:
    config = {"displayModeBar": False, "responsive": True}
    return str(figure.to_html(full_html=False, include_plotlyjs="inline" if first else False, config=config))
