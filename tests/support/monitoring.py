"""What a PromQL expression of a rule or a dashboard names, and what there is to name."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from harness import Installation
from spillway.reference import metrics

DASHBOARDS: Final = Path(__file__).resolve().parents[2] / "charts/spillway/files/monitoring/dashboards"
OF_THE_API_SERVER: Final = {
    "apiserver_admission_webhook_fail_open_count": {"name", "type"},
    "apiserver_admission_webhook_admission_duration_seconds": {"name", "type", "operation", "rejected", "le"},
}
"""Metrics of kube-apiserver (k8s.io/apiserver, pkg/admission/metrics), with their labels."""

TARGET_LABELS: Final = {"cluster", "job", "pod", "instance"}
"""Labels that Prometheus adds."""

EXPORTED_BY: Final[Mapping[str, str]] = {
    "spillway_balance_hot_nodes": "test_rebalance",
    "spillway_balance_moves_total": "test_rebalance",
    "spillway_balance_node_imbalance_ratio": "test_rebalance",
    "spillway_balance_zone_load_ratio": "test_zones",
    "spillway_bring_backs_total": "test_bring_back",
    "spillway_consolidation_moves_total": "test_consolidation",
    "spillway_consolidation_nodes_emptied_total": "test_consolidation",
    "spillway_consolidation_nodes_emptying": "test_consolidation",
    "spillway_failover_pods_total": "test_failover",
    "spillway_forecast_demand_replicas": "test_forecasts",
    "spillway_forecast_present_replicas": "test_forecasts",
    "spillway_forecast_refreshes_total": "test_forecasts",
    "spillway_forecast_timestamp_seconds": "test_forecasts",
    "spillway_headroom_pods": "test_headroom",
    "spillway_headroom_ready_pods": "test_headroom",
    "spillway_pool_failures_total": "test_failover",
    "spillway_pool_stock_outs_total": "test_failover",
    "spillway_scaling_recommended_replicas": "test_forecasts",
    "spillway_spills_total": "test_spill",
}
"""Metrics of dashboards, by the module of the end-to-end tests that uses their feature and expects samples of them."""


def expect_samples(installation: Installation, *names: str) -> None:
    """Each of these metrics gets a sample, on some replica, that has exactly the labels of the reference.

    Raises:
        ClusterError: one of them had none in time.
    """
    assert set(names) <= EXPORTED_BY.keys()
    known = known_metrics()
    for name in names:
        installation.cluster.wait_until(partial(_is_exported, installation, name, known[name]), f"samples of {name}")


def _is_exported(installation: Installation, name: str, labels: set[str]) -> bool:
    samples = [one for index in installation.running for one in installation.metrics(index).select(name)]
    return bool(samples) and all(one.labels.keys() == labels - {"le"} for one in samples)


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
        missing += sorted(labels_of_matchers(matchers) - available.get(metric, set()) - added)
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
                    "cluster": ".*",
                    "policy": ".*",
                    "pool": ".*",
                }.items():
                    expression = expression.replace(f"${variable}", value)
                yield expression
