"""The charts of the page: titles, legends and plotly figures, from what the observer saw.

Contract: `charts` gives them in the page's order. A contender has a colour and a dash pattern of its own.
"""

from collections import Counter
from typing import Any, Final

import plotly.graph_objects as go

from demo.contenders import Contender
from demo.day import Scene
from demo.measure import Sample, per_contender
from demo.scenario import DAY_BEGINS_AT, HOURS, TARGET_UTILIZATION
from spillway.app.report import document as page

TIER_COLOUR: Final = {"fixed": page.BLUE, "elastic": page.ORANGE, "virtual": page.PURPLE, "unassigned": page.GREY}
CONTENDER_COLOUR: Final = {
    "plain": page.DARK,
    "flat": page.RED,
    "spillway": page.GREEN,
    "plain-drain": page.ORANGE,
    "spillway-moves": page.BLUE,
}
CONTENDER_DASH: Final = {
    "plain": "dot",
    "flat": "dash",
    "spillway": "solid",
    "plain-drain": "dashdot",
    "spillway-moves": "longdash",
}
_ASKED_FOR: Final = "asked for by the load"
_LOAD: Final = "load"
_AT_TARGET: Final = "requests for it at the target"
_FORECAST: Final = "forecast"
_FORECAST_DASH: Final = "dashdot"
_HEADROOM: Final = "headroom"
_HEADROOM_COLOUR: Final = "#a9dcc3"
_NOT_PLANNED_OPACITY: Final = 0.35

_PODS: Final = (
    "Pods by tier",
    (
        "The same load for all contenders, on the same scale. Pods on the most expensive nodes should be the first to "
        "go. Dotted: the replicas that the load asks for."
    ),
)
_CAPACITY: Final = (
    "Demand, forecast and capacity",
    (
        "Capacity is the CPU requests of the ready pods. Grey: the load. Dashed in black: the requests with which "
        "every pod would be at the target of its HPA."
    ),
)
_FORESEEN: Final = (
    " Purple: the forecast, which is the highest load that is to come within the window, so it rises before the load. "
    "Light green: room that Spillway keeps free on elastic nodes for the next replicas (headroom)."
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


def charts(scene: Scene) -> list[page.Chart]:
    """The charts of a finished run."""
    return [
        _demand_and_capacity(scene),
        page.Chart(*_PODS, _POD_LEGEND, tuple(_pods(scene))),
        page.Chart(*_NODES, _lines_legend(scene), (_nodes(scene),)),
        page.Chart(*_SKEW, _lines_legend(scene), (_skew(scene),)),
        page.Chart(*_VICTIMS, _VICTIM_LEGEND, (_victims(scene),)),
    ]


def _hours(samples: list[Sample]) -> list[float]:
    """Hours that go on counting past midnight, so that a line does not jump back."""
    return [sample.hour + (HOURS if sample.hour < DAY_BEGINS_AT else 0) for sample in samples]


def _samples(scene: Scene, contender: Contender) -> list[Sample]:
    return [sample for sample in scene.observer.samples[contender] if sample.at < scene.day.seconds]


def _pods(scene: Scene) -> list[str]:
    """A chart for each contender, all with the same scale."""
    drawn = {contender: _samples(scene, contender) for contender in scene.contenders}
    most = max((sample.total for samples in drawn.values() for sample in samples), default=1)
    return [page.titled(contender.value, _tiers(scene, samples, most)) for contender, samples in drawn.items()]


def _tiers(scene: Scene, samples: list[Sample], most: int) -> str:
    figure = go.Figure()
    for tier, colour in TIER_COLOUR.items():
        figure.add_scatter(
            x=_hours(samples),
            y=[sample.pods[tier] for sample in samples],
            name=tier,
            stackgroup="pods",
            mode="lines",
            line={"width": 0.5, "color": colour},
        )
    figure.add_scatter(
        x=_hours(samples),
        y=[scene.day.ideal_replicas(sample.hour) for sample in samples],
        name=_ASKED_FOR,
        mode="lines",
        line={"width": 1.5, "color": page.INK, "dash": "dot"},
    )
    figure.update_yaxes(title_text="pods", range=[0, most * 1.05])
    return _html(figure)


def _demand_and_capacity(scene: Scene) -> page.Chart:
    title, words = _CAPACITY
    legend = _CAPACITY_LEGEND + _lines_legend(scene)
    if _foreseeing(scene) is not None:
        words += _FORESEEN
        legend += page.stroke(page.PURPLE, _FORECAST_DASH, _FORECAST) + page.box(_HEADROOM_COLOUR, _HEADROOM)
    return page.Chart(title, words, legend, (_capacity(scene),))


def _foreseeing(scene: Scene) -> Contender | None:
    """The first contender with forecasts."""
    found = (one for one in scene.contenders if any(sample.forecast_cores for sample in _samples(scene, one)))
    return next(found, None)


def _capacity(scene: Scene) -> str:
    figure = go.Figure()
    foreseeing = _foreseeing(scene)
    samples = _samples(scene, scene.contenders[0])
    for name, factor, look in (
        (_LOAD, 1.0, {"fill": "tozeroy", "line": {"width": 0.5, "color": page.GREY}}),
        (_AT_TARGET, 100 / TARGET_UTILIZATION, {"line": {"width": 1.5, "color": page.INK, "dash": "dash"}}),
    ):
        needed = [sample.load_cores * factor for sample in samples]
        figure.add_scatter(x=_hours(samples), y=needed, name=name, mode="lines", **look)
    for contender in scene.contenders:
        samples = _samples(scene, contender)
        figure.add_scatter(x=_hours(samples), y=[sample.ready_cores for sample in samples], **_line(contender))
        if contender is foreseeing:
            _add_foresight(figure, samples)
    figure.update_yaxes(title_text="cores", rangemode="tozero")
    return _html(figure)


def _add_foresight(figure: go.Figure, samples: list[Sample]) -> None:
    """Headroom above the line that was drawn last, and the forecast."""
    figure.add_scatter(
        x=_hours(samples),
        y=[sample.ready_cores + sample.headroom_cores for sample in samples],
        name=_HEADROOM,
        mode="lines",
        line={"width": 0},
        fill="tonexty",
        fillcolor=_HEADROOM_COLOUR,
    )
    figure.add_scatter(
        x=_hours(samples),
        y=[sample.forecast_cores for sample in samples],
        name=_FORECAST,
        mode="lines",
        line={"width": 1.5, "color": page.PURPLE, "dash": _FORECAST_DASH},
    )


def _nodes(scene: Scene) -> str:
    figure = go.Figure()
    for contender in scene.contenders:
        samples = _samples(scene, contender)
        figure.add_scatter(
            x=_hours(samples), y=[sample.elastic_nodes for sample in samples], **_line(contender), line_shape="hv"
        )
    figure.update_yaxes(title_text="elastic nodes", rangemode="tozero")
    return _html(figure)


def _skew(scene: Scene) -> str:
    figure = go.Figure()
    for contender in scene.contenders:
        samples = _samples(scene, contender)
        figure.add_scatter(x=_hours(samples), y=[s.skew_max for s in samples], **_line(contender), line_shape="hv")
    figure.update_yaxes(title_text="zone skew (pods)", rangemode="tozero", dtick=1)
    return _html(figure, height=300)


def _victims(scene: Scene) -> str:
    figure = go.Figure()
    names = [contender.value for contender in scene.contenders]
    counts: dict[str, Counter[tuple[str, bool]]] = {name: Counter() for name in names}
    for contender in scene.contenders:
        for down in per_contender(scene.observer.tracker.finished, contender):
            # As in the table: Spillway is held to what it planned itself, the others to what its planner would have.
            held = scene.plans.verdict(down, scene.epoch).down if contender.operated else down
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
                    "opacity": 1.0 if planned else _NOT_PLANNED_OPACITY,
                    "pattern": {"shape": "" if planned else "/"},
                },
            )
    figure.update_layout(barmode="stack", xaxis_title="pods deleted by scale-downs", yaxis={"autorange": "reversed"})
    return _html(figure, height=120 + 60 * len(names), hours=False)


