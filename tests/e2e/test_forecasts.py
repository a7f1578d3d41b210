"""Forecasts on the real control plane: from what pods use, over the Prometheus of the cluster, to the recommendation.

Contract: a cluster of its own, whose Prometheus scrapes the kubelets' endpoint that metrics-server reads as well. The
first forecast needs a step of five minutes to end, which takes that long at most.
"""

from collections.abc import Iterator

import pytest

from harness import Installation
from localcluster import Cluster, ClusterFactory, Options
from localcluster.rest import Object
from tests.support.installed import API, deployment
from tests.support.monitoring import expect_samples

pytestmark = [pytest.mark.e2e, pytest.mark.cluster]

STEP_ENDS_SECONDS = 300.0 + 90.0
USED_CORES, REPLICAS, REQUESTED = 1.5, 3, "500m"
DEMAND = USED_CORES * REPLICAS / (0.5 * 0.6)
"""In replicas at 60 % of their request."""
NOISE = 0.25
"""The highest of five rates is above their mean, the more the less evenly the scrapes come."""


@pytest.fixture(scope="module")
def watched(cluster_factory: ClusterFactory) -> Iterator[Cluster]:
    with cluster_factory(Options(prometheus=True, prometheus_scrape_seconds=15)) as cluster:
        assert isinstance(cluster, Cluster)
        cluster.add_nodes("fixed", 1, cpu="64", pods=100)
        yield cluster


def policy(namespace: str, name: str, *classes: Object) -> Object:
    match = {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    workloads = [{**one, "match": {**match, **one["match"]}} for one in classes]
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ElasticPolicy",
        "metadata": {"name": name},
        "spec": {"mode": "Recommend", "workloads": workloads},
    }


def app(name: str) -> Object:
    return {"labels": {"matchLabels": {"app": name}}}


def test_what_pods_use_becomes_a_forecast_in_status_metrics_and_recommendation(watched: Cluster) -> None:
    flags = ["--status-seconds=2", f"--prometheus-url={watched.prometheus_url}"]
    with watched.namespace() as namespace, Installation(watched, flags=flags) as operator:
        operator.apply()
        for name in ("web", "broken"):
            web = deployment(namespace, name, REPLICAS)
            [container] = web["spec"]["template"]["spec"]["containers"]
            container["resources"] = {"requests": {"cpu": REQUESTED}}
            watched.apply(web)
        pods = watched.wait_pods_ready(namespace, 2 * REPLICAS)
        watched.set_usage(namespace, [pod["metadata"]["name"] for pod in pods], cpu=str(USED_CORES))
        cpu = {"target": {"metric": "cpu", "utilization": 60}, "forecast": {"startup": "3m", "window": "30m"}}
        refused = {"target": {"query": "sum(", "perReplica": "1"}, "forecast": {}}
        watched.apply(
            policy(
                namespace,
                namespace,
                {"name": "web", "match": app("web"), "scaling": cpu},
                {"name": "broken", "match": app("broken"), "scaling": refused},
            )
        )
        operator.start_one(0)
        operator.wait_ready(0)
        operator.wait_leader()

        def status() -> Object:
            found: Object = watched.rest.get(f"{API}/elasticpolicies/{namespace}").get("status") or {}
            return found

        def condition(kind: str) -> tuple[str, str]:
            found = {one["type"]: one for one in status().get("conditions") or []}
            return found.get(kind, {}).get("status", ""), found.get(kind, {}).get("reason", "")

        watched.wait_until(lambda: condition("DemandUnusable") == ("True", "QueryRefused"), "the refused query")
        watched.wait_until(lambda: status().get("forecasts"), "a forecast", timeout_seconds=STEP_ENDS_SECONDS)
        workload = f"Deployment/{namespace}/web"

        def forecast() -> bool:
            [found] = status()["forecasts"]
            return bool(found["workload"] == workload and float(found["present"]) == pytest.approx(DEMAND, rel=NOISE))

        # The first rates may be from before the usage was set.
        watched.wait_until(forecast, f"a demand of {DEMAND} replicas", timeout_seconds=STEP_ENDS_SECONDS)
        assert condition("ForecastStale")[0] != "True"
        labels = {"namespace": namespace, "kind": "Deployment", "workload": "web"}
        shown = operator.metrics(0)
        for metric in ("present", "demand"):
            assert shown.total(f"spillway_forecast_{metric}_replicas", **labels) == pytest.approx(DEMAND, rel=NOISE)
        assert shown.total("spillway_forecast_workloads", state="forecast") == 1
        assert shown.total("spillway_forecast_workloads", state="unusable") == 1
        assert shown.total("spillway_forecast_refreshes_total", result="made") >= 1
        expect_samples(
            operator,
            "spillway_forecast_demand_replicas",
            "spillway_forecast_present_replicas",
            "spillway_forecast_refreshes_total",
            "spillway_forecast_timestamp_seconds",
            "spillway_scaling_recommended_replicas",
        )
        [recommended] = [one for one in status().get("scaling") or [] if one["workload"] == workload]
        assert recommended["forecast"] == pytest.approx(DEMAND, rel=NOISE)

        events = watched.rest.items(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
        unusable = [one["regarding"]["name"] for one in events if one["reason"] == "DemandUnusable"]
        assert unusable == ["broken"]
