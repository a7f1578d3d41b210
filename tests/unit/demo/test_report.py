"""The demo's page: one file, the cost first, and in its charts and its tables the figures that were measured."""

import json
import re
from typing import Any

import pytest

from demo.charts import charts as charts_of
from demo.contenders import Contender
from demo.costs import cost
from demo.report import page
from demo.scenario import DAY_BEGINS_AT
from tests.unit.demo.demo_cases import AT, CONTENDERS, FORECAST, HEADROOM, NODES, PODS, SKEWS, made_up_scene

pytestmark = pytest.mark.xdist_group("demo-report")

FIGURES: dict[str, dict[str, Any]] = {
    "plain": {
        "cost": cost(hours=24, elastic_node_hours=200, virtual_pod_hours=100),
        "victims": 417,
        "planned_ratio": 0.4321,
        "elastic_node_hours": 123.45,
        "evictions": 3,
    },
    "spillway": {
        "cost": cost(hours=24, elastic_node_hours=150, virtual_pod_hours=200),
        "victims": 418,
        "planned_ratio": 1.0,
        "elastic_node_hours": 67.0,
        "evictions": None,
        "zone_skew_max": 2,
    },
}
ABOUT: dict[str, Any] = {
    "workloads": 4,
    "seconds_per_hour": 10.0,
    "seed": 3,
    "kubernetes": "v1.37.2 <x>",
    "machine": {"cpus": 2},
}


@pytest.fixture(scope="module")
def text() -> str:
    return page(made_up_scene(), FIGURES, ABOUT)


@pytest.fixture(scope="module")
def charts(text: str) -> list[list[dict[str, Any]]]:
    """The series of each chart, as plotly is given them."""
    return [json.loads(found)["data"] for found in re.findall(r'<script type="application/json">(.*?)</script>', text)]


def test_the_page_needs_no_network_and_says_where_it_was_measured(text: str) -> None:
    assert text.startswith("<!doctype html>")
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", text)
    assert "4 workloads with an HPA each, 10.0 s to the hour, seed 3, Kubernetes v1.37.2 &lt;x&gt;" in text


def rows(text: str) -> dict[str, list[tuple[str, str]]]:
    """The rows of both tables: of each cell its class and its words."""
    return {
        cells[0][1]: cells[1:]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", text)
        if (cells := re.findall(r'<t[dh](?: class="(.*?)")?>(.*?)</t[dh]>', row)) and cells[0][1]
    }


def test_the_cost_and_the_saving_come_before_everything_else(text: str) -> None:
    body = text[text.index("<body>") :]
    told = re.findall(r'<(?:p class="headline|h2|tr|div class="charts)[^>]*>', body)
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body[: body.index('<div class="charts"')]))

    assert told[0] == '<p class="headline gain">'
    assert "Spillway saved 15.10 EUR (11.0 %): the day cost 121.64 EUR, and 136.74 EUR with plain Kubernetes." in words
    order = [words.index(one) for one in ("cost of the day", "saving against plain", "virtual pods (", "pods deleted")]
    assert order == sorted(order)


def test_the_price_table_stands_beside_the_costs(text: str) -> None:
    found = rows(text)

    assert found["6 fixed nodes (12 CPUs), all day"] == [
        ("", "0.360 a node-hour"),
        ("", "51.84"),
        ("", "51.84"),
    ]
    assert found["elastic nodes (8 CPUs)"] == [("", "0.400 a node-hour"), ("", "80.00"), ("gain", "60.00")]
    assert found["virtual pods (0.95 CPU, 256 MiB)"] == [("", "0.049 a pod-hour"), ("", "4.90"), ("loss", "9.80")]
    assert found["cost of the day"] == [("", ""), ("", "136.74"), ("gain", "121.64")]


def test_the_table_has_the_figures_in_the_contenders_columns(text: str) -> None:
    found = {name: [words for _, words in cells] for name, cells in rows(text).items()}

    assert re.search(r"<tr><th></th><th>plain</th><th>spillway</th></tr>", text)
    assert found["pods deleted by scale-downs"] == ["417", "418"]
    assert found["of these, ready ones that the plan wanted gone"] == ["43.2 %", "100.0 %"]
    assert found["elastic node-hours"] == ["123.5 h", "67 h"]
    assert found["evictions"] == ["3", "-"]


