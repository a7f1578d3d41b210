"""The rule for prometheus-adapter in the documentation, asked of a real Prometheus as the adapter asks it."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
import yaml

from harness.chart import PROJECT
from harness.prometheus import PushedPrometheus, prometheus_running
from spillway.domain.scaling.autoscalers import METRIC
from spillway.telemetry.scaling import RECOMMENDED

PAGE = (PROJECT / "docs/how-to/scaling.md").read_text()
NAME = RECOMMENDED.name
BRIDGED_SECONDS = 900.0
STALE = np.array([0x7FF0000000000002], dtype=np.uint64).view(np.float64)
"""What Prometheus writes when a series has ended."""


def _blocks(section: str) -> Iterator[Any]:
    """The YAML of a section of the page."""
    text = PAGE.partition(f"\n### {section}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    yield from (yaml.safe_load(block) for block in re.findall(r"```(?:yaml|text)\n(.*?)```", text, re.DOTALL))


@pytest.fixture(scope="module")
def rule() -> Mapping[str, Any]:
    [values] = _blocks("prometheus-adapter")
    [rule] = values["rules"]["external"]
    found: Mapping[str, Any] = rule
    return found


@pytest.fixture(scope="module")
def metric() -> Mapping[str, Any]:
    """The metric of the HPA in the page."""
    [hpa] = _blocks("Your own HPA")
    [found] = [one["external"]["metric"] for one in hpa["metrics"] if one["type"] == "External"]
    external: Mapping[str, Any] = found
    return external


@pytest.fixture(scope="module")
def prometheus() -> Iterator[PushedPrometheus]:
    with prometheus_running() as server:
        yield server


def _query(rule: Mapping[str, Any], metric: Mapping[str, Any], namespace: str) -> str:
    """The query as the adapter renders it (pkg/naming/metrics_query.go, BuildExternal)."""
    labels = {**metric["selector"]["matchLabels"], "namespace": namespace}
    matchers = ",".join(f'{name}="{value}"' for name, value in labels.items())
    name = re.findall(r'__name__="(\w+)"', rule["seriesQuery"])[0]
    found: str = rule["metricsQuery"].replace("<<.Series>>", name).replace("<<.LabelMatchers>>", matchers)
    assert "<<" not in found
    return found


def _get(prometheus: PushedPrometheus, path: str, **params: Any) -> Any:
    with urllib.request.urlopen(f"{prometheus.url}/api/v1/{path}?{urlencode(params)}", timeout=10) as answer:
        return json.loads(answer.read())["data"]


def _numbers(prometheus: PushedPrometheus, expression: str, at: float) -> list[float]:
    return [float(one["value"][1]) for one in _get(prometheus, "query", query=expression, time=at)["result"]]


def _led(prometheus: PushedPrometheus, workload: str, *, by: str, since: float, until: float, replicas: int) -> None:
    """What a leader exported from one time to another, every 15 seconds; then its series ends."""
    labels = {"namespace": "shop", "kind": "Deployment", "workload": workload, "pod": by, "job": "spillway"}
    times = np.append(np.arange(since, until, 15.0), until)
    values = np.append(np.full(times.size - 1, float(replicas)), STALE)
    prometheus.push([({"__name__": NAME, **labels}, times, values)])


def test_the_rule_serves_the_metric_of_the_page_under_its_name(
    rule: Mapping[str, Any], metric: Mapping[str, Any], prometheus: PushedPrometheus
) -> None:
    now = time.time()
    _led(prometheus, "cart", by="spillway-0", since=now - 120, until=now, replicas=7)
    assert rule["name"]["as"] == metric["name"] == METRIC
    [series] = _get(prometheus, "series", **{"match[]": rule["seriesQuery"], "start": now - 300})
    overrides = rule["resources"]["overrides"]
    assert {one["resource"] for one in overrides.values()} == {"namespace"}
    assert {*overrides, *metric["selector"]["matchLabels"]} <= series.keys()
    assert _numbers(prometheus, _query(rule, metric, "shop"), now - 1) == [7.0]
    assert _numbers(prometheus, _query(rule, metric, "other"), now - 1) == []


def test_a_change_of_the_leader_leaves_one_number_and_no_gap(
    rule: Mapping[str, Any], metric: Mapping[str, Any], prometheus: PushedPrometheus
) -> None:
    began = time.time() - 7200
    left, came = began + 600, began + 660
    selector = {**metric, "selector": {"matchLabels": {"kind": "Deployment", "workload": "queue"}}}
    expression = _query(rule, selector, "shop")
    _led(prometheus, "queue", by="spillway-0", since=began, until=left, replicas=12)
    _led(prometheus, "queue", by="spillway-1", since=came, until=began + 3600, replicas=9)
    plain = f'{NAME}{{workload="queue"}}'
    assert _numbers(prometheus, plain, left + 30) == [], "without the rule there would be a gap"
    for at in (left - 1, left + 1, left + 30, came + 1, left + BRIDGED_SECONDS - 16):
        assert _numbers(prometheus, expression, at) == [12.0], at - left
    assert _numbers(prometheus, expression, left + BRIDGED_SECONDS) == [9.0]
