"""Recommended replicas and the real HPA controller: it scales up by schedule and forecast, before there is any load.

Contract: the cluster is of this module's own, because an aggregated API that is registered and away would hold up the
removal of namespaces in the one that others share.
"""

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness import Installation
from harness.prometheus import Labels, PushedPrometheus, prometheus_running
from localcluster import ClusterApi, ClusterError, ClusterFactory, Options
from localcluster.rest import Object, RestError
from tests.support.e2e import LEASE_SECONDS, QUICK_LEASE, two_replicas
from tests.support.installed import autoscaler
from tests.support.scaled import (
    FLOOR,
    conditions_of,
    deployment,
    next_minute,
    now_active,
    replicas_of,
    scaling_policy,
    schedule,
)
from tests.support.stage import GROUP_PATH

API = "/apis/external.metrics.k8s.io/v1beta1"
API_SERVICE = "apiservice/v1beta1.external.metrics.k8s.io"
METRIC = "spillway-recommended-replicas"
DAY = 86_400.0

Series = tuple[Labels, NDArray[np.float64], NDArray[np.float64]]


@pytest.fixture(scope="module")
def served(cluster_factory: ClusterFactory) -> Iterator[ClusterApi]:
    with cluster_factory(Options(metrics_server=True)) as cluster:
        cluster.add_nodes("fixed", 2, cpu="16")
        yield cluster


@pytest.fixture(scope="module")
def history() -> Iterator[PushedPrometheus]:
    """The Prometheus of business metrics."""
    with prometheus_running() as server:
        yield server


@pytest.fixture(scope="module")
def installation(served: ClusterApi, history: PushedPrometheus) -> Iterator[Installation]:
    """Two replicas that serve the external metrics API."""
    flag = f"--prometheus-url={history.url}"
    with two_replicas(served, {"externalMetrics": {"enabled": True}}, flag, QUICK_LEASE) as installed:
        served.kubectl(
            "wait", "--for=condition=Available", "--timeout=180s", "apiservice/v1beta1.external.metrics.k8s.io"
        )
        yield installed


def _autoscaler(namespace: str, name: str = "web", *, by_cpu: bool = True) -> dict[str, Any]:
    """Beside the recommended number it goes by CPU; without it, it may scale to zero."""
    recommended = {
        "metric": {"name": METRIC, "selector": {"matchLabels": {"kind": "Deployment", "workload": name}}},
        "target": {"type": "AverageValue", "averageValue": "1"},
    }
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    metrics: list[dict[str, Any]] = [{"type": "External", "external": recommended}]
    return autoscaler(
        namespace,
        name,
        1 if by_cpu else 0,
        10,
        metrics=[{"type": "Resource", "resource": cpu}, *metrics] if by_cpu else metrics,
    )


def _managed_policy(namespace: str) -> dict[str, Any]:
    """A policy that owns the autoscaler, and whose schedule has begun."""
    target = {"metric": "cpu", "utilization": 50}
    return scaling_policy(namespace, now_active(), hpa="Managed", maxReplicas=8, target=target)


def _value(cluster: ClusterApi, namespace: str) -> int | None:
    """What kube-apiserver passes on; None if it cannot be asked now, or knows no such workload."""
    try:
        found = cluster.rest.get(f"{API}/namespaces/{namespace}/{METRIC}", labelSelector="kind=Deployment,workload=web")
    except RestError:
        return None
    return sum(int(item["value"]) for item in found["items"]) if found["items"] else None


def _listed(cluster: ClusterApi, namespace: str, field: str) -> list[Object]:
    """A list of the status of the namespace's policy."""
    status = cluster.rest.get(f"{GROUP_PATH}/elasticpolicies/{namespace}").get("status") or {}
    found: list[Object] = status.get(field) or []
    return found


