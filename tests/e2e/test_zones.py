"""Zones of new replicas with the real scheduler: they go where their own service is most loaded, within maxSkew."""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from harness import Installation
from localcluster import Cluster
from localcluster.nodes import USAGE_CPU, USAGE_MEMORY
from localcluster.rest import Object
from spillway.api.quantity import parse_quantity
from tests.support.command_line import explained
from tests.support.installed import (
    added_nodes,
    applied,
    condition,
    deployment,
    eventually,
    policy,
    status,
    without_metrics,
)
from tests.support.monitoring import expect_samples
from tests.support.tight import is_ready

pytestmark = [pytest.mark.xdist_group("balance")]

POOL: dict[str, Any] = {"pool": "zoned"}
REFRESH_SECONDS = 5
BUSY = "zone-b"
OTHER_MILLIS = 150
BUSY_MILLIS = 2 * OTHER_MILLIS
"""The traffic of the busy zone, which has doubled, in millicores; that of each other one has not."""
LEAST_CORES = Decimal("0.03")
"""Of a pod whose use was set, and whose use for the whole window was measured since."""
PROBES = 32
"""More than the API server keeps connections to one replica: the rest reach the other one as well."""


@pytest.fixture(scope="module", autouse=True)
def nodes(measured: Cluster) -> Iterator[list[str]]:
    with added_nodes(measured, "zoned", 6, cpu="16") as names:
        yield names


@pytest.fixture
def classed(measured: Cluster) -> Iterator[list[str]]:
    with added_nodes(measured, "classed", 2, cpu="8", zones=["zone-a"]) as names:
        yield names


def balance(**spec: Any) -> Object:
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ZonalBalance",
        "metadata": {"name": "zoned"},
        "spec": {"load": {"refresh": f"{REFRESH_SECONDS}s", "staleAfter": "2m"}, **spec},
    }


def zone_of_nodes(cluster: Cluster) -> dict[str, str]:
    items = cluster.rest.items("/api/v1/nodes")
    return {item["metadata"]["name"]: item["metadata"]["labels"]["topology.kubernetes.io/zone"] for item in items}


def zones(cluster: Cluster, namespace: str, name: str) -> Counter[str]:
    """How many pods of a workload are in each zone."""
    nodes = zone_of_nodes(cluster)
    bound = [pod["spec"].get("nodeName") for pod in cluster.pods(namespace, f"app={name}")]
    return Counter(nodes[node] for node in bound if node)


def stale(cluster: Cluster) -> Mapping[str, Any]:
    """The condition about the load."""
    return condition(cluster, "zonalbalances", "zoned", "LoadDataStale")


def names(cluster: Cluster, namespace: str, name: str) -> set[str]:
    """The pods of a workload that are not being deleted."""
    found = (pod["metadata"] for pod in cluster.pods(namespace, f"app={name}"))
    return {one["name"] for one in found if "deletionTimestamp" not in one}


def scale(cluster: Cluster, namespace: str, name: str, replicas: int) -> Counter[str]:
    cluster.kubectl("scale", "deployment", name, f"--replicas={replicas}", "-n", namespace)
    cluster.wait_pods_ready(namespace, replicas, f"app={name}")
    return zones(cluster, namespace, name)


def serve(cluster: Cluster, namespace: str, name: str, *, busy_millis: int = BUSY_MILLIS) -> int:
    """Spread the traffic of each zone over its replicas; what a replica in the busy zone uses, in millicores."""
    nodes, counts = zone_of_nodes(cluster), zones(cluster, namespace, name)
    for pod in cluster.pods(namespace, f"app={name}"):
        zone = nodes[pod["spec"]["nodeName"]]
        millis = (busy_millis if zone == BUSY else OTHER_MILLIS) // counts[zone]
        cluster.set_usage(namespace, [pod["metadata"]["name"]], cpu=f"{millis}m")
    return busy_millis // counts[BUSY]


