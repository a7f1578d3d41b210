"""Limits beside what makes pods bigger after they were placed: LimitRanges, another webhook, a resize in place.

What is on a pool is read from the pods on its nodes, as the scheduler counts them.
"""

from itertools import count

from localcluster import ClusterApi
from localcluster.rest import Object
from spillway.api.quantity import cpu_millis
from tests.support.injector import Injector
from tests.support.stage import GROUP_PATH, PLACEMENT, OwnedNodes, Stage

OWNED = OwnedNodes("owned-by-grown", 1, cpu="100", pods=200)
ALWAYS = {"placement": {"virtual": "Always"}}


def requested(pod: Object) -> int:
    """Millicores of all its containers, sidecars too."""
    containers = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]
    amounts = [one.get("resources", {}).get("requests", {}).get("cpu", "0") for one in containers]
    return sum(map(cpu_millis, amounts))


def assert_full(stage: Stage, pods: list[Object], millicores: int) -> None:
    """These pods of 300 millicores fill pool `a` as far as its limit allows; one that was not decided is physical."""
    assert millicores - 300 * stage.undecided(pods) <= on_pool(stage, pods) <= millicores


def on_pool(stage: Stage, pods: list[Object]) -> int:
    """Millicores that these pods request on pool `a`."""
    return sum(requested(pod) for pod in pods if stage.place(pod["spec"].get("nodeName", "")) == "a")


def wait_decided(stage: Stage, name: str, count: int) -> list[Object]:
    """Until so many pods are on nodes that Spillway has decided; one for which it was too late is created once more."""
    found: list[Object] = []

    def decided() -> bool:
        found[:] = stage.wait_bound(name, count)
        late = [pod for pod in found if PLACEMENT not in (pod["metadata"].get("annotations") or {})]
        for pod in late:
            stage.cluster.rest.delete(f"/api/v1/namespaces/{stage.namespace}/pods/{pod['metadata']['name']}")
        return not late

    stage.cluster.wait_until(decided, f"{count} decided pods of {name}")
    return found


def test_a_limit_counts_what_a_limit_range_gives_to_the_pools_sidecar(stage: Stage, cluster: ClusterApi) -> None:
    limits = [{"type": "Container", "defaultRequest": {"cpu": "200m"}}]
    path = f"/api/v1/namespaces/{stage.namespace}/limitranges"
    cluster.rest.create(path, {"metadata": {"name": "defaults"}, "spec": {"limits": limits}})
    overlay = {"sidecars": [{"name": "agent", "image": "agent:1"}]}
    stage.govern(ALWAYS, a={"limits": {"cpu": "1"}, "podOverlay": overlay}, b={"cordon": "Hold"})
    names = [f"web-{number}" for number in range(6)]
    for name in names:
        # The first pod of each workload counts as well: nothing has to be learned.
        stage.deploy(name, 1, cpu="100m")
    pods = [pod for name in names for pod in stage.wait_bound(name, 1)]
    assert_full(stage, pods, 900)
    assert {requested(pod) for pod in pods if stage.place(pod["spec"]["nodeName"]) == "a"} == {300}


def test_what_another_webhook_adds_to_the_first_pod_counts_for_the_next(stage: Stage, cluster: ClusterApi) -> None:
    stage.govern(ALWAYS, a={"limits": {"cpu": "1"}}, b={"cordon": "Hold"})
    with Injector(cluster, stage.namespace, "200m"):
        stage.deploy("web", 8, cpu="100m")
        pods = stage.wait_bound("web", 8)
    assert [requested(pod) for pod in pods] == [300] * 8
    assert_full(stage, pods, 900)


