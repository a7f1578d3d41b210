"""The demo's page: one file, and in its charts and its table the figures that were measured."""

import json
import re
from typing import Any

import pytest

from demo.contenders import Contender
from demo.report import page
from demo.scenario import DAY_BEGINS_AT
from tests.unit.demo.demo_cases import AT, CONTENDERS, NODES, PODS, SKEWS, made_up_scene

FIGURES: dict[str, dict[str, Any]] = {
    "plain": {"victims": 417, "planned_ratio": 0.4321, "elastic_node_hours": 123.45, "evictions": 3},
    "spillway": {"victims": 418, "planned_ratio": 1.0, "elastic_node_hours": 67.0, "evictions": None},
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
    decoder = json.JSONDecoder()
    return [
        decoder.raw_decode(text, found.end())[0] for found in re.finditer(r'Plotly\.newPlot\(\s*"[0-9a-f-]+",\s*', text)
    ]


def test_the_page_needs_no_network_and_says_where_it_was_measured(text: str) -> None:
    assert text.startswith("<!doctype html>")
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", text)
    assert "4 workloads with an HPA each, 10.0 s to the hour, seed 3, Kubernetes v1.37.2 &lt;x&gt;" in text


def test_the_table_has_the_figures_in_the_contenders_columns(text: str) -> None:
    rows = {
        cells[0]: cells[1:]
        for row in re.findall(r"<tr>(.*?)</tr>", text)
        if (cells := re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row))
    }

    assert rows[""] == ["plain", "spillway"]
    assert rows["pods deleted by scale-downs"] == ["417", "418"]
    assert rows["of these, ready ones that the plan wanted gone"] == ["43.2 %", "100.0 %"]
    assert rows["elastic node-hours"] == ["123.5 h", "67 h"]
    assert rows["evictions"] == ["3", "-"]


def test_pods_are_drawn_by_contender_and_tier_until_the_day_ends(charts: list[list[dict[str, Any]]]) -> None:
    pods, *_ = charts
    begins = [DAY_BEGINS_AT + at / 10 for at in AT]
    for column, contender in enumerate(CONTENDERS):
        axis = "x" if column == 0 else f"x{column + 1}"
        drawn = {series["name"]: series for series in pods if series["xaxis"] == axis}
        for index, tier in enumerate(("fixed", "elastic", "virtual", "unassigned")):
            assert drawn[tier]["y"] == [moment[index] for moment in PODS[contender]], "the moment after is left out"
            assert drawn[tier]["x"] == pytest.approx(begins), "hours go on counting past midnight"
        day = made_up_scene().day
        assert drawn["asked for by the load"]["y"] == [day.ideal_replicas(day.hour_at(at)) for at in AT]


def test_nodes_and_skew_have_a_line_for_each_contender(charts: list[list[dict[str, Any]]]) -> None:
    _, nodes, skew, _ = charts
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
