"""The writer against a real API server: what it changes, what it leaves alone, and when it refuses."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from localcluster import ClusterApi
from spillway.domain.model.names import COST_WRITTEN, POD_DELETION_COST, NodeName, PodUid
from spillway.domain.model.records import NodeRecord, PodRecord, Taint
from spillway.kube import decode
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError
from spillway.kube.writer import Eviction, Fenced, Writer
from tests.builders import make_pod

OURS = Taint("spillway.dev/elastic", "PreferNoSchedule", "day")
MARK = "spillway.dev/cordoned-by"


@pytest.fixture
async def client(cluster: ClusterApi) -> AsyncIterator[KubeClient]:
    async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
        yield client


@pytest.fixture
def writer(client: KubeClient) -> Writer:
    return Writer(client, rate=1000, burst=100)


@pytest.fixture
def node_name(cluster: ClusterApi) -> Iterator[str]:
    (name,) = cluster.add_nodes("writer", 1)
    yield name
    cluster.delete_nodes([name])


async def node_of(client: KubeClient, name: str) -> NodeRecord:
    return decode.NODES.one(await client.request("GET", f"/api/v1/nodes/{name}"))


async def patch(
    writer: Writer,
    client: KubeClient,
    name: str,
    change: Callable[[NodeRecord], dict[str, Any]],
    *,
    first: dict[str, Any] | None = None,
) -> None:
    """Until it is done: Kubernetes' own controllers write on a new node too, and then a patch is refused."""
    for _ in range(10):
        if first is not None:
            await client.request(
                "PATCH", f"/api/v1/nodes/{name}", body=first, content_type="application/merge-patch+json"
            )
        seen = await node_of(client, name)
        if await writer.patch_node(seen, **change(seen)):
            return
    raise AssertionError(f"{name} was written by others each time")


async def pod_of(client: KubeClient, namespace: str, name: str) -> PodRecord:
    return decode.PODS.one(await client.request("GET", f"/api/v1/namespaces/{namespace}/pods/{name}"))


def pod(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "p"}, "annotations": {"theirs": "1"}},
        "spec": {"nodeSelector": {"none": "such"}, "containers": [{"name": "c", "image": "x"}], **spec},
    }


async def create(client: KubeClient, namespace: str, name: str, **spec: Any) -> PodRecord:
    raw = await client.request("POST", f"/api/v1/namespaces/{namespace}/pods", body=pod(name, namespace, **spec))
    return decode.PODS.one(raw)


