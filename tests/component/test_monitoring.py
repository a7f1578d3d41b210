"""The scrape configuration and the recording rules in a real Prometheus, over a real cluster."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from harness.chart import CHART
from localcluster import Cluster, ClusterFactory, Options
from localcluster.layout import LOOPBACK
from localcluster.rest import Object
from tests.support.installed import deployment

MONITORING = CHART / "files" / "monitoring"
OPTIONS = Options(prometheus=True, prometheus_scrape_seconds=1)
# As the rules of kubernetes-mixin ask, on which the usual dashboards stand.
MIXIN = 'job="kubelet", metrics_path="/metrics/cadvisor", image!=""'

# What shippers expose, and the operator, in the form in which they do; each scrape sees more.
SHIPPERS = """\
# TYPE vector_component_sent_bytes_total counter
vector_component_sent_bytes_total{{component_id="kafka",component_kind="sink",component_type="kafka"}} {0}
vector_component_sent_bytes_total{{component_id="metrics",component_kind="sink"}} {0}
# TYPE fluentbit_output_proc_bytes_total counter
fluentbit_output_proc_bytes_total{{name="kafka.0"}} {0}
"""
OPERATOR = """\
# TYPE spillway_consumed_cpu_seconds_total counter
spillway_consumed_cpu_seconds_total{{namespace="shop",workload="Deployment/shop/web",tier="virtual",pool="eci-a"}} {0}
# TYPE spillway_consumed_memory_byte_seconds_total counter
spillway_consumed_memory_byte_seconds_total{{namespace="shop",workload="Deployment/shop/web",tier="fixed",pool=""}} {0}
# TYPE spillway_consumed_cost_total counter
spillway_consumed_cost_total{{namespace="shop",workload="Deployment/shop/web",pool="eci-a",currency="CNY"}} {0}
"""
LABELS = {"namespace": "shop", "workload": "Deployment/shop/web", "tier": "virtual", "pool": "eci-a"}


@pytest.fixture(scope="module")
def watched(cluster_factory: ClusterFactory) -> Iterator[Cluster]:
    """A cluster whose Prometheus has our rules and our scrape configuration; only addresses are the machine's."""
    with cluster_factory(OPTIONS) as cluster:
        assert isinstance(cluster, Cluster)
        cluster.add_nodes("fixed", 1)
        cluster.add_virtual_nodes("virtual", 1)
        path = cluster.layout.config / "prometheus.yaml"
        configuration = yaml.safe_load(path.read_text())
        nodes, _files = configuration["scrape_configs"][:2]
        configuration["rule_files"] = [str(MONITORING / "rules.yaml")]
        configuration["scrape_configs"] += [_here(job, nodes) for job in _jobs()]
        path.write_text(yaml.safe_dump(configuration))
        _reload(cluster)
        yield cluster


def _jobs() -> list[Object]:
    jobs: list[Object] = yaml.safe_load((MONITORING / "scrape.yaml").read_text())["scrape_configs"]
    return jobs


def _here(job: Object, nodes: Object) -> Object:
    """The job from outside of the cluster: credentials of a kubeconfig, and one kwok in the place of every kubelet."""
    job = deepcopy(job)
    for discovery in job["kubernetes_sd_configs"]:
        discovery["kubeconfig_file"] = nodes["kubernetes_sd_configs"][0]["kubeconfig_file"]
    if "authorization" in job:
        del job["authorization"]
        job["tls_config"] = nodes["tls_config"]
        job["relabel_configs"] += nodes["relabel_configs"][:2]
    return job


def _reload(cluster: Cluster) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, cluster.layout.ports.prometheus, timeout=30)
    connection.request("POST", "/-/reload")
    response = connection.getresponse()
    assert response.status == 200, response.read()


def _api(cluster: Cluster, path: str) -> Any:
    connection = http.client.HTTPConnection(LOOPBACK, cluster.layout.ports.prometheus, timeout=30)
    connection.request("GET", f"/api/v1/{path}")
    return json.loads(connection.getresponse().read())["data"]


def _query_at(cluster: Cluster, expression: str, at: float) -> list[Object]:
    found: list[Object] = _api(cluster, f"query?{urlencode({'query': expression, 'time': at})}")["result"]
    return found


def _wait(cluster: Cluster, expression: str) -> list[Object]:
    return cluster.wait_until(lambda: cluster.prometheus_query(expression), expression)


def test_prometheus_loads_the_rules(watched: Cluster) -> None:
    groups = {group["name"]: group["rules"] for group in _api(watched, "rules")["groups"]}

    assert set(groups) == {"spillway.consumption", "spillway.logs", "spillway.virtual-nodes", "spillway.demand"}
    loaded = {rule["name"] for rules in groups.values() for rule in rules}
    written = yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"]
    assert loaded == {rule["record"] for group in written for rule in group["rules"]}