def _line(contender: Contender) -> dict[str, Any]:
    return {
        "name": contender.value,
        "mode": "lines",
        "line": {"color": CONTENDER_COLOUR[contender], "dash": CONTENDER_DASH[contender], "width": 2.2},
    }


def _hatched(colour: str, words: str) -> str:
    hatch = f'<path d="M2 12 12 0M14 12 24 0" stroke="{colour}" stroke-width="2"/>'
    return page.swatch(f'<rect width="26" height="12" fill="{colour}" opacity="{_NOT_PLANNED_OPACITY}"/>{hatch}', words)


def _lines_legend(scene: Scene) -> str:
    return "".join(
        page.stroke(CONTENDER_COLOUR[contender], CONTENDER_DASH[contender], contender.value)
        for contender in scene.contenders
    )


_TIER_LEGEND: Final = "".join(page.box(colour, tier) for tier, colour in TIER_COLOUR.items())
_CAPACITY_LEGEND: Final = page.box(page.GREY, _LOAD) + page.stroke(page.INK, "dash", _AT_TARGET)
_POD_LEGEND: Final = _TIER_LEGEND + page.stroke(page.INK, "dot", _ASKED_FOR)
_VICTIM_LEGEND: Final = _TIER_LEGEND + _hatched(TIER_COLOUR["unassigned"], "hatched: not as planned")


def _html(figure: go.Figure, *, height: int = 320, hours: bool = True) -> str:
    """The chart as HTML; with `hours` its x axis is the day."""
    if hours:
        marks = [DAY_BEGINS_AT + 4 * step for step in range(7)]
        figure.update_xaxes(
            title_text="hour of the day",
            tickvals=marks,
            ticktext=[f"{int(mark % HOURS):02d}:00" for mark in marks],
            range=[DAY_BEGINS_AT, DAY_BEGINS_AT + HOURS],
        )
    return page.drawn(figure, height=height, closest=not hours)
