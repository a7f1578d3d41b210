"""Recommended replicas through the real KEDA: ScaledObjects with a trigger of Spillway's scaler.

Contract: what scales is KEDA itself (from and to zero) and the HPA controller, which reads the number from KEDA's
adapter. KEDA trusts Spillway's certificate by a TriggerAuthentication, as the documentation says.
"""

import json
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import pytest

from harness import Installation
from localcluster import ClusterApi, ClusterError
from localcluster.rest import Object
from tests.support.e2e import LEASE_SECONDS
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

AUTHENTICATION: Final = "spillway"
METRIC: Final = "s0-spillway-recommended-replicas"
"""KEDA puts the number of the trigger before the metric's name."""
EXTERNAL: Final = "/apis/external.metrics.k8s.io/v1beta1"
OFTEN: Final = 2
"""The seconds after which KEDA asks by itself again."""
ONCE: Final = 2
"""The requests of KEDA each time it asks: for the metric, and whether the workload is active."""
NEVER: Final = 86_400
"""As many seconds that only what Spillway pushes can have an effect."""


@pytest.fixture
def shop(cluster: ClusterApi, installation: Installation) -> Iterator[str]:
    """A namespace in which KEDA trusts Spillway."""
    with cluster.namespace() as namespace:
        served = cluster.rest.get(f"/api/v1/namespaces/{installation.namespace}/secrets/spillway-webhook-tls")
        authority = {"name": "spillway-ca", "namespace": namespace}
        reference = {"parameter": "caCert", "name": "spillway-ca", "key": "ca.crt"}
        cluster.apply(
            [
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": authority,
                    "data": {"ca.crt": served["data"]["ca.crt"]},
                },
                {
                    "apiVersion": "keda.sh/v1alpha1",
                    "kind": "TriggerAuthentication",
                    "metadata": {"name": AUTHENTICATION, "namespace": namespace},
                    "spec": {"secretTargetRef": [reference]},
                },
            ]
        )
        yield namespace
        cluster.rest.delete(f"{GROUP_PATH}/elasticpolicies/{namespace}")
        # KEDA takes its finalizers off while the namespace is still there.
        cluster.kubectl("delete", "scaledobjects", "--all", f"--namespace={namespace}")


def _trigger(installation: Installation, trigger_type: str = "external-push", **metadata: str) -> Object:
    address = f"localhost:{installation.keda_port}"
    return {
        "type": trigger_type,
        "metadata": {"scalerAddress": address, **metadata},
        "authenticationRef": {"name": AUTHENTICATION},
    }


def _scaled_object(namespace: str, *triggers: Object, name: str = "web", **spec: Any) -> Object:
    """A ScaledObject of the Deployment of the same name."""
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"name": name},
            "pollingInterval": OFTEN,
            "cooldownPeriod": 1,
            "maxReplicaCount": 10,
            "triggers": list(triggers),
            **spec,
        },
    }


def _scaled_object_path(namespace: str, name: str = "web") -> str:
    return f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects/{name}"


def _condition(cluster: ClusterApi, namespace: str, kind: str) -> str:
    """The status of one condition of the ScaledObject."""
    return conditions_of(cluster, _scaled_object_path(namespace)).get(kind, ("", ""))[0]


def _autoscaler_reads(cluster: ClusterApi, namespace: str, name: str = "web") -> bool:
    """Whether the autoscaler that KEDA made has all its metrics."""
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/keda-hpa-{name}"
    return conditions_of(cluster, path).get("ScalingActive", ("", ""))[0] == "True"


def _value(cluster: ClusterApi, namespace: str) -> int | None:
    """What KEDA's adapter answers; None where it answers with an error."""
    selector = "labelSelector=scaledobject.keda.sh%2Fname%3Dweb"
    try:
        found = json.loads(cluster.kubectl("get", "--raw", f"{EXTERNAL}/namespaces/{namespace}/{METRIC}?{selector}"))
    except ClusterError:
        return None
    return int(found["items"][0]["value"])


def _events(cluster: ClusterApi, namespace: str) -> list[str]:
    """The messages of the ScaledObject's Events."""
    events = cluster.rest.items(f"/api/v1/namespaces/{namespace}/events")
    return [one["message"] for one in events if one["involvedObject"]["kind"] == "ScaledObject"]


def _asked(installation: Installation) -> float:
    return installation.total("spillway_keda_scaler_requests_total")


