"""The optional parts in one cluster: metrics-server that drives an HPA, Karpenter, Prometheus, scheduler profiles."""

from collections.abc import Iterator
from typing import Any

import pytest

from localcluster import Cluster, ClusterFactory, Options, karpenter

OPTIONS = Options(
    metrics_server=True,
    karpenter=True,
    prometheus=True,
    prometheus_scrape_seconds=2,
    scheduler_profiles=({"schedulerName": "default-scheduler"}, {"schedulerName": "second"}),
)


@pytest.fixture(scope="module")
def full(cluster_factory: ClusterFactory) -> Iterator[Cluster]:
    with cluster_factory(OPTIONS) as cluster:
        assert isinstance(cluster, Cluster)
        cluster.add_nodes("fixed", 3, cpu="8")
        yield cluster


def _deployment(namespace: str, replicas: int, cpu: str, **pod_spec: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], **pod_spec}},
        },
    }


def _names(pods: list[dict[str, Any]]) -> list[str]:
    return [pod["metadata"]["name"] for pod in pods]


def test_karpenter_adds_a_node_for_a_pending_pod_and_removes_it_when_empty(full: Cluster) -> None:
    full.add_karpenter_pool("elastic", zones=["zone-b"], labels={"colour": "blue"}, consolidate_after="1s")
    with full.namespace() as namespace:
        full.apply(_deployment(namespace, 1, "1", nodeSelector={"pool": "elastic"}))
        (pod,) = full.wait_pods_ready(namespace, 1)
        node = full.rest.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")
        labels = node["metadata"]["labels"]
        assert (labels["colour"], labels["topology.kubernetes.io/zone"]) == ("blue", "zone-b")
        # Karpenter's provider counts what the kubelet keeps, and writes the pods' requests as the capacity.
        assert node["status"]["allocatable"]["cpu"] == "3900m"

        assert node["metadata"]["annotations"]["metrics.k8s.io/resource-metrics-path"].endswith("/metrics/resource")

        full.kubectl("scale", "deployment", "web", "--replicas=0", "-n", namespace)
        path = f"/api/v1/nodes/{node['metadata']['name']}"
        full.wait_until(lambda: not full.exists(path), "the empty node to go", timeout_seconds=200)
        full.wait_until(lambda: not full.rest.items("/apis/karpenter.sh/v1/nodeclaims"), "its claim to go")


def test_usage_annotations_drive_an_hpa_up_and_down_and_are_scraped(full: Cluster) -> None:
    with full.namespace() as namespace:
        full.apply(_deployment(namespace, 2, "1", nodeSelector={"pool": "fixed"}))
        full.set_usage(namespace, _names(full.wait_pods_ready(namespace, 2)), cpu="1")

        full.kubectl("autoscale", "deployment", "web", "--cpu=50%", "--min=1", "--max=4", "-n", namespace)
        pods = full.wait_pods_ready(namespace, 4, timeout_seconds=200)

        query = f'sum by (zone) (rate(pod_cpu_usage_seconds_total{{namespace="{namespace}"}}[10s])) > 0.9'
        loaded = full.wait_until(lambda: full.prometheus_query(query), "usage by zone in Prometheus")
        assert {sample["metric"]["zone"] for sample in loaded} <= {"zone-a", "zone-b", "zone-c"}

        full.set_usage(namespace, _names(pods), cpu="10m")
        full.wait_until(lambda: len(full.pods(namespace)) == 1, "one pod", timeout_seconds=200)


def test_prometheus_scrapes_targets_that_are_added_while_it_runs(full: Cluster) -> None:
    full.scrape("itself", [full.prometheus_url.removeprefix("http://")], {"colour": "red"})

    up = full.wait_until(lambda: full.prometheus_query('up{job="itself"} == 1'), "the target")

    assert up[0]["metric"]["colour"] == "red"


def test_the_scheduler_runs_the_given_profiles(full: Cluster) -> None:
    with full.namespace() as namespace:
        full.apply(_deployment(namespace, 1, "10m", nodeSelector={"pool": "fixed"}, schedulerName="second"))
        full.wait_pods_ready(namespace, 1)


def test_the_karpenter_pools_machines_exist_in_every_zone() -> None:
    offered = {
        requirement["values"][0]
        for machine in karpenter.instance_types()
        for offering in machine["offerings"]
        for requirement in offering["Requirements"]
        if requirement["key"] == "topology.kubernetes.io/zone"
    }
    assert offered == {"zone-a", "zone-b", "zone-c"}
