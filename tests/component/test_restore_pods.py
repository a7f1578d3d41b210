"""`spillway restore` on many pods: it continues where it was stopped, tells its progress, and can leave pods alone."""

import asyncio

import pytest

from localcluster import ClusterApi
from localcluster.rest import Object
from spillway.app import restore
from spillway.app.restore import Restore
from spillway.domain.model.names import COST_WRITTEN, POD_DELETION_COST, POLICY
from spillway.kube.client import KubeClient
from tests.support.installed import annotations, marked, wait_marked_only_in

MARKED = {POD_DELETION_COST: "-7", COST_WRITTEN: "-7", POLICY: "day", "theirs": "1"}
PODS = 30


def _pods(namespace: str, count: int) -> list[Object]:
    """Pods that stay as they are, because no one schedules them, as if an operator had marked them."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"web-{number}", "namespace": namespace, "annotations": MARKED},
            "spec": {"schedulerName": "no-scheduler", "containers": [{"name": "web", "image": "web"}]},
        }
        for number in range(count)
    ]


@pytest.fixture(autouse=True)
def unmarked(cluster: ClusterApi) -> None:
    """Nothing is marked before a test: also pods of earlier ones, whose namespaces are still deleted, are restored."""
    wait_marked_only_in(cluster)


def _versions(cluster: ClusterApi, namespace: str) -> dict[str, str]:
    """The resourceVersion of each pod without marks."""
    return {
        pod["metadata"]["name"]: pod["metadata"]["resourceVersion"]
        for pod in cluster.pods(namespace)
        if not marked([pod])
    }


async def test_a_stopped_restore_is_continued_by_the_next(
    cluster: ClusterApi, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "PAGE", 5)
    cluster.apply(_pods(namespace, PODS))
    said: list[str] = []

    async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
        stopped = Restore(client, say=said.append, rate=20)
        run = asyncio.create_task(stopped.run())
        while stopped.result.pods < 5:
            await asyncio.wait({run}, timeout=0.02)
            assert not run.done()
        run.cancel()
        await asyncio.wait({run}, timeout=30)
        restored = _versions(cluster, namespace)
        assert 0 < len(restored) < PODS
        done = await Restore(client, say=said.append).run()

    assert done.clean
    assert 0 < done.pods <= PODS - len(restored), (
        "the pods that were left, without those whose patch arrived during the stop"
    )
    now = _versions(cluster, namespace)
    assert len(now) == PODS
    assert restored.items() <= now.items(), "what was restored before is not written again"
    assert all(annotations(pod)["theirs"] == "1" for pod in cluster.pods(namespace))
    assert any("left to look at" in line for line in said)


async def test_deletion_costs_can_be_left_in_place(cluster: ClusterApi, namespace: str) -> None:
    cluster.apply(_pods(namespace, 3))

    async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
        done = await Restore(client, say=lambda _: None, keep_costs=True).run()
        assert (done.clean, done.pods) == (True, 0)
        assert all(annotations(pod)[POD_DELETION_COST] == "-7" for pod in cluster.pods(namespace))
        await Restore(client, say=lambda _: None).run()

    assert marked(cluster.pods(namespace)) == []