def _at_zero(cluster: ClusterApi, installation: Installation, namespace: str) -> None:
    """A workload without replicas that KEDA has asked about once, and does not ask about again."""
    cluster.apply([deployment(namespace, replicas=0), scaling_policy(namespace)])
    trigger = _trigger(installation, workload="web")
    before = _asked(installation)
    cluster.apply(_scaled_object(namespace, trigger, minReplicaCount=0, pollingInterval=NEVER))
    cluster.wait_until(lambda: _asked(installation) >= before + ONCE, "KEDA to have asked")
    assert replicas_of(cluster, namespace) == 0


def _begin_schedule(cluster: ClusterApi, namespace: str) -> None:
    cluster.rest.merge(
        f"{GROUP_PATH}/elasticpolicies/{namespace}", {"spec": scaling_policy(namespace, now_active())["spec"]}
    )


def test_kedas_autoscalers_scale_up_at_a_schedules_start_and_down_after_it_by_cpu(
    cluster: ClusterApi, installation: Installation, shop: str
) -> None:
    cpu = {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "50"}}
    types = {"push": "external-push", "pull": "external"}
    for name, trigger_type in types.items():
        cluster.apply(deployment(shop, name))
        trigger = _trigger(installation, trigger_type, kind="Deployment", workload=name)
        cluster.apply(_scaled_object(shop, trigger, cpu, name=name, minReplicaCount=1))
    pods = cluster.wait_pods_ready(shop, len(types))
    cluster.set_usage(shop, [pod["metadata"]["name"] for pod in pods], cpu="10m")
    start = next_minute(20)
    cluster.apply(scaling_policy(shop, schedule(start, "90s")))
    for name in types:
        cluster.wait_until(partial(_autoscaler_reads, cluster, shop, name), f"the autoscaler of {name} to read both")
        if datetime.now(UTC) < start:
            assert replicas_of(cluster, shop, name) == 1

    def all_have(replicas: int) -> bool:
        return {replicas_of(cluster, shop, name) for name in types} == {replicas}

    # No pod has any load.
    cluster.wait_until(lambda: all_have(FLOOR), "the floor of the schedule")
    assert datetime.now(UTC) >= start
    cluster.wait_until(lambda: all_have(1), "the scale-down by CPU")
    assert datetime.now(UTC) >= start + timedelta(seconds=90)


def test_a_workload_comes_from_zero_as_soon_as_a_schedule_begins_and_returns_after_it(
    cluster: ClusterApi, installation: Installation, shop: str
) -> None:
    _at_zero(cluster, installation, shop)
    _begin_schedule(cluster, shop)
    cluster.wait_until(lambda: replicas_of(cluster, shop) == FLOOR, "the floor of the schedule")
    path = f"{GROUP_PATH}/elasticpolicies/{shop}"
    cluster.wait_until(
        lambda: [one["autoscaler"] for one in cluster.rest.get(path)["status"].get("scaling", ())] == ["keda-hpa-web"],
        "the status to name the autoscaler that KEDA made",
    )
    assert conditions_of(cluster, path).get("NoAutoscaler", ("False", ""))[0] == "False"

    # KEDA scales down to zero only where it asks itself.
    cluster.rest.merge(_scaled_object_path(shop), {"spec": {"pollingInterval": OFTEN}})
    cluster.rest.merge(path, {"spec": scaling_policy(shop)["spec"]})
    cluster.wait_until(lambda: replicas_of(cluster, shop) == 0, "the workload to have no replica")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda one: one.name)
def test_keda_connects_again_after_both_replicas_have_been_away(
    cluster: ClusterApi, installation: Installation, shop: str, how: signal.Signals
) -> None:
    _at_zero(cluster, installation, shop)
    for index in (0, 1):
        installation.kill(index, how)
    for index in (0, 1):
        installation.start_one(index)
    installation.wait_ready()
    _begin_schedule(cluster, shop)
    cluster.wait_until(lambda: replicas_of(cluster, shop) == FLOOR, "the floor of the schedule")