def test_an_hpa_scales_up_at_a_schedules_start_and_down_after_it_by_cpu(
    served: ClusterApi, installation: Installation
) -> None:
    with served.namespace() as namespace:
        served.apply(deployment(namespace))
        (pod,) = served.wait_pods_ready(namespace, 1)
        served.set_usage(namespace, [pod["metadata"]["name"]], cpu="10m")
        served.apply(_autoscaler(namespace))
        start = next_minute(20)
        served.apply(scaling_policy(namespace, schedule(start, "45s")))
        autoscaler = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/web"
        served.wait_until(
            lambda: conditions_of(served, autoscaler).get("ScalingActive", ("", ""))[0] == "True",
            "the autoscaler to read both metrics",
        )
        if datetime.now(UTC) < start:
            assert replicas_of(served, namespace) == 1

        # No pod has any load.
        served.wait_until(lambda: replicas_of(served, namespace) == FLOOR, "the floor of the schedule")
        assert datetime.now(UTC) >= start

        def by_schedule() -> list[Object]:
            """What the status lists, once it says so; autoscalers may read the number before the status is written."""
            listed = _listed(served, namespace, "scaling")
            return listed if [one["reason"] for one in listed] == ["Schedule"] else []

        [shown] = served.wait_until(by_schedule, "the schedule in the status")
        assert (shown["workload"], shown["schedule"], shown["autoscaler"]) == (
            f"Deployment/{namespace}/web",
            "peak",
            "web",
        )

        served.wait_until(lambda: replicas_of(served, namespace) == 1, "the scale-down by CPU")
        assert datetime.now(UTC) >= start + timedelta(seconds=45)
        served.rest.delete(f"{GROUP_PATH}/elasticpolicies/{namespace}")


def _daily(name: str, low: float, high: float, peak: float) -> Series:
    """A week of a queue that is longer for an hour of each day, the next time at `peak`."""
    times = np.arange(peak - 8 * DAY, time.time(), 60.0)
    return {"__name__": "queue", "queue": name}, times, np.where((times - peak) % DAY < 3600, high, low)


def test_an_hpa_scales_up_before_a_forecast_peak_and_to_and_from_zero(
    served: ClusterApi, installation: Installation, history: PushedPrometheus
) -> None:
    """The demand has not risen yet: earlier days tell that it will, once that is within the window."""
    peak = time.time() + 1500
    history.push([_daily("web", 100.0, 580.0, peak), _daily("querier", 0.0, 280.0, peak)])
    with served.namespace() as namespace:
        for name, replicas in (("web", 1), ("querier", 2)):
            served.apply(deployment(namespace, name, replicas=replicas))
            served.apply(_autoscaler(namespace, name, by_cpu=name == "web"))
        pods = served.wait_pods_ready(namespace, 3)
        served.set_usage(namespace, [pod["metadata"]["name"] for pod in pods], cpu="10m")
        target = {"query": 'max(queue{queue="$(workload)"})', "perReplica": "100"}
        policy = scaling_policy(namespace, target=target, forecast={"window": "5m", "startup": "3m"})
        served.apply(policy)
        served.wait_until(lambda: replicas_of(served, namespace, "querier") == 0, "no replica without a queue")
        assert replicas_of(served, namespace) == 1

        policy["spec"]["workloads"][0]["scaling"]["forecast"]["window"] = "45m"
        path = f"{GROUP_PATH}/elasticpolicies/{namespace}"
        served.rest.merge(path, {"spec": policy["spec"]})
        served.wait_until(lambda: replicas_of(served, namespace) in {6, 7}, "the replicas of the peak")
        served.wait_until(lambda: replicas_of(served, namespace, "querier") in {3, 4}, "replicas for the queue")
        assert time.time() < peak
        served.wait_until(
            lambda: [one["reason"] for one in _listed(served, namespace, "scaling")] == ["Forecast", "Forecast"],
            "both forecasts in the status",
        )
        assert sorted(float(one["present"]) for one in _listed(served, namespace, "forecasts")) == [0.0, 1.0]
        served.rest.delete(path)


def test_the_number_stays_while_the_leader_is_gone(served: ClusterApi, installation: Installation) -> None:
    with served.namespace() as namespace:
        served.apply(deployment(namespace))
        served.wait_pods_ready(namespace, 1)
        served.apply(scaling_policy(namespace, now_active()))
        served.wait_until(lambda: _value(served, namespace) == FLOOR, "the number")
        asked = installation.total("spillway_external_metrics_answers_total", source="asked")

        leader = installation.wait_leader()
        installation.kill(leader)
        seen: list[int] = []
        end = time.monotonic() + 2 * LEASE_SECONDS
        while time.monotonic() < end:
            value = _value(served, namespace)
            seen += [] if value is None else [value]
            time.sleep(0.1)
        # A connection to the killed process may fail once; whatever is answered is the number.
        assert set(seen) == {FLOOR}
        assert len(seen) > LEASE_SECONDS
        installation.start_one(leader)
        installation.wait_ready()
        installation.wait_leader()
        assert asked >= 0
        served.rest.delete(f"{GROUP_PATH}/elasticpolicies/{namespace}")


