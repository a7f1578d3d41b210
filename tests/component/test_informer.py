"""The informers against a real API server: what is created, changed and deleted is what the state holds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from localcluster import DEFAULT_WAIT_SECONDS, ClusterApi
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import Phase, PodRecord
from spillway.kube.client import KubeClient
from spillway.kube.informer import Informers
from spillway.kube.reflector import WatchSettings
from spillway.state.cluster import ClusterState
from tests.builders import make_state


@pytest.fixture
async def client(cluster: ClusterApi) -> AsyncIterator[KubeClient]:
    async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
        yield client


@pytest.fixture
async def state(client: KubeClient) -> AsyncIterator[ClusterState]:
    """Fed by informers with small pages, so that paging happens, and short watches, so that resuming happens."""
    state = make_state()
    settings = WatchSettings(page_size=3, watch_seconds=4, silence_seconds=10)
    running = asyncio.create_task(Informers(client, state, settings=settings).run())
    await state.wait_synced(DEFAULT_WAIT_SECONDS)
    yield state
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def until(condition: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - also what no event tells of
            await asyncio.sleep(0.02)
    assert condition(), what


async def test_the_state_is_what_the_server_lists(cluster: ClusterApi, client: KubeClient, state: ClusterState) -> None:
    names: set[str] = set()
    # Those of earlier tests may still be deleted.
    async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
        while not names or set(state.namespaces) != names:
            names = {item["metadata"]["name"] async for item in client.list_all("/api/v1/namespaces", limit=2)}
    assert len(names) >= 4
    assert not state.stale()


async def test_a_deployment_from_first_pod_to_last(cluster: ClusterApi, namespace: str, state: ClusterState) -> None:
    (node,) = await asyncio.to_thread(cluster.add_nodes, "informer", 1)
    await until(lambda: NodeName(node) in state.nodes, "the node")
    assert state.nodes[NodeName(node)].cpu_millis == 8000
    labels = {"app": "web"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": 7,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeSelector": {"pool": "informer"},
                    "containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "100m"}}}],
                },
            },
        },
    }
    ready: list[PodRecord] = []
    state.subscribe(PodRecord, lambda _, new: ready.append(new) if new and new.ready else None)
    await asyncio.to_thread(cluster.apply, deployment)
    await until(lambda: sum(pod.ready for pod in state.pods_in(namespace)) == 7, "seven ready pods")
    (replicaset,) = (one for one in state.replicasets.values() if one.namespace == namespace)
    assert (replicaset.owner_kind, replicaset.owner_name, replicaset.revision) == ("Deployment", "web", 1)
    assert replicaset.labels["app"] == "web"
    assert len(state.pods_of(replicaset.uid)) == 7
    assert {pod.phase for pod in state.pods_on(NodeName(node))} == {Phase.RUNNING}
    assert (used := state.node_usage.on_node(NodeName(node))).pods == 7
    assert used.cpu_millis == 700
    assert {pod.name for pod in ready} == {pod.name for pod in state.pods_in(namespace)}

    await asyncio.to_thread(cluster.kubectl, "scale", "deployment/web", "-n", namespace, "--replicas=2")
    await until(lambda: len(state.pods_in(namespace)) == 2, "two pods")
    assert (used := state.node_usage.on_node(NodeName(node))).pods == 2
    assert used.cpu_millis == 200
    await asyncio.sleep(6)  # longer than a watch lasts: it has been resumed
    await asyncio.to_thread(cluster.kubectl, "delete", "deployment/web", "-n", namespace)
    await until(lambda: not state.pods_in(namespace), "no pod")
    assert not state.pods_of(replicaset.uid)
    assert not state.stale(10)
    await asyncio.to_thread(cluster.delete_nodes, [node])
    await until(lambda: NodeName(node) not in state.nodes, "no node")


async def test_waiting_for_our_own_watch(cluster: ClusterApi, namespace: str, state: ClusterState) -> None:
    await asyncio.to_thread(
        cluster.apply,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": namespace},
            "spec": {"nodeSelector": {"none": "such"}, "containers": [{"name": "c", "image": "x"}]},
        },
    )
    await until(lambda: state.pod(namespace, "p") is not None, "the pod")
    pod = state.pod(namespace, "p")
    assert pod is not None
    waiting = asyncio.create_task(
        state.wait_for({pod.uid: lambda seen: seen is not None and seen.deletion_cost == -3}, 20)
    )
    key = "controller.kubernetes.io/pod-deletion-cost"
    await asyncio.to_thread(cluster.kubectl, "annotate", "pod/p", "-n", namespace, f"{key}=-3")
    assert await waiting


async def test_it_goes_on_after_the_api_server_came_back(
    cluster: ClusterApi, namespace: str, state: ClusterState
) -> None:
    cluster.require("restart")
    await asyncio.to_thread(cluster.restart, "kube-apiserver")  # type: ignore[attr-defined]
    config = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{namespace}-late"}}
    await asyncio.to_thread(cluster.apply, config)
    await until(lambda: f"{namespace}-late" in state.namespaces, "the namespace made after the restart")
    await until(lambda: not state.stale(5), "fresh data of every resource")
    await asyncio.to_thread(cluster.delete, config)