def test_gains_and_losses_have_colours_of_their_own(text: str) -> None:
    colours = re.findall(r"\.(?:gain|loss) \{ color: (#\w+)", text)

    assert len(set(colours)) == len(colours) == 2
    assert not re.search(r"\.spillway", text[: text.index("<script")]), "a contender is no gain in itself"


def test_legends_are_outside_of_the_charts(charts: list[list[dict[str, Any]]], text: str) -> None:
    layouts = re.findall(r'"showlegend":(true|false)', text[text.rindex("</style>") :])
    assert layouts.count("false") >= len(charts)
    assert "true" not in layouts
    for chart in charts_of(made_up_scene()):
        assert chart.legend.count("<li>") >= len(CONTENDERS)
        for one in chart.drawn:
            assert chart.legend not in one


def test_pods_are_drawn_by_contender_and_tier_until_the_day_ends(charts: list[list[dict[str, Any]]]) -> None:
    begins = [DAY_BEGINS_AT + at / 10 for at in AT]
    for chart, contender in zip(charts[1:], CONTENDERS, strict=False):
        drawn = {series["name"]: series for series in chart}
        for index, tier in enumerate(("fixed", "elastic", "virtual", "unassigned")):
            assert drawn[tier]["y"] == [moment[index] for moment in PODS[contender]], "the moment after is left out"
            assert drawn[tier]["x"] == pytest.approx(begins), "hours go on counting past midnight"
        day = made_up_scene().day
        assert drawn["asked for by the load"]["y"] == [day.ideal_replicas(day.hour_at(at)) for at in AT]


def test_capacity_is_drawn_beside_the_load_and_the_forecast(charts: list[list[dict[str, Any]]]) -> None:
    drawn = {series["name"]: series["y"] for series in charts[0]}
    assert drawn == {
        **{one.value: [nodes + 0.5 for nodes in NODES[one]] for one in CONTENDERS},
        "load": [3.0] * len(AT),
        "requests for it at the target": [5.0] * len(AT),
        "forecast": FORECAST,
        "headroom": [nodes + 0.5 + kept for nodes, kept in zip(NODES[Contender.SPILLWAY], HEADROOM, strict=True)],
    }


def test_without_foresight_no_forecast_is_drawn_nor_told() -> None:
    scene = made_up_scene(foresees=False)
    first = charts_of(scene)[0]
    assert not re.search("forecast|headroom", first.legend + "".join(first.drawn))
    assert "HPAs go by CPU alone" not in page(scene, FIGURES, ABOUT)


def test_the_page_says_by_what_the_autoscalers_go() -> None:
    foresight = {"startup": "30m", "window": "60m", "history": "14d", "utilization_percent": 85}
    told = page(made_up_scene(), FIGURES, {**ABOUT, "foresight": foresight})
    assert (
        "highest demand between 30m and 60m ahead, from 14d of demand in Prometheus, at a CPU utilization of 85 %"
        in told
    )


def test_nodes_and_skew_have_a_line_for_each_contender(charts: list[list[dict[str, Any]]]) -> None:
    *_, nodes, skew, _ = charts
    assert {series["name"]: series["y"] for series in nodes} == {one.value: NODES[one] for one in CONTENDERS}
    assert {series["name"]: series["y"] for series in skew} == {one.value: SKEWS[one] for one in CONTENDERS}


def test_victims_are_counted_by_tier_and_by_whether_they_were_planned(charts: list[list[dict[str, Any]]]) -> None:
    *_, victims = charts
    names = [one.value for one in CONTENDERS]
    assert names == [Contender.PLAIN, Contender.SPILLWAY]
    assert {series["name"]: (series["y"], series["x"]) for series in victims} == {
        "fixed, as planned": (names, [1, 0]),
        "virtual, as planned": (names, [0, 2]),
        "elastic, not planned": (names, [1, 0]),
    }