def test_a_managed_autoscaler_holds_the_floor_and_goes_with_its_policy(
    served: ClusterApi, installation: Installation
) -> None:
    with served.namespace() as namespace:
        served.apply(deployment(namespace))
        (pod,) = served.wait_pods_ready(namespace, 1)
        served.set_usage(namespace, [pod["metadata"]["name"]], cpu="10m")
        policy = _managed_policy(namespace)
        served.apply(policy)
        path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/spillway-deployment-web"
        served.wait_until(lambda: replicas_of(served, namespace) == FLOOR, "the floor of the schedule")
        spec = served.rest.get(path)["spec"]
        assert (spec["minReplicas"], spec["maxReplicas"]) == (FLOOR, 8)

        # Without the schedule CPU alone decides.
        policy["spec"]["workloads"][0]["scaling"]["schedules"] = []
        served.rest.merge(f"{GROUP_PATH}/elasticpolicies/{namespace}", {"spec": policy["spec"]})
        served.wait_until(lambda: replicas_of(served, namespace) == 1, "the scale-down by CPU")
        # Kubernetes collects what a policy owned.
        served.rest.delete(f"{GROUP_PATH}/elasticpolicies/{namespace}")
        served.wait_until(lambda: not served.exists(path), "the autoscaler to go")


def test_an_autoscaler_of_the_users_is_left_alone(served: ClusterApi, installation: Installation) -> None:
    with served.namespace() as namespace:
        served.apply(deployment(namespace))
        served.apply(_autoscaler(namespace))
        served.apply(_managed_policy(namespace))
        path = f"{GROUP_PATH}/elasticpolicies/{namespace}"
        served.wait_until(
            lambda: conditions_of(served, path).get("ForeignAutoscaler") == ("True", "NotOurs"),
            "the autoscaler to be reported",
        )
        items = served.rest.items(f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers")
        assert [one["metadata"]["name"] for one in items] == ["web"]
        assert items[0]["spec"]["minReplicas"] == 1
        served.rest.delete(path)


def _direct(installation: Installation, path: str, **headers: str) -> int:
    """The HTTP status of a request that does not come through kube-apiserver."""
    secret = installation.cluster.rest.get("/api/v1/namespaces/spillway-system/secrets/spillway-webhook-tls")
    trusted = ssl.create_default_context(cadata=base64.b64decode(secret["data"]["ca.crt"]).decode())
    request = urllib.request.Request(f"https://localhost:{installation.metrics_api_port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10, context=trusted) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_who_comes_past_kube_apiserver_needs_a_token_with_the_right(
    served: ClusterApi, installation: Installation
) -> None:
    with served.namespace() as namespace:
        path = f"{API}/namespaces/{namespace}/{METRIC}"
        assert _direct(installation, path) == 401
        assert _direct(installation, path, **{"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}) == 401
        plain = served.service_account_token(namespace, "default")
        assert _direct(installation, path, Authorization=f"Bearer {plain}") == 403
        reader = served.service_account_token("kube-system", "horizontal-pod-autoscaler")
        assert _direct(installation, path, Authorization=f"Bearer {reader}") == 200
        assert _direct(installation, "/healthz") == 200


def test_kubectl_finds_the_api_and_strangers_are_refused(served: ClusterApi, installation: Installation) -> None:
    found = json.loads(served.kubectl("get", "--raw", API))
    assert [one["name"] for one in found["resources"]] == [METRIC]
    listing = ("api-resources", "--api-group=external.metrics.k8s.io", "--output=name", "--cached=false")
    served.wait_until(
        lambda: f"{METRIC}.external.metrics.k8s.io" in served.kubectl(*listing),
        "kube-apiserver to have read the API's resources",
    )
    with served.namespace() as namespace:
        path = f"{API}/namespaces/{namespace}/{METRIC}"
        with pytest.raises(ClusterError, match="forbidden"):
            served.kubectl("get", "--raw", path, "--as=mallory")
        controller = "--as=system:serviceaccount:kube-system:horizontal-pod-autoscaler"
        # A workload without scaling has no number, which an autoscaler reports.
        assert json.loads(served.kubectl("get", "--raw", path, controller))["items"] == []
        with pytest.raises(ClusterError, match="the only one is"):
            served.kubectl("get", "--raw", f"{API}/namespaces/{namespace}/other")