def test_the_number_is_the_same_while_replicas_restart_one_after_the_other(
    cluster: ClusterApi, installation: Installation, shop: str
) -> None:
    cluster.apply([deployment(shop), scaling_policy(shop, now_active())])
    cluster.apply(_scaled_object(shop, _trigger(installation, workload="web"), minReplicaCount=1))
    cluster.wait_until(lambda: replicas_of(cluster, shop) == FLOOR, "the floor of the schedule")
    seen: list[int] = []
    for how in (signal.SIGTERM, signal.SIGKILL):
        leader = installation.wait_leader()
        installation.kill(leader, how)
        end = time.monotonic() + LEASE_SECONDS + 2
        while time.monotonic() < end:
            value = _value(cluster, shop)
            seen += [] if value is None else [value]
        installation.start_one(leader)
        installation.wait_ready()
    # A connection to the replica that ended may fail once; whatever is answered is the number.
    assert set(seen) == {FLOOR}
    assert replicas_of(cluster, shop) == FLOOR


def test_the_present_number_is_kept_where_no_forecast_is_known(
    cluster: ClusterApi, installation: Installation, shop: str
) -> None:
    cluster.apply(deployment(shop, replicas=3))
    target = {"metric": "cpu", "utilization": 50}
    cluster.apply(scaling_policy(shop, target=target, forecast={"mode": "Active"}))
    cluster.apply(_scaled_object(shop, _trigger(installation, workload="web"), minReplicaCount=0))
    cluster.wait_until(lambda: _autoscaler_reads(cluster, shop), "the autoscaler to read the number")
    policy = f"{GROUP_PATH}/elasticpolicies/{shop}"
    [shown] = cluster.wait_until(lambda: cluster.rest.get(policy)["status"].get("scaling"), "the number in the status")
    assert (shown["replicas"], shown["reason"]) == (3, "CurrentReplicas")
    # Longer than KEDA and the autoscaler wait before they scale down.
    end = time.monotonic() + 15
    while time.monotonic() < end:
        assert replicas_of(cluster, shop) == 3
        time.sleep(0.5)
    assert _condition(cluster, shop, "Active") == "True"


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({}, "the trigger's metadata must name a workload"),
        ({"workload": "unknown"}, "Deployment/{shop}/unknown has no recommended replicas"),
    ],
    ids=["no workload", "unknown workload"],
)
def test_the_scaled_object_says_what_is_wrong_with_its_trigger(
    cluster: ClusterApi, installation: Installation, shop: str, metadata: dict[str, str], says: str
) -> None:
    cluster.apply([deployment(shop), scaling_policy(shop, now_active())])
    cluster.apply(_scaled_object(shop, _trigger(installation, **metadata), minReplicaCount=1))
    cluster.wait_until(
        lambda: any(says.format(shop=shop) in one for one in _events(cluster, shop)), "an Event with the reason"
    )
    cluster.wait_until(lambda: _condition(cluster, shop, "Ready") == "False", "the condition of the ScaledObject")
    assert replicas_of(cluster, shop) == 1

    right = [_trigger(installation, workload="web")]
    cluster.rest.merge(_scaled_object_path(shop), {"spec": {"triggers": right}})
    cluster.wait_until(lambda: replicas_of(cluster, shop) == FLOOR, "the floor of the schedule")
    cluster.wait_until(lambda: _condition(cluster, shop, "Ready") == "True", "the condition of the ScaledObject")


def test_replicas_stay_while_spillway_is_away_and_the_fallback_is_for_a_workload_without_a_number(
    cluster: ClusterApi, installation: Installation, shop: str
) -> None:
    cluster.apply([deployment(shop), scaling_policy(shop, now_active())])
    fallback = {"failureThreshold": 1, "replicas": 7}
    trigger = _trigger(installation, workload="web")
    cluster.apply(_scaled_object(shop, trigger, minReplicaCount=0, fallback=fallback))
    cluster.wait_until(lambda: replicas_of(cluster, shop) == FLOOR, "the floor of the schedule")
    for index in (0, 1):
        installation.kill(index)
    cluster.wait_until(lambda: not _autoscaler_reads(cluster, shop), "the autoscaler to miss its metric")
    # KEDA needs the scaler for its fallback, too.
    assert replicas_of(cluster, shop) == FLOOR
    for index in (0, 1):
        installation.start_one(index)
    installation.wait_ready()
    cluster.wait_until(lambda: _autoscaler_reads(cluster, shop), "the autoscaler to read the number")
    assert replicas_of(cluster, shop) == FLOOR

    cluster.rest.delete(f"{GROUP_PATH}/elasticpolicies/{shop}")
    cluster.wait_until(lambda: replicas_of(cluster, shop) == 7, "the fallback of the ScaledObject")
