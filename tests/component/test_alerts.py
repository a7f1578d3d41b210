"""The alerts of the chart in `promtool`: each fires when it should, with the text that it should have, and else not."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from harness.chart import CHART
from localcluster import binaries, build

MONITORING: Final = CHART / "files" / "monitoring"
ALERTS: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule
    for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
}
TEMPLATE: Final = re.compile(r"\{\{.*?\}\}")

PODS = 'name="pods.spillway.dev"'
SCALE_DOWNS = 'name="replicasets.spillway.dev"'
CALLS = "apiserver_admission_webhook_admission_duration_seconds"
FAILED_CALLS = "apiserver_admission_webhook_fail_open_count"
DAY_AND_NIGHT = "12x150 5x150 12x100"
"""Pods on elastic nodes, every five minutes."""


def condition(kind: str, name: str, condition_type: str) -> str:
    return f'spillway_condition{{kind="{kind}",name="{name}",type="{condition_type}"}}'


def elastic(what: str) -> str:
    return f'spillway_policy_{what}{{policy="online",tier="elastic",instance="a"}}'


@dataclass(frozen=True)
class Scenario:
    """Samples in the notation of promtool, and when the alert fires."""

    series: Mapping[str, str]
    silent: tuple[str, ...] = ()
    fires: str = ""
    """Empty: never."""
    labels: Mapping[str, str] = field(default_factory=dict)
    values: tuple[str, ...] = ()
    """What the templates of the summary and of the description become, in their order."""
    every: str = "1m"


def of_condition(kind: str, condition_type: str, label: str, *, bad: int, fires: str, silent: str) -> Scenario:
    """A condition that is well for five minutes and then not."""
    return Scenario(
        {condition(kind, "x", condition_type): f"{1 - bad}x5 {bad}x60"},
        silent=("3m", silent),
        fires=fires,
        labels={label: "x"},
        values=("x",),
    )


SCENARIOS: Final[dict[str, list[Scenario]]] = {
    "SpillwayNoLeader": [
        Scenario(
            {
                'spillway_leader{job="spillway",instance="a"}': "1x4 0x20",
                'spillway_leader{job="spillway",instance="b"}': "0x24",
            },
            silent=("4m", "7m"),
            fires="9m",
            labels={"job": "spillway"},
        ),
        Scenario({'spillway_leader{job="spillway",instance="a"}': "1x4 stale _x20"}, silent=("4m", "7m"), fires="9m"),
        # The leader changes.
        Scenario(
            {
                'spillway_leader{job="spillway",instance="a"}': "1x4 0x20",
                'spillway_leader{job="spillway",instance="b"}': "0x6 1x18",
            },
            silent=("4m", "7m", "9m", "12m"),
        ),
    ],
    "SpillwaySeveralLeaders": [
        Scenario(
            {
                'spillway_leader{job="spillway",instance="a"}': "1x20",
                'spillway_leader{job="spillway",instance="b"}': "0x2 1x18",
            },
            silent=("2m", "4m"),
            fires="6m",
            labels={"job": "spillway"},
            values=("2", "2"),
        ),
        Scenario(
            {
                'spillway_leader{job="spillway",cluster="a"}': "1x20",
                'spillway_leader{job="spillway",cluster="b"}': "1x20",
            },
            silent=("6m",),
        ),
    ],
    "SpillwayInformerStale": [
        Scenario(
            {'spillway_informer_silence_seconds{instance="a",resource="pods"}': "5x5 61+60x20"},
            silent=("5m", "7m"),
            fires="9m",
            labels={"instance": "a", "resource": "pods"},
            values=("a", "pods", "4m 1s"),
        ),
        Scenario(
            {'spillway_informer_silence_seconds{pod="spillway-0",instance="a",resource="nodes"}': "3600x20"},
            silent=("1m",),
            fires="3m",
            labels={"pod": "spillway-0", "instance": "a", "resource": "nodes"},
            values=("spillway-0", "nodes", "1h 0m 0s"),
        ),
    ],
    "SpillwayEventLoopLate": [
        Scenario(
            {
                'spillway_event_loop_late_seconds_bucket{instance="a",le="0.25"}': "0+10x40",
                'spillway_event_loop_late_seconds_bucket{instance="a",le="0.5"}': "0+20x40",
                'spillway_event_loop_late_seconds_bucket{instance="a",le="+Inf"}': "0+20x40",
            },
            silent=("10m",),
            fires="20m",
            labels={"instance": "a"},
            values=("a", "495ms"),
        ),
        Scenario(
            {
                'spillway_event_loop_late_seconds_bucket{instance="a",le="0.01"}': "0+995x40",
                'spillway_event_loop_late_seconds_bucket{instance="a",le="+Inf"}': "0+1000x40",
            },
            silent=("20m", "40m"),
        ),
    ],
    "SpillwayWritesFailing": [
        Scenario(
            {
                'spillway_writes_total{verb="patch",resource="pods",result="error"}': "0+2x40",
                'spillway_writes_total{verb="patch",resource="pods",result="ok"}': "0+8x40",
            },
            silent=("10m",),
            fires="20m",
            labels={"verb": "patch", "resource": "pods"},
            values=("20%", "patch", "pods"),
        ),
        Scenario(
            {
                'spillway_writes_total{verb="patch",resource="pods",result="error"}': "0+1x40",
                'spillway_writes_total{verb="patch",resource="pods",result="ok"}': "0+99x40",
            },
            silent=("20m", "40m"),
        ),
    ],
    "SpillwayReconcileFailing": [
        Scenario(
            {'spillway_queue_handled_total{queue="taints",result="retry"}': "0+1x40"},
            silent=("3m",),
            fires="25m",
            labels={"queue": "taints"},
            values=("taints", "15"),
        ),
        # One key fails, others do not.
        Scenario(
            {
                'spillway_queue_handled_total{queue="taints",result="retry"}': "0+1x40",
                'spillway_queue_handled_total{queue="taints",result="ok"}': "0+1x40",
            },
            silent=("25m", "40m"),
        ),
    ],
    "SpillwayNotReady": [
        Scenario(
            {condition("ElasticPolicy", "online", "Ready"): "1x5 0x30"},
            silent=("5m", "15m"),
            fires="17m",
            labels={"kind": "ElasticPolicy", "name": "online"},
            values=("ElasticPolicy", "online"),
        ),
        Scenario({condition("VirtualNodeBudget", "eci-a", "Accepting"): "0x40"}, silent=("30m",)),
    ],
    "SpillwayWebhookFailing": [
        Scenario(
            {
                f'{FAILED_CALLS}{{{PODS},type="admit"}}': "0x5 0+10x30",
                f'{CALLS}_count{{{PODS},type="admit",operation="CREATE"}}': "0+100x40",
            },
            silent=("5m", "8m"),
            fires="20m",
            labels={"name": "pods.spillway.dev"},
            values=("10%", "pods.spillway.dev"),
        ),
        Scenario(
            {
                f'{FAILED_CALLS}{{name="policy.example.com",type="admit"}}': "0+100x30",
                f'{CALLS}_count{{name="policy.example.com",type="admit",operation="CREATE"}}': "0+100x30",
                f'{FAILED_CALLS}{{{PODS},type="admit"}}': "0+1x30",
                f'{CALLS}_count{{{PODS},type="admit",operation="CREATE"}}': "0+100x30",
            },
            silent=("20m", "30m"),
        ),
    ],
    "SpillwayWebhookSlow": [
        Scenario(
            {
                f'{CALLS}_bucket{{{PODS},le="0.5"}}': "0+5x40",
                f'{CALLS}_bucket{{{PODS},le="1"}}': "0+10x40",
                f'{CALLS}_bucket{{{PODS},le="+Inf"}}': "0+10x40",
            },
            silent=("10m",),
            fires="20m",
            labels={"name": "pods.spillway.dev"},
            values=("pods.spillway.dev", "990ms"),
        ),
        # Scale-downs are held on purpose.
        Scenario(
            {
                f'{CALLS}_bucket{{{SCALE_DOWNS},le="0.5"}}': "0+5x40",
                f'{CALLS}_bucket{{{SCALE_DOWNS},le="1"}}': "0+10x40",
                f'{CALLS}_bucket{{{SCALE_DOWNS},le="+Inf"}}': "0+10x40",
            },
            silent=("20m", "40m"),
        ),
    ],
    "SpillwayAdmissionErrors": [
        Scenario(
            {'spillway_admission_errors_total{webhook="pods",instance="a"}': "0x5 1x60"},
            silent=("3m", "25m"),
            fires="8m",
            labels={"webhook": "pods"},
            values=("pods", "1"),
        ),
    ],
    "SpillwayAdmissionLetGo": [
        Scenario(
            {
                'spillway_admission_let_go_total{webhook="bindings",reason="stale",instance="a"}': "0+1x40",
                'spillway_admission_let_go_total{webhook="bindings",reason="timeout",instance="b"}': "0+1x40",
                'spillway_admission_outcomes_total{webhook="bindings",outcome="let-go"}': "0+2x40",
                'spillway_admission_outcomes_total{webhook="bindings",outcome="marked"}': "0+18x40",
            },
            silent=("8m",),
            fires="15m",
            labels={"webhook": "bindings"},
            values=("10%", "bindings"),
        ),
        Scenario(
            {
                'spillway_admission_let_go_total{webhook="bindings",reason="unknown-pod"}': "0+1x40",
                'spillway_admission_outcomes_total{webhook="bindings",outcome="marked"}': "0+100x40",
            },
            silent=("15m", "40m"),
        ),
    ],
    "SpillwayCertificateExpiring": [
        Scenario(
            {'spillway_serving_certificate_expiry_timestamp_seconds{instance="a"}': "605400x60"},
            silent=("9m", "20m"),
            fires="30m",
            labels={"instance": "a"},
            values=("a", "6d 23h 40m 0s"),
        ),
        Scenario({'spillway_serving_certificate_expiry_timestamp_seconds{instance="a"}': "2592000x60"}, silent=("1h",)),
    ],
    "SpillwayCertificateNotTrusted": [
        Scenario(
            {
                'spillway_serving_certificate_trusted{configuration="mutating",instance="a"}': "1x5 0x20",
                'spillway_serving_certificate_trusted{configuration="mutating",instance="b"}': "1x25",
            },
            silent=("5m", "9m"),
            fires="12m",
            labels={"configuration": "mutating"},
            values=("mutating",),
        ),
        # While a new authority is published.
        Scenario(
            {'spillway_serving_certificate_trusted{configuration="mutating",instance="a"}': "1x5 0x2 1x20"},
            silent=("7m", "12m", "20m"),
        ),
    ],
    "SpillwayPoolUnhealthy": [of_condition("VirtualNodeBudget", "Healthy", "pool", bad=0, silent="7m", fires="9m")],
    "SpillwayPoolOutOfStock": [of_condition("VirtualNodeBudget", "InStock", "pool", bad=0, silent="7m", fires="9m")],
    "SpillwayNoPoolAccepts": [
        Scenario(
            {
                condition("VirtualNodeBudget", "a", "Accepting"): "1x5 0x30",
                condition("VirtualNodeBudget", "b", "Accepting"): "0x35",
                'spillway_pool_takes{pool="a",reason="Open"}': "1x5 stale _x30",
                'spillway_pool_takes{pool="a",reason="Unhealthy"}': "_x6 0x30",
                'spillway_pool_takes{pool="b",reason="Held"}': "0x35",
            },
            silent=("5m", "9m"),
            fires="12m",
        ),
        # The only pool is held by people.
        Scenario(
            {
                condition("VirtualNodeBudget", "a", "Accepting"): "0x35",
                'spillway_pool_takes{pool="a",reason="Held"}': "0x35",
            },
            silent=("12m", "30m"),
        ),
        # At a limit, which its verdict does not know.
        Scenario(
            {
                condition("VirtualNodeBudget", "a", "Accepting"): "0x35",
                'spillway_pool_takes{pool="a",reason="Open"}': "1x35",
            },
            silent=("4m",),
            fires="6m",
        ),
    ],
    "SpillwayPoolNearLimit": [
        Scenario(
            {'spillway_pool_limit_used_ratio{pool="eci-a",limit="cpu"}': "0.5x5 0.85x20"},
            silent=("5m", "9m"),
            fires="12m",
            labels={"pool": "eci-a", "limit": "cpu"},
            values=("85%", "cpu", "eci-a"),
        ),
        # The alert about a limit that is reached says it all.
        Scenario(
            {
                'spillway_pool_limit_used_ratio{pool="eci-a",limit="cpu"}': "1x20",
                condition("VirtualNodeBudget", "eci-a", "AtLimit"): "1x20",
            },
            silent=("12m",),
        ),
    ],
    "SpillwayPoolAtLimit": [of_condition("VirtualNodeBudget", "AtLimit", "pool", bad=1, silent="9m", fires="12m")],
    "SpillwayFailoverSuspended": [
        Scenario(
            {
                'spillway_failover_suspended{instance="a"}': "0x5 1x20",
                'spillway_failover_suspended{instance="b"}': "0x25",
            },
            silent=("5m", "9m"),
            fires="12m",
        )
    ],
    "SpillwayPlanStale": [
        of_condition("ElasticPolicy", "StalePlan", "policy", bad=1, silent="35m", fires="37m"),
        Scenario(
            {'spillway_threshold_plan_timestamp_seconds{instance="a"}': "60x300"},
            silent=("3h", "4h20m"),
            fires="5h",
            values=("all policies",),
            every="2m",
        ),
        # A replica that does not lead, and a policy without mode Auto.
        Scenario({'spillway_threshold_plan_timestamp_seconds{instance="a"}': "0x300"}, silent=("5h", "9h"), every="2m"),
    ],
    "SpillwayForecastStale": [
        of_condition("ElasticPolicy", "ForecastStale", "policy", bad=1, silent="20m", fires="22m")
    ],
    "SpillwayLoadDataStale": [
        of_condition("ZonalBalance", "LoadDataStale", "balance", bad=1, silent="20m", fires="22m")
    ],
    "SpillwayForeignWriter": [
        of_condition("ElasticPolicy", "ForeignWriter", "policy", bad=1, silent="9m", fires="12m"),
        # Another condition of the same policy.
        Scenario({condition("ElasticPolicy", "x", "Learning"): "1x30"}, silent=("20m",)),
    ],
    "SpillwayMovesWithoutEffect": [
        Scenario(
            {'spillway_balance_moves_without_effect_total{balance="zones"}': "0x10 1x60 2x60 3x900"},
            silent=("5m", "1h", "12h"),
            fires="4h",
            labels={"balance": "zones"},
            values=("3", "zones"),
        )
    ],
    "SpillwayElasticNodesNeverEmpty": [
        Scenario(
            {elastic("nodes"): "6x400", elastic("pods"): DAY_AND_NIGHT},
            silent=("13h", "20h"),
            fires="23h",
            labels={"policy": "online"},
            values=("online", "6"),
            every="5m",
        ),
        # The leader changes in the night.
        Scenario(
            {
                elastic("nodes"): "6x200 stale _x199",
                elastic("pods"): "12x150 5x50 stale _x199",
                elastic("nodes").replace('"a"', '"b"'): "_x201 6x199",
                elastic("pods").replace('"a"', '"b"'): "_x201 5x199",
            },
            silent=("13h", "20h"),
            fires="23h",
            labels={"policy": "online"},
            values=("online", "6"),
            every="5m",
        ),
        Scenario({elastic("nodes"): "6x150 3x250", elastic("pods"): DAY_AND_NIGHT}, silent=("23h", "30h"), every="5m"),
        Scenario({elastic("nodes"): "6x400", elastic("pods"): "12x150 8x250"}, silent=("23h", "30h"), every="5m"),
        Scenario({elastic("nodes"): "1x400", elastic("pods"): DAY_AND_NIGHT}, silent=("23h", "30h"), every="5m"),
        Scenario({elastic("nodes"): "6x400", elastic("pods"): "0x400"}, silent=("23h", "30h"), every="5m"),
    ],
    "SpillwayHeadroomMissing": [
        Scenario(
            {
                'spillway_headroom_pods{policy="online",zone="a"}': "2x60",
                'spillway_headroom_pods{policy="online",zone="b"}': "1x60",
                'spillway_headroom_ready_pods{policy="online",zone="a"}': "2x60",
                'spillway_headroom_ready_pods{policy="online",zone="b"}': "1x5 0x55",
            },
            silent=("5m", "30m"),
            fires="40m",
            labels={"policy": "online"},
            values=("online", "1"),
        ),
        # A policy in Recommend.
        Scenario({'spillway_headroom_pods{policy="online",zone="a"}': "2x60"}, silent=("40m",)),
    ],
}


@pytest.fixture(scope="module")
def promtool() -> Path:
    build.ensure_built(["promtool"])
    return binaries.find("promtool")


def run(promtool: Path, *args: str, text: str = "") -> str:
    """What promtool prints; fails the test with that if promtool fails."""
    done = subprocess.run([str(promtool), *args], input=text, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def annotations(alert: Mapping[str, Any], values: tuple[str, ...]) -> dict[str, str]:
    """The texts of a firing alert."""
    left = iter(values)
    texts = {
        name: TEMPLATE.sub(lambda _: next(left), alert["annotations"][name]) for name in ("summary", "description")
    }
    assert list(left) == [], "values without a template"
    return {**texts, "runbook_url": alert["annotations"]["runbook_url"]}


def cases(name: str, scenarios: list[Scenario]) -> Iterator[dict[str, Any]]:
    """The tests of one alert, as promtool reads them."""
    alert = ALERTS[name]
    for number, scenario in enumerate(scenarios):
        tests: list[dict[str, Any]] = [{"eval_time": time, "alertname": name} for time in scenario.silent]
        if scenario.fires:
            expected = {
                "exp_labels": {**alert["labels"], **scenario.labels},
                "exp_annotations": annotations(alert, scenario.values),
            }
            tests.append({"eval_time": scenario.fires, "alertname": name, "exp_alerts": [expected]})
        yield {
            "name": f"{name} {number}",
            "interval": scenario.every,
            "input_series": [{"series": series, "values": values} for series, values in scenario.series.items()],
            "alert_rule_test": tests,
        }


def test_every_alert_is_tested() -> None:
    assert list(SCENARIOS) == list(ALERTS)
    for name, scenarios in SCENARIOS.items():
        assert any(one.fires for one in scenarios), name
        assert any(one.silent for one in scenarios), name


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_alert_fires_when_it_should_and_else_not(name: str, promtool: Path, tmp_path: Path) -> None:
    rules, file = tmp_path / "alerts.yaml", tmp_path / "test.yaml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "alone", "rules": [ALERTS[name]]}]}))
    tests = {
        "rule_files": [str(rules)],
        # A rule over a day takes seconds if it is evaluated every minute.
        "evaluation_interval": min(one.every for one in SCENARIOS[name]),
        "tests": list(cases(name, SCENARIOS[name])),
    }
    file.write_text(yaml.safe_dump(tests, sort_keys=False))

    assert "SUCCESS" in run(promtool, "test", "rules", str(file))


@pytest.mark.parametrize("file", ["alerts.yaml", "rules.yaml"])
def test_prometheus_accepts_the_rules(file: str, promtool: Path) -> None:
    assert "SUCCESS" in run(promtool, "check", "rules", str(MONITORING / file))