def test_pods_on_virtual_nodes_are_in_the_usual_rules_and_in_ours(watched: Cluster) -> None:
    with watched.namespace() as namespace:
        watched.apply(deployment(namespace, "web", 2, nodeSelector={"type": "virtual-kubelet"}))
        watched.apply(deployment(namespace, "owned", 1, nodeSelector={"pool": "fixed"}))
        pods = watched.wait_pods_ready(namespace, 3)
        watched.set_usage(namespace, [pod["metadata"]["name"] for pod in pods], cpu="1")
        [node] = {pod["spec"]["nodeName"] for pod in pods if pod["metadata"]["labels"]["app"] == "web"}

        usual = f'sum by (pod) (rate(container_cpu_usage_seconds_total{{namespace="{namespace}", {MIXIN}}}[10s])) > 0.9'
        watched.wait_until(lambda: len(watched.prometheus_query(usual)) == 2, "two pods in the usual rules")
        memory = _wait(watched, f'container_memory_working_set_bytes{{namespace="{namespace}", {MIXIN}}}')
        assert {(one["metric"]["node"], one["metric"]["container"]) for one in memory} == {(node, "main")}

        [cpu] = _wait(watched, f'namespace_node:spillway_virtual_cpu_usage_seconds:rate5m{{namespace="{namespace}"}}')
        assert cpu["metric"]["node"] == node
        for name, cores in (("web", 2), ("owned", 1)):
            labels = f'namespace="{namespace}", workload="Deployment/{name}"'
            [used] = _wait(watched, f"namespace_workload:spillway_used_cpu_cores:sum{{{labels}}} > {cores - 0.1}")
            assert float(used["value"][1]) == pytest.approx(cores, rel=0.1), "also what is scraped by two jobs"
            assert _wait(watched, f"namespace_workload:spillway_used_memory_bytes:sum{{{labels}}}")
        assert _wait(watched, f'namespace_node:spillway_virtual_memory_working_set_bytes:sum{{node="{node}"}}')


def test_shippers_are_found_and_told_by_workload_tier_and_pool(watched: Cluster) -> None:
    """Nothing answers at a kwok pod's address: what is looked at is the target that Prometheus has made."""
    marks = {"spillway.dev/tier": "virtual", "spillway.dev/pool": "eci-a"}
    ports = {"logs-vector": "/metrics", "logs-fluentbit": "/api/v1/metrics/prometheus"}
    with watched.namespace() as namespace:
        for index, name in enumerate(ports):
            sidecar = {
                "name": "spillway-logs",
                "image": "x",
                "restartPolicy": "Always",
                "ports": [{"name": name, "containerPort": 9598 + index}],
            }
            web = deployment(namespace, f"web-{index}", 1, initContainers=[sidecar])
            web["spec"]["template"]["metadata"]["annotations"] = marks
            watched.apply(web)
        watched.wait_pods_ready(namespace, 2)

        def targets() -> list[Object]:
            active = _api(watched, "targets?state=active")["activeTargets"]
            found = [target for target in active if target["labels"].get("namespace") == namespace]
            return found if len(found) == 2 else []

        for target in watched.wait_until(targets, "both shippers"):
            labels = target["labels"]
            assert (labels["job"], labels["tier"], labels["pool"]) == ("spillway-logs", "virtual", "eci-a")
            index = labels["workload"].removeprefix(f"Deployment/{namespace}/web-")
            assert target["scrapeUrl"].endswith(list(ports.values())[int(index)])
            assert labels["pod"].startswith(f"web-{index}-")


def test_what_is_consumed_is_recorded_by_workload_tier_and_pool(watched: Cluster) -> None:
    with _exposing(SHIPPERS) as shippers, _exposing(OPERATOR) as operator:
        watched.scrape("spillway-logs", [shippers], LABELS)
        watched.scrape("spillway", [operator])

        [bytes_sent] = _wait(watched, "namespace_workload_tier_pool:spillway_log_bytes:rate5m > 0")
        assert bytes_sent["metric"].items() >= LABELS.items()
        # The rate grows with each scrape of the first minutes, so both have to be of the same moment.
        record = "namespace_workload_tier_pool:spillway_log_bytes:rate5m"
        [recorded] = _wait(watched, f"timestamp({record} > 0)")
        at = float(recorded["value"][1])
        one, both = (
            sum(float(sample["value"][1]) for sample in _query_at(watched, f"sum({expression})", at))
            for expression in ('rate(vector_component_sent_bytes_total{component_id="kafka"}[5m])', record)
        )
        assert one < both < 3 * one, "both shippers, and the sink for Kafka alone"
        for record in ("spillway_consumed_cpu_seconds:rate5m", "spillway_consumed_memory_byte_seconds:rate5m"):
            assert _wait(watched, f"namespace_workload_tier_pool:{record} > 0")
        assert _wait(watched, 'namespace_workload_pool_currency:spillway_consumed_cost:per_hour{currency="CNY"} > 0')


@contextmanager
def _exposing(text: str) -> Iterator[str]:
    """Serve this exposition, its counters growing with each scrape."""

    class Exposition(BaseHTTPRequestHandler):
        scrapes = 0

        def do_GET(self) -> None:
            type(self).scrapes += 1
            body = text.format(1000 * self.scrapes).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer((LOOPBACK, 0), Exposition)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
