"""The alerts of the chart: what they name exists, and each has a runbook. `promtool` tests when they fire."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from spillway.api.condition_reasons import ALL, CONDITIONS
from spillway.reference import metrics

PROJECT: Final = Path(__file__).resolve().parents[2]
FILE: Final = PROJECT / "charts" / "spillway" / "files" / "monitoring" / "alerts.yaml"
RUNBOOKS: Final = PROJECT / "docs" / "runbooks"
PAGE: Final = PROJECT / "docs" / "reference" / "alerts.md"
ALERTS: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]
}
OF_THE_API_SERVER: Final = {
    "apiserver_admission_webhook_fail_open_count": {"name", "type"},
    "apiserver_admission_webhook_admission_duration_seconds": {"name", "type", "operation", "rejected", "le"},
}
"""Metrics of kube-apiserver (k8s.io/apiserver, pkg/admission/metrics), with their labels."""
TARGET_LABELS: Final = {"cluster", "job", "pod", "instance"}
"""Labels that Prometheus adds."""
SECTIONS: Final = ["## Symptom", "## Meaning", "## Check", "## Remedy"]


def _known() -> dict[str, set[str]]:
    """Every metric that a rule may name, with its labels."""
    ours = {one.name: {*one.labels, "le"} for found in metrics().values() for one in found}
    return ours | OF_THE_API_SERVER


def _named(expression: str) -> dict[str, str]:
    """The metrics of an expression, without the suffixes of histograms, with their matchers."""
    found = re.findall(r"\b((?:spillway|apiserver|kube)_\w+)(?:\{([^}]*)\})?", expression)
    return {re.sub(r"_(?:bucket|sum)$|(?<=_seconds)_count$", "", name): matchers for name, matchers in found}


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
    expression, known = ALERTS[name]["expr"], _known()
    named = _named(expression)
    assert named, "a metric"
    assert set(named) <= set(known)
    available = set().union(*(known[metric] for metric in named)) | TARGET_LABELS
    made = set(re.findall(r'"(\w+)", "\$1"', expression))
    for labels in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
        assert {label.strip() for label in labels.split(",")} <= available | made, labels
    for metric, matchers in named.items():
        assert set(re.findall(r"(\w+)(?:=~|!=|=)", matchers)) <= known[metric], matchers
    for kind, condition in re.findall(r'spillway_condition\{kind="(\w+)",type="(\w+)"\}', expression):
        [found] = [one for one in CONDITIONS if one.type == condition]
        assert found.kind in (kind, ALL), f"{condition} of {kind}"


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
