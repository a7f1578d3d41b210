"""`spillway restore` while a workload runs one replica more: that one is taken back, and no other."""

import time

import pytest

from localcluster import ClusterApi
from spillway.app.restore import Restore
from spillway.domain.model.names import SURGE
from spillway.domain.model.units import DAY_SECONDS
from spillway.kube.client import KubeClient
from tests.support.installed import annotations, surging


@pytest.mark.parametrize(
    ("asked", "days", "left"),
    [
        pytest.param(4, 0, 3, id="ours"),
        pytest.param(6, 0, 6, id="overtaken"),
        pytest.param(4, 2, 4, id="a mark from long ago"),
    ],
)
async def test_a_surge_is_undone_with_its_mark(
    cluster: ClusterApi, namespace: str, asked: int, days: int, left: int
) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}"
    marked = surging(cluster, namespace, time.time() - days * DAY_SECONDS, asked=asked, theirs="1")

    async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
        planned = await Restore(client, say=lambda _: None, dry_run=True).run()
        assert cluster.rest.get(f"{path}/deployments/web")["spec"]["replicas"] == asked
        done = await Restore(client, say=lambda _: None).run()

    surges = int(not days)
    assert (planned.surges, done.surges, done.clean) == (surges, surges, True)
    assert cluster.rest.get(f"{path}/deployments/web")["spec"]["replicas"] == left
    kept = annotations(cluster.rest.get(marked))
    assert SURGE not in kept
    assert kept["theirs"] == "1"
