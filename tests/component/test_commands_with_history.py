"""`spillway simulate` and `spillway status` on the past that a real Prometheus has, and on a file."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from harness import install
from harness.prometheus import PushedPrometheus, prometheus_running
from localcluster import ClusterApi
from spillway.cli.commands import application
from tests.support.installed import applied, budget, deployment, eventually
from tests.support.prometheus import replicas_series

DAY = 86_400.0
LOW, HIGH = 4.0, 20.0
POOL = "history"
NO_WEBHOOKS = {"webhook": {"enabled": False}}


@pytest.fixture
def prometheus() -> Iterator[PushedPrometheus]:
    with prometheus_running() as running:
        yield running


def past() -> tuple[Any, Any]:
    """Three days of few replicas, with many from 18:00 to 22:00 UTC."""
    times = np.arange(np.ceil((time.time() - 3.2 * DAY) / 300) * 300, time.time(), 300.0)
    hour = times % DAY / 3600
    return times, np.where((hour >= 18) & (hour < 22), HIGH, LOW)


def proposal(namespace: str) -> list[dict[str, Any]]:
    price = {"cpuHour": "0.35", "memoryGiBHour": "0.04", "currency": "CNY"}
    return [
        {
            "apiVersion": "spillway.dev/v1alpha1",
            "kind": "ElasticPolicy",
            "metadata": {"name": POOL},
            "spec": {
                "mode": "Recommend",
                "tiers": {
                    "fixed": {"price": {"nodeHour": "0.5", "currency": "CNY"}},
                    "virtual": {"budgets": [POOL]},
                },
                "workloads": [
                    {
                        "name": "default",
                        "match": {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
                        "threshold": {"mode": "Auto"},
                    }
                ],
            },
        },
        budget(POOL, f"{POOL}-virtual", price=price),
    ]


def command(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(application(), [*arguments, "-o", "json"])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_thresholds_of_a_proposal_are_planned_from_both_histories(
    cluster: ClusterApi, namespace: str, prometheus: PushedPrometheus, tmp_path: Path
) -> None:
    workload = f"Deployment/{namespace}/web"
    times, replicas = past()
    prometheus.push([(replicas_series(workload), times, replicas)])
    recorded = tmp_path / "past.csv"
    rows = (f"{workload},{round(at)},{count:g}" for at, count in zip(times, replicas, strict=True))
    recorded.write_text("\n".join(["workload,time,replicas", *rows]) + "\n")
    resources = tmp_path / "proposal.yaml"
    resources.write_text(yaml.safe_dump_all(proposal(namespace)))
    cluster.add_nodes(POOL, 2)
    cluster.add_virtual_nodes(f"{POOL}-virtual", 1)
    with install(cluster, NO_WEBHOOKS, replicas=0) as made:
        try:
            cluster.apply([deployment(namespace, "web", 6)])
            cluster.kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
            asked = ("simulate", "-f", str(resources), f"--kubeconfig={cluster.kubeconfig}")
            without = command(*asked)
            planned = command(*asked, f"--prometheus-url={prometheus.url}")
            of_file = command(*asked, f"--csv={recorded}")
        finally:
            cluster.delete([deployment(namespace, "web", 6)])
            made.uninstall()

    [row] = planned["workloads"]
    assert row["workload"] == workload
    assert LOW <= row["threshold"] <= HIGH
    assert [one["threshold"] for one in of_file["workloads"]] == [row["threshold"]]
    assert planned["costs"][0]["savingPerHour"] is not None
    assert planned["ownedNodesAdvised"] is not None
    assert all(one["threshold"] is None for one in without["workloads"])
    assert any("thresholds of mode Auto are not planned here" in one["message"] for one in without["risks"])
    assert not any("thresholds of mode Auto are not planned here" in one["message"] for one in planned["risks"])


def test_status_shows_what_was_saved_today(cluster: ClusterApi, namespace: str, prometheus: PushedPrometheus) -> None:
    times = np.arange(time.time() - 3600, time.time(), 15.0)
    labels = {"__name__": "spillway_policy_saving_per_hour", "policy": POOL, "currency": "CNY", "against": "owned"}
    prometheus.push([(labels, times, np.full(times.size, 2.0))])
    with install(cluster, NO_WEBHOOKS, replicas=0) as made:
        try:
            with applied(cluster, *proposal(namespace)):
                flags = (f"--kubeconfig={cluster.kubeconfig}", f"--prometheus-url={prometheus.url}")
                found = eventually(lambda: command("status", *flags), "the status")
                failed = CliRunner().invoke(
                    application(), ["status", flags[0], "--prometheus-url=http://127.0.0.1:9", "-o", "json"]
                )
        finally:
            made.uninstall()

    [savings] = found["savings"]
    assert savings["currency"] == "CNY"
    assert 0 < float(savings["savedToday"]) <= float(savings["savedThisMonth"])
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    hours = min(1.0, (time.time() - month.timestamp()) / 3600)
    assert float(savings["savedThisMonth"]) == pytest.approx(2.0 * hours, abs=0.2), "2 CNY per hour"
    assert failed.exit_code == 3
    assert "what was saved cannot be read" in failed.stderr


def findings(*arguments: str) -> list[tuple[str, str, str]]:
    done = CliRunner().invoke(application(), ["doctor", *arguments, "-o", "json"])
    assert done.exit_code in {0, 1}, done.output
    report = json.loads(done.stdout)
    return [
        (one["severity"], one["object"], one["message"]) for one in report["findings"] if one["check"] == "prometheus"
    ]


def test_doctor_says_which_series_are_missing(
    cluster: ClusterApi, namespace: str, prometheus: PushedPrometheus
) -> None:
    now = np.array([time.time() - 30.0])
    policy, pool = proposal(namespace)
    policy["spec"]["workloads"][0]["scaling"] = {
        "target": {"query": "sum(queue_length)", "perReplica": "10"},
        "forecast": {},
    }
    balance = {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ZonalBalance",
        "metadata": {"name": POOL},
        "spec": {
            "match": {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
            "load": {"source": "Prometheus", "queries": {"cpu": "cpu_share"}},
            "zonePreference": {"from": {"query": "requests_of_zones"}},
        },
    }
    read = ("queue_length", "cpu_share", "requests_of_zones")
    with install(cluster, NO_WEBHOOKS, replicas=0) as made:
        try:
            with applied(cluster, policy, pool, balance):
                flags = (f"--kubeconfig={cluster.kubeconfig}", f"--prometheus-url={prometheus.url}")
                without = findings(flags[0])
                before = findings(*flags)
                series = ({"__name__": "spillway_build_info"}, replicas_series("Deployment/a/b"))
                named = ({"__name__": name} for name in read)
                prometheus.push([(labels, now, np.ones(1)) for labels in (*series, *named)])
                after = findings(*flags)
                away = findings(flags[0], "--prometheus-url=http://127.0.0.1:9")
        finally:
            made.uninstall()

    assert without == [("info", "Prometheus", "not checked: --prometheus-url is not given")]
    name = f"ElasticPolicy/{POOL}"
    assert [(severity, about) for severity, about, _ in before] == [
        ("warning", name),
        ("warning", name),
        ("warning", "Prometheus"),
        ("warning", f"ZonalBalance/{POOL}"),
        ("warning", f"ZonalBalance/{POOL}"),
    ]
    said = " ".join(message for _, _, message in before)
    assert "no spillway_workload_replicas" in said
    for query in ("sum(queue_length)", "cpu_share", "requests_of_zones"):
        assert f"the query has no value now: {query}" in said
    assert "does not scrape the operator" in said
    assert after == []
    assert [(severity, about) for severity, about, _ in away] == [("error", "Prometheus")]