def test_also_what_it_adds_to_a_physical_pod(stage: Stage, cluster: ClusterApi) -> None:
    """The first two virtual pods are created at the same moment, before the other webhook has changed either."""
    stage.govern({"threshold": {"mode": "Manual", "replicas": 1}}, a={"limits": {"cpu": "500m"}}, b={"cordon": "Hold"})
    with Injector(cluster, stage.namespace, "200m"):
        stage.deploy("web", 6, cpu="100m")
        pods = stage.wait_bound("web", 6)
    assert_full(stage, pods, 300)


def test_a_pod_that_passes_a_limit_because_it_grew_is_replaced_elsewhere(stage: Stage, cluster: ClusterApi) -> None:
    # These pods never start: neither they nor their pool are given up for it, however slow the machine is.
    patient = {"limits": {"cpu": "1"}, "failover": {"unhealthyAfter": "1h"}}
    stage.govern({"placement": {"virtual": "Always", "spillAfter": "1h"}}, a=patient, b=patient)
    stage.deploy("web", 4, cpu="200m", starts=False)
    pods = wait_decided(stage, "web", 4)
    assert on_pool(stage, pods) == 800
    with Injector(cluster, stage.namespace, "400m"):
        stage.deploy("cart", 1, cpu="200m", starts=False)
        wait_decided(stage, "cart", 1)

        def moved() -> bool:
            return [stage.place(pod["spec"].get("nodeName", "")) for pod in stage.pods("cart")] == ["b"]

        cluster.wait_until(moved, "the pod that grew on pool b")
    assert on_pool(stage, [*stage.pods("web"), *stage.pods("cart")]) == 800
    said = f"Pods that never started are replaced: a limit of {stage.pools['a']} is exceeded."
    cluster.wait_until(lambda: ("Deployment/cart", said) in stage.events("PodsReplaced"), "the Event")


def test_a_limit_counts_what_a_pod_holds_until_its_resize_is_done(stage: Stage, cluster: ClusterApi) -> None:
    stage.govern(ALWAYS, a={"limits": {"cpu": "4"}}, b={"cordon": "Hold"})
    stage.deploy("cache", 2, cpu="1500m")
    pods = stage.wait_bound("cache", 2)
    held = {"cpu": "1500m", "memory": "16Mi"}
    for pod in pods:
        path = f"/api/v1/namespaces/{stage.namespace}/pods/{pod['metadata']['name']}"
        status = {"name": "main", "image": "i", "imageID": "x", "ready": True, "restartCount": 0, "started": True}
        status |= {"allocatedResources": held, "resources": {"requests": held}}
        cluster.rest.merge(f"{path}/status", {"status": {"containerStatuses": [status]}})
        smaller = {**pod["spec"]["containers"][0], "resources": {"requests": held | {"cpu": "250m"}}}
        cluster.rest.merge(f"{path}/resize", {"spec": {"containers": [smaller]}})
    # The quota counts as the budget does, and says when what was written is seen.
    quota = {"metadata": {"name": "all"}, "spec": {"hard": {"requests.cpu": "100"}}}
    cluster.rest.create(f"/api/v1/namespaces/{stage.namespace}/resourcequotas", quota)

    amounts = count(100)

    def counted() -> bool:
        # A change of the quota makes its controller count again, if it had not seen the resize yet.
        path = f"/api/v1/namespaces/{stage.namespace}/resourcequotas/all"
        quota = cluster.rest.merge(path, {"spec": {"hard": {"requests.cpu": str(next(amounts))}}})
        return bool(quota.get("status", {}).get("used", {}).get("requests.cpu") == "3")

    cluster.wait_until(counted, "3 cores in the quota")
    stage.deploy("worker", 3, cpu="1")
    workers = stage.wait_bound("worker", 3)
    assert stage.tiers(workers) == {"virtual": 1, "physical": 2}

    def shown() -> bool:
        used = cluster.rest.get(f"{GROUP_PATH}/virtualnodebudgets/{stage.pools['a']}").get("status", {}).get("used", {})
        return bool(used.get("cpu") == "4")

    cluster.wait_until(shown, "4 cores in the status")
