"""The alerts of the chart fire on the real control plane, in a real Prometheus, and end with their cause.

Contract: Prometheus scrapes the operator and the API server. The rules are those of the chart with shorter times. The
operator's own Prometheus, for the history of demand, does not exist.
"""

import base64
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from harness import Installation
from harness.chart import CHART
from harness.prometheus import prometheus_running
from localcluster import ClusterApi, binaries, build
from localcluster.prometheus import query
from localcluster.rest import Object
from tests.e2e.conftest import LEASE_PATH
from tests.support.stage import GROUP_PATH, OwnedNodes, Stage

OWNED = OwnedNodes("owned-by-alerts", 1, cpu="100", pods=200)
OPERATOR_FLAGS = ("--prometheus-url=http://127.0.0.1:9", "--upkeep-seconds=1")
"""Nothing listens on port 9."""
ALWAYS: Final = {"placement": {"virtual": "Always"}}
COST: Final = "controller.kubernetes.io/pod-deletion-cost"
PROBES: Final = 20
"""Admission requests of one burst."""
FIRES_SECONDS: Final = 120.0
"""How long an alert may take to fire or to end, on a machine that does much else."""


@dataclass(frozen=True)
class Alerts:
    """The alerts in a Prometheus."""

    cluster: ClusterApi
    port: int

    def fires(self, name: str, /, **labels: str) -> bool:
        """Whether an alert with at least these labels fires."""
        matchers = ",".join(f'{key}="{value}"' for key, value in {"alertname": name, **labels}.items())
        return bool(query(self.port, f'ALERTS{{alertstate="firing",{matchers}}}'))

    def wait(self, name: str, /, **labels: str) -> None:
        """Until it fires."""
        self.cluster.wait_until(
            lambda: self.fires(name, **labels), f"the alert {name} {labels}", timeout_seconds=FIRES_SECONDS
        )

    def wait_end(self, name: str, /, **labels: str) -> None:
        """Until it does not fire."""
        self.cluster.wait_until(
            lambda: not self.fires(name, **labels), f"the end of {name} {labels}", timeout_seconds=FIRES_SECONDS
        )


