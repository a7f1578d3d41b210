"""The dashboards of the chart: what they name exists, and their form is one that Grafana takes."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.support.monitoring import (
    EXPORTED_BY,
    TARGET_LABELS,
    dashboard_queries,
    dashboards,
    known_metrics,
    named_metrics,
    panels,
    unknown_names,
)

DASHBOARDS: Final = dashboards()
UIDS: Final = ["spillway-fleet", "spillway-operator", "spillway-pools"]
"""Links and bookmarks hold these."""
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS: Final = 24
OBJECTS: Final = {"policy", "pool", "balance", "namespace", "workload", "kind", "name", "configuration"}
"""Labels with the names of objects, which may exist in several clusters."""
E2E: Final = Path(__file__).resolve().parents[1] / "e2e"
PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reference" / "dashboards.md"


def test_there_are_three_with_stable_identities() -> None:
    assert [DASHBOARDS[name]["uid"] for name in DASHBOARDS] == list(DASHBOARDS) == UIDS


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_data_source_is_a_variable_everywhere(name: str) -> None:
    first, *others = DASHBOARDS[name]["templating"]["list"]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    for one in (
        *others,
        *panels(DASHBOARDS[name]),
        *(target for panel in panels(DASHBOARDS[name]) for target in panel["targets"]),
    ):
        assert one["datasource"] == SOURCE


@pytest.mark.parametrize("name", DASHBOARDS)
def test_queries_name_only_metrics_labels_and_variables_that_exist(name: str) -> None:
    known = known_metrics()
    variables = {one["name"] for one in DASHBOARDS[name]["templating"]["list"]}
    for one in DASHBOARDS[name]["templating"]["list"][1:]:
        [(metric, label)] = re.findall(r"label_values\((\w+)(?:\{[^}]*\})?, (\w+)\)", one["query"]["query"])
        assert label in known[metric] | TARGET_LABELS
    for panel in panels(DASHBOARDS[name]):
        for target in panel["targets"]:
            expression = target["expr"]
            assert named_metrics(expression), panel["title"]
            assert unknown_names(expression, known, TARGET_LABELS) == [], expression
            assert set(re.findall(r"\$(\w+)", expression)) <= variables | {"__range", "__rate_interval"}
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
            assert shown <= kept, target


@pytest.mark.parametrize("name", DASHBOARDS)
def test_clusters_in_one_prometheus_are_kept_apart(name: str) -> None:
    _, cluster, *others = DASHBOARDS[name]["templating"]["list"]
    assert (cluster["name"], cluster["includeAll"], cluster["allValue"]) == ("cluster", True, ".*")
    queries = [target["expr"] for panel in panels(DASHBOARDS[name]) for target in panel["targets"]]
    for expression in (*(one["query"]["query"] for one in others), *queries):
        assert re.findall(r"\bspillway_\w+(?!\w|\{cluster=~\"\$cluster\")", expression) == [], expression
    for expression in queries:
        for aggregation, labels in re.findall(r"\b(max|min|sum|count)\b(?: by \(([^)]*)\))?", expression):
            kept = {label.strip() for label in labels.split(",")}
            if aggregation in {"max", "min"} or kept & OBJECTS:
                assert "cluster" in kept, expression


@pytest.mark.parametrize("metric", EXPORTED_BY)
def test_an_end_to_end_test_expects_what_no_other_exports(metric: str) -> None:
    assert any(metric in named_metrics(query) for query in dashboard_queries())
    expected = re.findall(r"expect_samples\(([^)]*)\)", (E2E / f"{EXPORTED_BY[metric]}.py").read_text())
    assert any(f'"{metric}"' in names for names in expected)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_a_place_of_their_own(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    every = DASHBOARDS[name]["panels"]
    for panel in every:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= COLUMNS
        taken |= cells
    assert len({panel["id"] for panel in every}) == len(every)
    assert len({panel["title"] for panel in every}) == len(every)
    for panel in panels(DASHBOARDS[name]):
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_the_page_describes_them() -> None:
    text = PAGE.read_text()
    rows = re.findall(r"^\| `(spillway-\w+)` \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert {name: title for name, title, _ in rows} == {name: one["title"] for name, one in DASHBOARDS.items()}
    for name, _, sections in rows:
        assert sections.split("; ") == [one["title"] for one in DASHBOARDS[name]["panels"] if one["type"] == "row"]
