"""The alerts of the chart: what they name exists, and each has a runbook. `promtool` tests when they fire."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from spillway.api.condition_reasons import ALL, CONDITIONS
from tests.support.monitoring import TARGET_LABELS, known_metrics, named_metrics, unknown_names

PROJECT: Final = Path(__file__).resolve().parents[2]
FILE: Final = PROJECT / "charts" / "spillway" / "files" / "monitoring" / "alerts.yaml"
RUNBOOKS: Final = PROJECT / "docs" / "runbooks"
PAGE: Final = PROJECT / "docs" / "reference" / "alerts.md"
ALERTS: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]
}
SECTIONS: Final = ["## Symptom", "## Meaning", "## Check", "## Remedy"]


def test_no_name_comes_twice() -> None:
    assert len(ALERTS) == FILE.read_text().count("- alert: ")
    assert len(ALERTS) >= 20


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_bad_it_is_and_what_happens(name: str) -> None:
    alert = ALERTS[name]
    assert re.fullmatch(r"Spillway[A-Z][A-Za-z]+", name)
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    for text in (alert["annotations"]["summary"], alert["annotations"]["description"]):
        assert text.endswith("."), text
    assert re.fullmatch(r"\d+[mh]", alert.get("for", "1m"))


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_names_only_metrics_labels_and_conditions_that_exist(name: str) -> None:
    expression = ALERTS[name]["expr"]
    assert named_metrics(expression), "a metric"
    made = set(re.findall(r'"(\w+)", "\$1"', expression))
    assert unknown_names(expression, known_metrics(), TARGET_LABELS | made) == []
    for kind, condition in re.findall(r'spillway_condition\{kind="(\w+)",type="(\w+)"\}', expression):
        [found] = [one for one in CONDITIONS if one.type == condition]
        assert found.kind in (kind, ALL), f"{condition} of {kind}"


@pytest.mark.parametrize("file", [FILE, FILE.with_name("rules.yaml")], ids=lambda file: file.name)
def test_clusters_in_one_prometheus_are_kept_apart(file: Path) -> None:
    groups = re.findall(r"\b(?:by|on) \(([^)]*)\)", file.read_text())
    assert groups
    assert [labels for labels in groups if labels.split(", ")[0] != "cluster"] == []


@pytest.mark.parametrize("name", ALERTS)
def test_a_text_uses_only_labels_that_the_alert_has(name: str) -> None:
    alert = ALERTS[name]
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
    kept = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", alert["expr"]) for label in labels.split(",")}
    assert used <= kept | set(re.findall(r'"(\w+)", "\$1"', alert["expr"]))


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_runbook(name: str) -> None:
    lines = (RUNBOOKS / f"{name}.md").read_text().splitlines()
    assert lines[0] == f"# {name}"
    assert lines[2].startswith(f"Severity: {ALERTS[name]['labels']['severity']}. ")
    assert [line for line in lines if line.startswith("## ")] == SECTIONS


def test_no_runbook_is_about_something_else() -> None:
    assert {path.stem for path in RUNBOOKS.iterdir()} == set(ALERTS)


def test_the_page_lists_the_alerts() -> None:
    text = PAGE.read_text()
    rows = re.findall(r"^\| \[(\w+)\]\(\.\./runbooks/(\w+)\.md\) \| (\w+) \| ([\w ]+) \| (.+) \|$", text, re.MULTILINE)
    assert [row[:4] for row in rows] == [
        (name, name, alert["labels"]["severity"], alert.get("for", "at once")) for name, alert in ALERTS.items()
    ]
    for name, *_, summary in rows:
        written = ALERTS[name]["annotations"]["summary"]
        assert summary == written or "{{" in written, name
    assert f"has {len(ALERTS)} alerts" in text