def quick_rules(folder: Path) -> Path:
    """The rules with times that a test can wait for."""
    rules = yaml.safe_load((CHART / "files" / "monitoring" / "alerts.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["for"] = "2s"
            rule["expr"] = re.sub(r"\[\d+m\]", "[30s]", rule["expr"])
    file = folder / "alerts.yaml"
    file.write_text(yaml.safe_dump(rules))
    return file


def api_server(cluster: ClusterApi, folder: Path) -> Object:
    """The scrape configuration of the API server, with the credentials of the cluster's kubeconfig."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    tls = {}
    for key, data in (
        ("ca_file", server.get("certificate-authority-data")),
        ("cert_file", user.get("client-certificate-data")),
        ("key_file", user.get("client-key-data")),
    ):
        if data is None:
            pytest.skip("the kubeconfig has no client certificate")
        path = folder / key
        path.write_bytes(base64.b64decode(data))
        tls[key] = str(path)
    return {
        "job_name": "apiserver",
        "scheme": "https",
        "scrape_interval": "3s",
        "scrape_timeout": "3s",
        "tls_config": tls,
        "static_configs": [{"targets": [server["server"].removeprefix("https://")]}],
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": "apiserver_admission_webhook_.*", "action": "keep"}
        ],
    }


@pytest.fixture(scope="module")
def alerts(operators: Installation, cluster: ClusterApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alerts]:
    folder = tmp_path_factory.mktemp("alerts")
    targets = [f"127.0.0.1:{operators.metrics_port(index)}" for index in operators.running]
    jobs = [api_server(cluster, folder)]
    with prometheus_running(scrape=targets, jobs=jobs, rules=[quick_rules(folder)]) as prometheus:
        found = Alerts(cluster, prometheus.port)
        cluster.wait_until(lambda: query(prometheus.port, "spillway_leader == 1"), "the leader to be scraped")
        yield found


def ask_about_pods(stage: Stage, **owner: str) -> None:
    """A burst of admission requests for pods that are never created."""
    path = f"/api/v1/namespaces/{stage.namespace}/pods?dryRun=All"
    reference: dict[str, Any] = {"apiVersion": "example.com/v1", "kind": "Probe", "name": "probe", "uid": "probe"}
    pod = {
        "metadata": {"name": "probe", "ownerReferences": [{**reference, **owner, "controller": True}]},
        "spec": {"containers": [{"name": "main", "image": "registry.invalid/main:1"}]},
    }
    with ThreadPoolExecutor(PROBES) as pool:
        list(pool.map(lambda _: stage.cluster.rest.create(path, pod), range(PROBES)))


def test_limits_of_a_pool_at_80_and_at_100_percent(alerts: Alerts, stage: Stage) -> None:
    stage.govern(ALWAYS, a={"limits": {"pods": 5}}, b={"cordon": "Hold"})
    pool = stage.pools["a"]
    assert not alerts.fires("SpillwayPoolNearLimit", pool=pool)
    stage.deploy("web", 4)
    alerts.wait("SpillwayPoolNearLimit", pool=pool, limit="pods", severity="info")
    assert not alerts.fires("SpillwayPoolAtLimit", pool=pool)
    alerts.wait_end("SpillwayNoPoolAccepts")

    stage.scale("web", 5)
    alerts.wait("SpillwayPoolAtLimit", pool=pool, severity="warning")
    alerts.wait_end("SpillwayPoolNearLimit", pool=pool)
    # The other pool is held.
    alerts.wait("SpillwayNoPoolAccepts", severity="critical")

    stage.scale("web", 1)
    alerts.wait_end("SpillwayPoolAtLimit", pool=pool)
    alerts.wait_end("SpillwayNoPoolAccepts")


def test_a_pool_that_fails_until_its_nodes_are_ready_again(alerts: Alerts, stage: Stage, cluster: ClusterApi) -> None:
    stage.govern(ALWAYS, a={"failover": {"unhealthyAfter": "3s", "retryAfter": "4s"}})
    pool = stage.pools["a"]
    nodes = [name for name in stage.nodes if name.startswith(pool)]
    assert not alerts.fires("SpillwayPoolUnhealthy", pool=pool)
    cluster.fail_nodes(nodes)
    alerts.wait("SpillwayPoolUnhealthy", pool=pool, severity="warning")
    assert not alerts.fires("SpillwayPoolUnhealthy", pool=stage.pools["b"])

    cluster.heal_nodes(nodes)
    alerts.wait_end("SpillwayPoolUnhealthy", pool=pool)


def test_a_provider_without_stock(alerts: Alerts, stage: Stage, cluster: ClusterApi) -> None:
    stock_out = {"detect": [{"reason": "CreateFailed"}], "ladder": [{"cpu": "2", "memory": "4Gi"}]}
    stage.govern(ALWAYS, a={"stockOut": stock_out})
    stage.deploy("web", 2, starts=False)
    refused = set[str]()
    said = {"type": "InstanceCreated", "status": "False", "reason": "CreateFailed", "message": "NoStock: sold"}

    def fires() -> bool:
        for pod in stage.pods("web"):
            metadata, node = pod["metadata"], pod["spec"].get("nodeName")
            path = f"/api/v1/namespaces/{stage.namespace}/pods/{metadata['name']}"
            if node and stage.place(node) == "a" and metadata["uid"] not in refused and cluster.exists(path):
                refused.add(metadata["uid"])
                conditions = [*pod["status"].get("conditions", []), said]
                cluster.rest.merge(f"{path}/status", {"status": {"conditions": conditions}})
        return alerts.fires("SpillwayPoolOutOfStock", pool=stage.pools["a"])

    cluster.wait_until(fires, "the alert SpillwayPoolOutOfStock", timeout_seconds=FIRES_SECONDS)
    assert not alerts.fires("SpillwayPoolOutOfStock", pool=stage.pools["b"])


def test_a_plan_that_cannot_be_made_another_writer_and_a_policy_that_is_not_in_force(
    alerts: Alerts, stage: Stage, cluster: ClusterApi
) -> None:
    stage.govern({"threshold": {"mode": "Auto"}})
    stage.deploy("web", 2)
    pods = stage.wait_bound("web", 2)
    alerts.wait("SpillwayPlanStale", policy=stage.id)

    assert not alerts.fires("SpillwayForeignWriter", policy=stage.id)
    path = f"/api/v1/namespaces/{stage.namespace}/pods/{pods[0]['metadata']['name']}"
    cluster.rest.merge(path, {"metadata": {"annotations": {COST: "1000"}}})
    alerts.wait("SpillwayForeignWriter", policy=stage.id)
    cluster.rest.merge(path, {"metadata": {"annotations": {COST: None}}})
    alerts.wait_end("SpillwayForeignWriter", policy=stage.id)

    policy = f"{GROUP_PATH}/elasticpolicies/{stage.id}"
    assert not alerts.fires("SpillwayNotReady", name=stage.id)
    cluster.rest.merge(policy, {"spec": {"tiers": {"virtual": {"budgets": ["missing"]}}}})
    alerts.wait("SpillwayNotReady", kind="ElasticPolicy", name=stage.id)


def test_requests_that_are_allowed_before_the_work_for_them_is_done(
    alerts: Alerts, stage: Stage, cluster: ClusterApi
) -> None:
    stage.govern(ALWAYS)

    def fires() -> bool:
        ask_about_pods(stage, apiVersion="apps/v1", kind="ReplicaSet", name="gone", uid="gone")
        return alerts.fires("SpillwayAdmissionLetGo", webhook="pods")

    cluster.wait_until(fires, "the alert SpillwayAdmissionLetGo", timeout_seconds=FIRES_SECONDS)


def test_the_names_of_the_metrics(alerts: Alerts, operators: Installation) -> None:
    build.ensure_built(["promtool"])
    page = operators.page(operators.wait_leader(), "/metrics")
    ours = [line for line in page.splitlines() if re.match(r"(?:# (?:HELP|TYPE) )?spillway_", line)]
    assert len(ours) > 300
    done = subprocess.run(
        [str(binaries.find("promtool")), "check", "metrics"],
        input="\n".join([*ours, ""]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_no_replica_runs_and_the_calls_of_the_api_server_fail(
    alerts: Alerts, stage: Stage, operators: Installation, cluster: ClusterApi
) -> None:
    stage.govern(ALWAYS)
    alerts.wait_end("SpillwayNoLeader")
    killed = operators.running
    for index in killed:
        operators.kill(index)
    alerts.wait("SpillwayNoLeader", severity="critical")

    def fires() -> bool:
        ask_about_pods(stage)
        return alerts.fires("SpillwayWebhookFailing", name="pods.spillway.dev", severity="critical")

    cluster.wait_until(fires, "the alert SpillwayWebhookFailing", timeout_seconds=FIRES_SECONDS)

    cluster.rest.delete(LEASE_PATH)
    for index in killed:
        operators.start_one(index, flags=OPERATOR_FLAGS)
    operators.wait_ready(*killed)
    operators.wait_leader()
    alerts.wait_end("SpillwayNoLeader")
