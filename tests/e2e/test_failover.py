"""A pool is lost, comes back, is held by a person, has no stock: where its pods are afterwards, read from their nodes.

Where a provider has to say something the test plays it: pods wait on their nodes until it lets them start.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness import Installation
from localcluster import ClusterApi
from localcluster.nodes import UNSTARTED
from localcluster.rest import Object
from tests.e2e.conftest import LEASE_PATH
from tests.support.monitoring import expect_samples
from tests.support.stage import GROUP_PATH, OwnedNodes, Stage
from tests.support.tight import is_ready

OWNED = OwnedNodes("owned-by-failover", 3, cpu="100", pods=300)
LOST = 100
SOON = {"unhealthyAfter": "3s", "retryAfter": "4s"}
LATER = {"unhealthyAfter": "3s", "retryAfter": "10m"}
LADDER = [{"cpu": "2", "memory": "4Gi"}, {"cpu": "4", "memory": "8Gi"}]
SPECS = "example.com/specs"


@pytest.fixture
def operators(installation: Installation, cluster: ClusterApi) -> Installation:
    """Two replicas, started once for the module and again where a scenario has killed one."""
    if not installation.running:
        cluster.rest.delete(LEASE_PATH)
    for index in range(2):
        if index not in installation.running:
            installation.start_one(index)
    installation.wait_ready(0, 1)
    installation.wait_leader()
    return installation


@pytest.fixture(scope="module", autouse=True)
def ended(installation: Installation, cluster: ClusterApi) -> Iterator[None]:
    yield
    for index in installation.running:
        installation.kill(index)
    cluster.rest.delete(LEASE_PATH)


def manual(replicas: int) -> dict[str, Any]:
    return {"threshold": {"mode": "Manual", "replicas": replicas}, "placement": {}}


def wait_condition(stage: Stage, kind: str, *reasons: str) -> None:
    stage.cluster.wait_until(
        lambda: stage.pool_conditions().get(kind, ("", ""))[1] in reasons, f"{kind} of a: {reasons}"
    )


def wait_step(stage: Stage, step: int) -> None:
    """Until the status of pool `a` names this size: it is written after the pods were replaced."""
    stage.cluster.wait_until(lambda: stage.pool_status().get("ladderStep") == step, f"step {step} in the status")


def nodes_of(stage: Stage, pool: str = "a") -> list[str]:
    return [name for name in stage.nodes if name.startswith(stage.pools[pool])]


def wait_where(stage: Stage, name: str, **expected: int) -> None:
    """Until the workload's pods are there and ready."""

    def there() -> bool:
        pods = stage.pods(name)
        ready = [pod for pod in pods if pod["spec"].get("nodeName") and is_ready(pod)]
        return len(ready) == len(pods) and stage.where(ready) == expected

    stage.cluster.wait_until(there, f"{name} on {expected}")


def test_a_lost_pool_of_a_hundred_pods_is_replaced_by_the_next_and_comes_back_by_itself(
    stage: Stage, operators: Installation
) -> None:
    stage.govern(manual(4), a={"failover": SOON}, b={"failover": SOON})
    stage.deploy("web", 4 + LOST)
    wait_where(stage, "web", physical=4, a=LOST)

    begun = time.monotonic()
    stage.cluster.fail_nodes(nodes_of(stage))
    wait_where(stage, "web", physical=4, b=LOST)
    print(f"\n{LOST} pods of a lost pool ran elsewhere after {time.monotonic() - begun:.1f} s")  # noqa: T201
    wait_condition(stage, "Healthy", "NodesNotReady")
    assert stage.pool_conditions()["Accepting"] == ("False", "Unhealthy")
    stage.cluster.wait_until(
        lambda: any("web" in about for about, _ in stage.events("PodsReplaced")), "the Event on the workload"
    )
    expect_samples(operators, "spillway_failover_pods_total", "spillway_pool_failures_total")

    stage.cluster.heal_nodes(nodes_of(stage))
    stage.cluster.wait_nodes_ready(nodes_of(stage))
    wait_condition(stage, "Healthy", "Retrying")
    assert stage.pool_status()["health"]["failures"] == 1
    # The first few go there; one of them starts, and it is trusted again.
    stage.scale("web", 4 + LOST + 3)
    wait_condition(stage, "Healthy", "Healthy")
    wait_where(stage, "web", physical=4, a=3, b=LOST)
    stage.scale("web", 4 + LOST + 23)
    wait_where(stage, "web", physical=4, a=23, b=LOST)


def test_the_next_leader_does_not_forget_that_a_pool_has_failed(stage: Stage, operators: Installation) -> None:
    stage.govern(manual(0), a={"failover": LATER}, b={})
    stage.deploy("web", 5)
    wait_where(stage, "web", a=5)
    stage.cluster.fail_nodes(nodes_of(stage))
    wait_where(stage, "web", b=5)
    wait_condition(stage, "Accepting", "Unhealthy")
    stage.cluster.heal_nodes(nodes_of(stage))
    stage.cluster.wait_nodes_ready(nodes_of(stage))

    leader = operators.wait_leader()
    operators.kill(leader)
    operators.wait_leader(other_than=leader)
    stage.wait_governed()
    stage.scale("web", 10)
    wait_where(stage, "web", b=10)
    assert stage.pool_conditions()["Healthy"] == ("False", "NodesNotReady")