@pytest.fixture
def written(client: KubeClient, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The method of each request that may change something."""
    request, methods = client.request, []

    async def spy(method: str, path: str, **rest: Any) -> bytes:
        if method != "GET":
            methods.append(method)
        return await request(method, path, **rest)

    monkeypatch.setattr(client, "request", spy)
    return methods


async def test_annotations_of_the_pod_that_is_meant(
    client: KubeClient, namespace: str, writer: Writer, written: list[str]
) -> None:
    seen = await create(client, namespace, "p")
    assert await writer.annotate_pod(seen, {POD_DELETION_COST: "-7", COST_WRITTEN: "-7"})
    now = await pod_of(client, namespace, "p")
    assert (now.deletion_cost, now.cost_written) == (-7, -7)
    raw = await client.get_json(f"/api/v1/namespaces/{namespace}/pods/p")
    assert raw["metadata"]["annotations"]["theirs"] == "1"
    assert "spillway" in {entry["manager"] for entry in raw["metadata"]["managedFields"]}

    before = len(written)
    assert await writer.annotate_pod(now, {POD_DELETION_COST: "-7"})
    assert len(written) == before

    assert await writer.annotate_pod(now, {POD_DELETION_COST: None, COST_WRITTEN: None})
    assert (await pod_of(client, namespace, "p")).deletion_cost is None


async def test_a_namesake_and_a_pod_that_is_gone_are_not_written(
    client: KubeClient, namespace: str, writer: Writer
) -> None:
    await create(client, namespace, "p")
    assert not await writer.annotate_pod(
        make_pod("p", namespace=namespace, uid=PodUid("11111111-1111-1111-1111-111111111111")), {"a": "1"}
    )
    assert not await writer.annotate_pod(make_pod("absent", namespace=namespace), {"a": "1"})
    raw = await client.get_json(f"/api/v1/namespaces/{namespace}/pods/p")
    assert "a" not in raw["metadata"]["annotations"]


async def test_taints_and_cordon_leave_what_others_did(
    client: KubeClient, node_name: str, writer: Writer, written: list[str]
) -> None:
    theirs = {"key": "gpu", "effect": "NoExecute", "value": "x", "timeAdded": "2026-01-02T03:04:05Z"}
    path = f"/api/v1/nodes/{node_name}"
    await client.request(
        "PATCH", path, body={"spec": {"taints": [theirs]}}, content_type="application/merge-patch+json"
    )
    await patch(
        writer,
        client,
        node_name,
        lambda seen: {
            "taints": (seen.taints, (*seen.taints, OURS)),
            "annotations": {MARK: "vnb"},
            "unschedulable": True,
        },
    )
    now = await node_of(client, node_name)
    assert (OURS in now.taints, now.unschedulable, now.cordoned_by) == (True, True, "vnb")
    assert theirs in (await client.get_json(path))["spec"]["taints"]

    before = len(written)
    assert await writer.patch_node(now, taints=(now.taints, now.taints), unschedulable=True)
    assert len(written) == before

    await patch(
        writer,
        client,
        node_name,
        lambda seen: {
            "taints": (seen.taints, tuple(taint for taint in seen.taints if taint != OURS)),
            "annotations": {MARK: None},
            "unschedulable": False,
        },
    )
    raw = await client.get_json(path)
    assert raw["spec"]["taints"][0] == theirs
    assert OURS.key not in {taint["key"] for taint in raw["spec"]["taints"]}
    assert "unschedulable" not in raw["spec"]
    assert MARK not in raw["metadata"]["annotations"]


async def test_the_first_taint_of_a_node_without_annotations(
    cluster: ClusterApi, client: KubeClient, writer: Writer
) -> None:
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "writer-bare"}}
    await client.request("POST", "/api/v1/nodes", body=body)
    path = "/api/v1/nodes/writer-bare"
    bare = {"metadata": {"annotations": None}, "spec": {"taints": None}}
    try:
        await patch(
            writer,
            client,
            "writer-bare",
            lambda seen: {
                "taints": (seen.taints, (*seen.taints, OURS)),
                "annotations": {MARK: "vnb"},
                "unschedulable": True,
            },
            first=bare,
        )
        now = await node_of(client, "writer-bare")
        assert (OURS in now.taints, now.unschedulable, now.cordoned_by) == (True, True, "vnb")
    finally:
        await client.request("DELETE", path)


async def test_a_node_that_changed_meanwhile_is_not_overwritten(
    cluster: ClusterApi, client: KubeClient, node_name: str, writer: Writer
) -> None:
    seen = await node_of(client, node_name)
    await asyncio.to_thread(cluster.kubectl, "cordon", node_name)
    assert not await writer.patch_node(seen, annotations={MARK: "vnb"}, unschedulable=True)
    assert (await node_of(client, node_name)).cordoned_by == ""
    gone = decode.NODES.one(b'{"metadata":{"name":"absent","uid":"u"}}')
    assert gone.name == NodeName("absent")
    assert not await writer.patch_node(gone, unschedulable=True)


async def test_evictions_respect_a_budget_and_mean_one_pod(
    cluster: ClusterApi, client: KubeClient, namespace: str, node_name: str, writer: Writer
) -> None:
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "all", "namespace": namespace},
        "spec": {"minAvailable": "100%", "selector": {"matchLabels": {"app": "p"}}},
    }
    await asyncio.to_thread(cluster.apply, budget)
    await create(client, namespace, "p", nodeSelector={"pool": "writer"})
    await asyncio.to_thread(cluster.wait_pods_ready, namespace, 1)
    seen = await pod_of(client, namespace, "p")
    assert await writer.evict(seen) is Eviction.BLOCKED
    await asyncio.to_thread(cluster.delete, budget)
    namesake = make_pod("p", namespace=namespace, uid=PodUid("11111111-1111-1111-1111-111111111111"))
    assert await writer.evict(namesake) is Eviction.GONE
    assert await writer.evict(seen) is Eviction.EVICTED
    assert await writer.evict(make_pod("absent", namespace=namespace)) is Eviction.GONE


async def test_apply_owns_what_it_names_and_delete_means_one_object(
    client: KubeClient, namespace: str, writer: Writer
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"a": "1", "b": "2"},
    }
    stored = await writer.apply(path, body)
    assert stored["data"] == {"a": "1", "b": "2"}
    stored = await writer.apply(path, {**body, "data": {"a": "1"}})
    assert stored["data"] == {"a": "1"}
    assert not await writer.delete("configmaps", path, uid="11111111-1111-1111-1111-111111111111")
    assert await writer.delete("configmaps", path, uid=stored["metadata"]["uid"])
    assert not await writer.delete("configmaps", path)


async def test_behind_the_fence_nothing_is_written(client: KubeClient, namespace: str, written: list[str]) -> None:
    seen = await create(client, namespace, "p")
    before = len(written)
    writer = Writer(client, rate=100, burst=10, may_write=lambda: False)
    with pytest.raises(Fenced):
        await writer.annotate_pod(seen, {"a": "1"})
    assert len(written) == before


async def test_what_is_refused_for_good_raises(client: KubeClient, namespace: str, writer: Writer) -> None:
    with pytest.raises(ApiError) as caught:
        await writer.apply(
            f"/api/v1/namespaces/{namespace}/configmaps/c",
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": 7},
        )
    assert caught.value.status in {400, 422, 500}