def measured_pods(cluster: Cluster, namespace: str, name: str) -> int:
    """How many pods of a workload use what `serve` made them use, as metrics.k8s.io reports it."""
    items = cluster.rest.items(f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods")
    used = [item["containers"][0]["usage"]["cpu"] for item in items if item["metadata"]["name"].startswith(f"{name}-")]
    return sum(parse_quantity(cpu) > LEAST_CORES for cpu in used)


def test_new_replicas_go_where_their_own_service_is_most_loaded(
    measured: Cluster, measuring: Installation, measured_namespace: str
) -> None:
    measured.apply(deployment(measured_namespace, "plain", 6, nodeSelector=POOL))
    measured.wait_pods_ready(measured_namespace, 6, "app=plain")
    # The scheduler alone spreads new replicas evenly, whatever the load.
    serve(measured, measured_namespace, "plain")
    even = scale(measured, measured_namespace, "plain", 9)
    assert max(even.values()) - min(even.values()) <= 2
    with_scheduler_alone = serve(measured, measured_namespace, "plain")

    spec = {"maxSkew": 3, "zoneSpread": {}, "zonePreference": {}}
    measured.rest.merge(f"/api/v1/namespaces/{measured_namespace}", {"metadata": {"labels": {"team": "zoned"}}})
    with applied(measured, policy("zoned", namespace_label="zoned"), balance(**spec)):
        measured.apply(deployment(measured_namespace, "ours", 6, nodeSelector=POOL))
        measured.wait_pods_ready(measured_namespace, 6, "app=ours")
        before = zones(measured, measured_namespace, "ours")
        assert max(before.values()) - min(before.values()) <= 3
        serve(measured, measured_namespace, "ours")

        [replicaset] = [
            item
            for item in measured.rest.items(f"/apis/apps/v1/namespaces/{measured_namespace}/replicasets")
            if item["metadata"]["labels"]["app"] == "ours"
        ]

        def preferred() -> bool:
            made = probes(measured, measured_namespace, replicaset)
            return all(BUSY in str((pod["spec"].get("affinity") or {}).get("nodeAffinity")) for pod in made)

        eventually(preferred, "the busy zone to be preferred")
        expect_samples(measuring, "spillway_balance_zone_load_ratio")
        after = scale(measured, measured_namespace, "ours", 9)
        gained = after - before
        assert gained[BUSY] >= 2
        # So the replicas there have less to do than with the scheduler alone, which relieves zones that need it less.
        assert serve(measured, measured_namespace, "ours") < with_scheduler_alone
        # The least loaded zones stay within maxSkew of it.
        assert max(after.values()) - min(after.values()) <= 3

        # At a scale-down the least loaded zones give first; by the pods on each node alone, the busy one would.
        serve(measured, measured_namespace, "ours", busy_millis=2 * BUSY_MILLIS)
        eventually(lambda: measured_pods(measured, measured_namespace, "ours") == 9, "all replicas to be measured")
        wait_read(measuring)
        eventually(preferred, "the busy zone to be preferred again")
        ranked = explained(measured, measured_namespace, "workload", "ours")["scaleDown"]
        present = names(measured, measured_namespace, "ours")
        left = scale(measured, measured_namespace, "ours", 6)
        gone = present - names(measured, measured_namespace, "ours")
        assert gone == {one["pod"].partition("/")[2] for one in ranked[:3]}, "explain named them"
        assert left[BUSY] >= max(left["zone-a"], left["zone-c"]) + 2
        assert max(left.values()) - min(left.values()) <= 3

        # Without data all zones are equal, and the status says so.
        measured.apply(balance(**spec, load={"refresh": f"{REFRESH_SECONDS}s", "staleAfter": "20s"}))
        eventually(preferred, "the busy zone to be preferred")
        with without_metrics(measured):
            # The load of the nodes, which the condition is about as well, was read at another time.
            told = "new replicas and scale-downs prefer no zone"
            eventually(lambda: told in stale(measured).get("message", ""), "the condition LoadDataStale")
            made = probes(measured, measured_namespace, replicaset)
            assert not [pod for pod in made if (pod["spec"].get("affinity") or {}).get("nodeAffinity")]
        eventually(preferred, "the busy zone to be preferred once there is data")
        eventually(lambda: stale(measured).get("reason") == "LoadIsFresh", "the end of the condition")
    assert measuring.total("spillway_admission_outcomes_total", webhook="pods", outcome="zone") > 0


def test_without_a_required_spread_the_preference_ends_at_max_skew(
    measured: Cluster, measuring: Installation, measured_namespace: str
) -> None:
    with applied(measured, balance(maxSkew=2, zonePreference={})):
        measured.apply(deployment(measured_namespace, "bounded", 6, nodeSelector=POOL))
        measured.wait_pods_ready(measured_namespace, 6, "app=bounded")
        before = zones(measured, measured_namespace, "bounded")
        serve(measured, measured_namespace, "bounded")
        [replicaset] = measured.rest.items(f"/apis/apps/v1/namespaces/{measured_namespace}/replicasets")

        def preferred() -> bool:
            made = probes(measured, measured_namespace, replicaset)
            return any(BUSY in str((pod["spec"].get("affinity") or {}).get("nodeAffinity")) for pod in made)

        eventually(preferred, "the busy zone to be preferred")
        after = scale(measured, measured_namespace, "bounded", 12)
    # Without the bound all six would go there.
    assert 1 <= (after - before)[BUSY] <= 4
    assert max(after.values()) - min(after.values()) <= 3


def test_a_zone_that_is_lost_holds_no_pod_up_and_gets_its_replicas_back_without_a_missing_one(
    measured: Cluster, measuring: Installation, measured_namespace: str
) -> None:
    # No move is for the load: nodes may differ by all that there is.
    moves = {"target": {"maxImbalancePercent": 100}, "rebalance": {"mode": "Active", "settle": "5s"}}
    with applied(measured, balance(maxSkew=1, zoneSpread={}, **moves)):
        agents = deployment(measured_namespace, "agent", 0, nodeSelector=POOL)
        # kwok measures nothing on a node without pods.
        agents |= {"kind": "DaemonSet"}
        del agents["spec"]["replicas"]
        measured.apply(agents)
        measured.apply(deployment(measured_namespace, "even", 0, nodeSelector=POOL))
        wait_known(measured, measured_namespace)
        assert scale(measured, measured_namespace, "even", 6) == {"zone-a": 2, "zone-b": 2, "zone-c": 2}
        eventually(lambda: "next" in moving(measured), "moves to be planned")
        lost = [name for name, zone in zone_of_nodes(measured).items() if zone == "zone-c"]
        measured.fail_nodes(lost)
        try:
            measured.kubectl("scale", "deployment", "even", "--replicas=12", "-n", measured_namespace)
            # With the lost zone counted, the others could have one replica more each.
            eventually(
                lambda: zones(measured, measured_namespace, "even") == {"zone-a": 5, "zone-b": 5, "zone-c": 2},
                "the new replicas to be in the other zones",
            )
        finally:
            measured.delete_nodes(lost)
        eventually(
            lambda: zones(measured, measured_namespace, "even") == {"zone-a": 6, "zone-b": 6},
            "all replicas to be in the other zones",
        )
        eventually(lambda: "Zone/zone-c: ZoneDown" in moving(measured)["left"], "moves to wait for the zone")
        assert (moving(measured)["done"], moving(measured)["inProgress"]) == (0, 0)
        measured.add_nodes("zoned", 2, cpu="16", zones=("zone-c",))
        measured.wait_pods_ready(measured_namespace, 12, "app=even")
        least = 12

        def even_again() -> bool:
            nonlocal least
            least = min(least, sum(map(is_ready, measured.pods(measured_namespace, "app=even"))))
            found = zones(measured, measured_namespace, "even")
            return found == {"zone-a": 4, "zone-b": 4, "zone-c": 4}

        eventually(even_again, "even zones", seconds=300)
        eventually(lambda: moving(measured)["done"] == 4, "four moves to be counted")
        assert least == 12
    assert measuring.total("spillway_admission_outcomes_total", webhook="pods", outcome="zone") >= 12
    assert measuring.total("spillway_surges_total", purpose="Rebalance", outcome="Succeeded") >= 4


def wait_read(measuring: Installation) -> None:
    """Until the leader has read the load of zones once more.

    It does so in every `load.refresh`, as it reads the load of nodes, which it counts: while three of those end, one of
    zones begins and ends.
    """

    def readings() -> float:
        return measuring.total("spillway_balance_load_readings_total", balance="zoned")

    before = readings()
    eventually(lambda: readings() >= before + 3, "the load to be read three times")


def moving(cluster: Cluster) -> dict[str, Any]:
    """The part of the ZonalBalance's status about moves."""
    found: dict[str, Any] = status(cluster, "zonalbalances", "zoned").get("moves") or {}
    return found


def test_pods_of_a_measured_class_are_labelled_and_kept_apart(
    measured: Cluster, measuring: Installation, measured_namespace: str, classed: list[str]
) -> None:
    pool = {"pool": "classed"}
    empty, full = classed
    filler = deployment(measured_namespace, "filler", 1, nodeName=full)
    filler["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] = {"cpu": "4", "memory": "64Mi"}
    busy = deployment(measured_namespace, "busy", 1, nodeSelector=pool)
    for one, cpu, memory in ((filler, "10m", "2Gi"), (busy, "2", "256Mi")):
        usage = {USAGE_CPU: cpu, USAGE_MEMORY: memory}
        one["spec"]["template"]["metadata"]["annotations"] = usage
    # The scheduler avoids the full node only if it has seen the pod there.
    measured.apply(filler)
    measured.wait_pods_ready(measured_namespace, 1)
    measured.apply(busy)
    pods = measured.wait_pods_ready(measured_namespace, 2)
    assert {pod["metadata"]["labels"]["app"]: pod["spec"]["nodeName"] for pod in pods} == {
        "filler": full,
        "busy": empty,
    }
    [first] = [pod["metadata"]["name"] for pod in pods if pod["metadata"]["labels"]["app"] == "busy"]
    match = {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": measured_namespace}}}
    with applied(measured, balance(classes={"history": "10s"}, match=match)):

        def classes() -> dict[str, int]:
            return status(measured, "zonalbalances", "zoned").get("classes") or {}

        eventually(lambda: classes().get("cpuBound") and classes().get("memoryBound"), "both to have a class")
        measured.kubectl("delete", "pod", first, "-n", measured_namespace)
        eventually(lambda: first not in str(measured.pods(measured_namespace, "app=busy")), "the pod to go")
        [again] = measured.wait_pods_ready(measured_namespace, 1, "app=busy")
        assert again["metadata"]["labels"]["spillway.dev/load-class"] == "cpu-bound"
        assert again["spec"]["nodeName"] == empty

        # By requests the node with the busy pod is the emptiest one, so the scheduler alone prefers it.
        late = deployment(measured_namespace, "late", 1, nodeSelector=pool)
        late["spec"]["template"]["metadata"]["labels"]["spillway.dev/load-class"] = "cpu-bound"
        measured.apply([late, deployment(measured_namespace, "plain", 1, nodeSelector=pool)])
        landed = {
            app: measured.wait_pods_ready(measured_namespace, 1, f"app={app}")[0]["spec"]["nodeName"]
            for app in ("late", "plain")
        }
        assert landed == {"late": full, "plain": empty}
    eventually(
        lambda: measuring.total("spillway_balance_class_workloads", balance="zoned") == 0,
        "the metric to go with its balance",
    )


def wait_known(cluster: Cluster, namespace: str) -> None:
    """Until both replicas of the operator know the ZonalBalance."""
    path = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    [replicaset] = cluster.wait_until(lambda: cluster.rest.items(path), "the Deployment's ReplicaSet")

    def known() -> bool:
        return all(pod["spec"].get("topologySpreadConstraints") for pod in probes(cluster, namespace, replicaset))

    eventually(known, "the ZonalBalance to be known")


def probes(cluster: Cluster, namespace: str, replicaset: Object) -> list[Object]:
    """Pods of the ReplicaSet as both replicas of the operator would create them now."""
    with ThreadPoolExecutor(PROBES) as pool:
        return list(pool.map(lambda _: probe(cluster, namespace, replicaset), range(PROBES)))


def probe(cluster: Cluster, namespace: str, replicaset: Object) -> Object:
    """A pod of the ReplicaSet as it would be created now."""
    metadata = replicaset["metadata"]
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True}
    owner |= {"name": metadata["name"], "uid": metadata["uid"]}
    template = replicaset["spec"]["template"]
    pod = {
        "metadata": {"generateName": "probe-", "labels": template["metadata"]["labels"], "ownerReferences": [owner]},
        "spec": template["spec"],
    }
    found: Object = cluster.rest.create(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    return found