def test_of_a_pool_that_loses_one_node_only_that_nodes_pods_go(stage: Stage, cluster: ClusterApi) -> None:
    more = cluster.add_virtual_nodes(stage.pools["a"], 1, provider=stage.pools["a"], labels={"stage": OWNED.label})
    stage.nodes += more
    stage.govern(manual(0), a={"failover": LATER})
    stage.deploy("web", 12)
    wait_where(stage, "web", a=12)
    before = {pod["metadata"]["uid"]: pod["spec"]["nodeName"] for pod in stage.pods("web")}
    assert set(before.values()) == set(nodes_of(stage)), "both nodes have some"

    cluster.fail_nodes(more)
    cluster.wait_until(
        lambda: not any(pod["spec"].get("nodeName") in more for pod in stage.pods("web")), "the dead node to be left"
    )
    wait_where(stage, "web", a=12)
    kept = {pod["metadata"]["uid"] for pod in stage.pods("web")} & set(before)
    assert kept == {uid for uid, node in before.items() if node not in more}
    assert stage.pool_conditions()["Healthy"] == ("True", "Healthy")


def test_what_a_person_holds_stays_held_when_it_is_healthy_again(stage: Stage) -> None:
    path = f"{GROUP_PATH}/virtualnodebudgets/{stage.pools['a']}"
    stage.govern(manual(0), a={"failover": SOON})
    stage.cluster.rest.merge(path, {"spec": {"cordon": "Hold"}})
    wait_condition(stage, "Accepting", "Held")
    stage.cluster.fail_nodes(nodes_of(stage))
    wait_condition(stage, "Healthy", "NodesNotReady")
    stage.cluster.heal_nodes(nodes_of(stage))
    stage.cluster.wait_nodes_ready(nodes_of(stage))
    wait_condition(stage, "Healthy", "Retrying")

    stage.deploy("web", 5)
    wait_where(stage, "web", b=5)
    assert stage.pool_conditions()["Accepting"][1] == "Held"

    stage.cluster.rest.merge(path, {"spec": {"cordon": "None"}})
    wait_condition(stage, "Accepting", "Retrying", "Open")
    stage.scale("web", 8)
    wait_where(stage, "web", a=3, b=5)


class Provider:
    """Starts the pods on pool `a` for whose size there is stock, and all others; says of the rest that there is none.

    `size_of` tells what a pod asks for; `refuse` says it as the provider does.
    """

    def __init__(self, stage: Stage, name: str, in_stock: set[str], *, by_event: bool = False) -> None:
        self.stage = stage
        self.name = name
        self.in_stock = in_stock
        self.refused: set[str] = set()
        """Sizes for which there was no stock."""
        self._said: set[str] = set()
        self._by_event = by_event

    def play(self) -> list[Object]:
        """Answer for every pod that waits; the pods."""
        pods = self.stage.pods(self.name)
        for pod in pods:
            node, annotations = pod["spec"].get("nodeName"), pod["metadata"]["annotations"]
            if not node or UNSTARTED not in annotations:
                continue
            size = size_of(pod)
            if self.stage.place(node) != "a" or self.in_stock & set(size.split(",")):
                self._patch(pod, "", {"metadata": {"annotations": {UNSTARTED: None}}})
            elif pod["metadata"]["uid"] not in self._said:
                self._said.add(pod["metadata"]["uid"])
                self.refused.add(size)
                self._refuse(pod)
        return pods

    def _refuse(self, pod: Object) -> None:
        if not self._by_event:
            said = {"type": "InstanceCreated", "status": "False", "reason": "CreateFailed", "message": "NoStock: sold"}
            self._patch(pod, "/status", {"status": {"conditions": [*pod["status"].get("conditions", []), said]}})
            return
        meta = pod["metadata"]
        about = {"apiVersion": "v1", "kind": "Pod"} | {key: meta[key] for key in ("namespace", "name", "uid")}
        self.stage.cluster.rest.create(
            f"/api/v1/namespaces/{meta['namespace']}/events",
            {
                "metadata": {"name": f"{meta['name']}.refused", "namespace": meta["namespace"]},
                "involvedObject": about,
                "reason": "ProviderCreateFailed",
                "message": "create instance: OutOfStock",
                "type": "Warning",
                "lastTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            },
        )

    def _patch(self, pod: Object, subresource: str, body: dict[str, Any]) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}{subresource}"
        if self.stage.cluster.exists(path.removesuffix("/status")):
            self.stage.cluster.rest.merge(path, body)

    def wait_where(self, **expected: int) -> list[Object]:
        """Play until the pods are there, and ready."""
        found: list[Object] = []

        def there() -> bool:
            found[:] = self.play()
            ready = [pod for pod in found if pod["spec"].get("nodeName") and is_ready(pod)]
            return len(ready) == len(found) and self.stage.where(ready) == expected

        self.stage.cluster.wait_until(there, f"{self.name} on {expected}")
        return found


