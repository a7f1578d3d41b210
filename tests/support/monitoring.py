"""What a PromQL expression of a rule or a dashboard names, and what there is to name."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from spillway.reference import metrics

DASHBOARDS: Final = Path(__file__).resolve().parents[2] / "charts/spillway/files/monitoring/dashboards"
OF_THE_API_SERVER: Final = {
    "apiserver_admission_webhook_fail_open_count": {"name", "type"},
    "apiserver_admission_webhook_admission_duration_seconds": {"name", "type", "operation", "rejected", "le"},
}
"""Metrics of kube-apiserver (k8s.io/apiserver, pkg/admission/metrics), with their labels."""


def known_metrics() -> dict[str, set[str]]:
    """Every metric that a rule or a dashboard may name, with its labels."""
    ours = {one.name: {*one.labels, "le"} for found in metrics().values() for one in found}
    return ours | OF_THE_API_SERVER


def named_metrics(expression: str) -> dict[str, str]:
    """The metrics of an expression, without the suffixes of histograms, with their matchers."""
    found = re.findall(r"\b((?:spillway|apiserver|kube)_\w+)(?:\{([^}]*)\})?", expression)
    return {re.sub(r"_(?:bucket|sum)$|(?<=_seconds)_count$", "", name): matchers for name, matchers in found}


def labels_of_matchers(matchers: str) -> set[str]:
    """The labels that the matchers of a selector name."""
    return set(re.findall(r"(\w+)(?:=~|!=|!~|=)", matchers))


def unknown_names(expression: str, available: Mapping[str, set[str]], added: set[str]) -> list[str]:
    """The metrics and labels of an expression that do not exist; `added` are labels beside those of the metrics."""
    named = named_metrics(expression)
    missing = sorted(set(named) - set(available))
    labels = set().union(*(available.get(metric, set()) for metric in named)) | added
    for group in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
        missing += sorted({label.strip() for label in group.split(",")} - labels)
    for metric, matchers in named.items():
        missing += sorted(labels_of_matchers(matchers) - available.get(metric, set()))
    return missing


def dashboards() -> dict[str, dict[str, Any]]:
    """The dashboards of the chart, by the names of their files."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its panels with queries."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def dashboard_queries() -> Iterator[str]:
    """Each query of each dashboard, with everything selected."""
    for dashboard in dashboards().values():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                expression: str = target["expr"]
                for variable, value in {
                    "__rate_interval": "30s",
                    "__range": "5m",
                    "policy": ".*",
                    "pool": ".*",
                }.items():
                    expression = expression.replace(f"${variable}", value)
                yield expression
