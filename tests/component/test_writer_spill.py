"""What spill and bring back write, against a real API server: only on what was read, and only their own step."""

import json
from collections.abc import AsyncIterator

import pytest

from localcluster import ClusterApi
from spillway.domain.model.additions import Addition
from spillway.domain.model.names import SURGE
from spillway.kube import decode
from spillway.kube.client import KubeClient
from spillway.kube.writer import Writer
from tests.builders import make_pod
from tests.support.installed import annotations, deployment

TOLERATION = {"key": "virtual-kubelet.io/provider", "operator": "Equal", "value": "eci", "effect": "NoSchedule"}


@pytest.fixture
async def client(cluster: ClusterApi) -> AsyncIterator[KubeClient]:
    async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
        yield client


@pytest.fixture
def writer(client: KubeClient) -> Writer:
    return Writer(client, rate=1000, burst=100)


async def test_a_waiting_pod_gets_a_toleration_as_it_was_read(
    cluster: ClusterApi, client: KubeClient, writer: Writer, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"nodeSelector": {"none": "such"}, "containers": [{"name": "c", "image": "x"}]}
    cluster.rest.create(path, {"metadata": {"name": "web"}, "spec": spec})
    cluster.wait_until(
        lambda: decode.PODS.one(_raw(cluster, f"{path}/web")).pending.unschedulable_since,  # type: ignore[union-attr]
        "the scheduler to find no node",
    )
    raw = await client.get_json(f"{path}/web")
    pod = make_pod("web", namespace=namespace, uid=raw["metadata"]["uid"])
    additions = [
        Addition(("spec", "tolerations", "-"), TOLERATION),
        Addition(("metadata", "annotations"), {"a": "1"}),
    ]
    version = raw["metadata"]["resourceVersion"]

    assert not await writer.add_to_pod(make_pod("web", namespace=namespace, uid="another"), version, additions)
    assert await writer.add_to_pod(pod, version, additions)
    assert not await writer.add_to_pod(pod, version, additions), "it has changed since"
    assert not await writer.add_to_pod(make_pod("gone", namespace=namespace), version, additions)

    found = await client.get_json(f"{path}/web")
    assert found["spec"]["tolerations"] == [*raw["spec"]["tolerations"], TOLERATION]
    assert annotations(found) == {"a": "1"}


def _raw(cluster: ClusterApi, path: str) -> bytes:
    return json.dumps(cluster.rest.get(path)).encode()


async def test_a_scale_goes_one_step_from_the_number_seen(
    cluster: ClusterApi, client: KubeClient, writer: Writer, namespace: str
) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    cluster.apply(deployment(namespace, "web", 2, nodeSelector={"no": "node"}))
    uid = (await client.get_json(path))["metadata"]["uid"]

    assert not await writer.scale("deployments", path, "another", seen=2, wanted=3)
    assert await writer.scale("deployments", path, uid, seen=2, wanted=3)
    assert not await writer.scale("deployments", path, uid, seen=2, wanted=3)
    assert (await client.get_json(path))["spec"]["replicas"] == 3


async def test_a_mark_comes_and_goes(cluster: ClusterApi, client: KubeClient, writer: Writer, namespace: str) -> None:
    cluster.apply(deployment(namespace, "web", 1, nodeSelector={"no": "node"}))
    replicasets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    [item] = cluster.wait_until(lambda: cluster.rest.items(replicasets), "its ReplicaSet")
    path, uid = f"{replicasets}/{item['metadata']['name']}", item["metadata"]["uid"]

    assert await writer.annotate("replicasets", path, uid, {SURGE: "mark"})
    assert decode.REPLICASETS.one(await client.request("GET", path)).surge == "mark"
    assert not await writer.annotate("replicasets", path, "another", {SURGE: None})
    assert await writer.annotate("replicasets", path, uid, {SURGE: None})
    assert SURGE not in annotations(await client.get_json(path))