def size_of(pod: Object) -> str:
    listed = pod["metadata"]["annotations"].get(SPECS)
    requests = pod["spec"]["containers"][0]["resources"]["requests"]
    return listed or f"{requests['cpu']}-{requests['memory']}"


def test_without_stock_the_next_size_is_asked_for_then_the_next_pool(stage: Stage, operators: Installation) -> None:
    stock_out = {"detect": [{"reason": "CreateFailed", "messageRegex": "NoStock"}], "ladder": LADDER}
    price = {"currency": "CNY", "cpuHour": "1", "memoryGiBHour": "0"}
    stage.govern(manual(0), a={"stockOut": stock_out, "price": price})
    provider = Provider(stage, "web", {"4-8Gi"})
    stage.deploy("web", 6, starts=False)
    pods = provider.wait_where(a=6)
    assert provider.refused == {"100m-16Mi", "2-4Gi"}
    assert {size_of(pod) for pod in pods} == {"4-8Gi"}
    marks = {pod["metadata"]["annotations"]["spillway.dev/size"].partition(" ")[0] for pod in pods}
    assert marks == {f"4000m-{8 << 30}"}
    wait_step(stage, 2)
    assert stage.pool_conditions()["InStock"] == ("True", "BiggerSize")
    expect_samples(operators, "spillway_pool_stock_outs_total")
    # The extra cost of the bigger size counts.
    stage.cluster.wait_until(
        lambda: float(stage.pool_status()["used"].get("costPerHour") or 0) == 24.0, "the cost of 6 pods of 4 cores"
    )

    provider.in_stock.clear()
    stage.scale("web", 9)
    provider.wait_where(a=6, b=3)
    wait_condition(stage, "InStock", "OutOfStock")
    assert stage.pool_conditions()["Accepting"] == ("False", "OutOfStock")


def test_a_provider_that_takes_a_list_gets_one_and_an_event_is_heard(stage: Stage) -> None:
    stock_out = {
        "detect": [{"reason": "ProviderCreateFailed", "messageRegex": "OutOfStock"}],
        "ladder": LADDER,
        "annotation": {"key": SPECS},
    }
    stage.govern(manual(0), a={"stockOut": stock_out})
    provider = Provider(stage, "web", {"4-8Gi"}, by_event=True)
    stage.deploy("web", 4, starts=False)
    pods = provider.wait_where(a=4)
    assert {size_of(pod) for pod in pods} == {"2-4Gi,4-8Gi"}
    assert {pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] for pod in pods} == {"100m"}
    wait_step(stage, 1)

    provider.in_stock.clear()
    stage.scale("web", 6)
    provider.wait_where(a=4, b=2)
    wait_condition(stage, "InStock", "OutOfStock")


def test_a_job_whose_pod_fails_for_want_of_stock_ends_on_owned_nodes(stage: Stage, cluster: ClusterApi) -> None:
    """The provider does as virtual-kubelet does with a pod that is never restarted; the Job has a single retry."""
    stock_out = {"detect": [{"reason": "ProviderFailed", "messageRegex": "NoStock"}], "ladder": LADDER}
    stage.govern({"placement": {"virtual": "Always"}}, a={"stockOut": stock_out})
    template = stage.template("report", starts=False, restartPolicy="Never")
    jobs = f"/apis/batch/v1/namespaces/{stage.namespace}/jobs"
    cluster.rest.create(jobs, {"metadata": {"name": "report"}, "spec": {"backoffLimit": 1, "template": template}})
    places: dict[str, str] = {}

    def ended() -> dict[str, str]:
        for pod in stage.pods("report"):
            meta, node = pod["metadata"], pod["spec"].get("nodeName")
            path = f"/api/v1/namespaces/{stage.namespace}/pods/{meta['name']}"
            if not node or meta["name"] in places:
                continue
            places[meta["name"]] = stage.place(node)
            if places[meta["name"]] == "a":
                said = {"phase": "Failed", "reason": "ProviderFailed", "message": "create instance: NoStock"}
                cluster.rest.merge(f"{path}/status", {"status": said})
            else:
                cluster.rest.merge(path, {"metadata": {"annotations": {UNSTARTED: None}}})
        found = cluster.rest.get(f"{jobs}/report").get("status", {}).get("conditions") or []
        return {one["type"]: one["status"] for one in found}

    cluster.wait_until(lambda: {"Complete", "Failed"} & ended().keys(), "the Job's end")
    assert ended().get("Complete") == "True"
    assert list(places.values()) == ["a", "physical"]
    wait_step(stage, 1)
    assert cluster.wait_until(lambda: [about for about, _ in stage.events("PodsFailed")], "the Event") == ["Job/report"]
