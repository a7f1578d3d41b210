"""Scales whose answers are lost, through a proxy to a real API server: they are done once, and not sent again."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcluster import ClusterApi
from spillway.app.restore import Restore
from spillway.domain.model.names import SURGE
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError, UnreachableError
from spillway.kube.writer import Writer
from tests.support.installed import annotations, deployment, surging
from tests.support.lost_answers import LostAnswers


@pytest.fixture
def account(cluster: ClusterApi, namespace: str, tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of an administrator who has a token, which passes the proxy, and not a certificate."""
    rights: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "admin", "namespace": namespace}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "admin", "namespace": namespace}],
        },
    ]
    cluster.apply(rights)
    path = tmp_path / "kubeconfig"
    cluster.service_account_kubeconfig(namespace, "admin", path)
    yield path
    cluster.delete(rights, "--wait=false")


def through(proxy: LostAnswers, kubeconfig: Path) -> str:
    """Let this kubeconfig reach the API server through the proxy; returns its path."""
    config = yaml.safe_load(kubeconfig.read_text())
    for entry in config["clusters"]:
        entry["cluster"]["server"] = f"http://127.0.0.1:{proxy.port}"
    kubeconfig.write_text(yaml.safe_dump(config))
    return str(kubeconfig)


@pytest.mark.parametrize("silent", [False, True], ids=["connection broken", "no answer in time"])
async def test_a_scale_whose_answer_is_lost_is_an_error_and_was_done_once(
    cluster: ClusterApi, namespace: str, account: Path, *, silent: bool
) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    cluster.apply(deployment(namespace, "web", 2, nodeSelector={"no": "node"}))
    uid = cluster.rest.get(path)["metadata"]["uid"]
    with LostAnswers.of(cluster.kubeconfig, 1, silent=silent) as proxy:
        async with await KubeClient.connect(through(proxy, account), patient=True) as client:
            writer = Writer(client, rate=1000, burst=100)
            with pytest.raises(UnreachableError) as raised:
                await writer.scale("deployments", path, uid, seen=2, wanted=3)
            assert raised.value.uncertain
            assert cluster.rest.get(path)["spec"]["replicas"] == 3
            assert await writer.scale("deployments", path, uid, seen=3, wanted=2), "the next one is answered"
        assert (proxy.scaled, proxy.lost) == ([f"{path}/scale"] * 2, [200])


async def test_the_server_gives_up_a_scale_that_takes_longer_than_it_was_told(
    cluster: ClusterApi, namespace: str
) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    cluster.apply(deployment(namespace, "web", 2, nodeSelector={"no": "node"}))
    uid = cluster.rest.get(path)["metadata"]["uid"]
    async with await KubeClient.connect(str(cluster.kubeconfig)) as client:

        class Hurried:
            """The same with next to no time for the API server."""

            async def request(self, method: str, path: str, **rest: object) -> bytes:
                params = {**rest.pop("params"), "timeout": "1ns"}  # type: ignore[dict-item]
                return await client.request(method, path, params=params, **rest)  # type: ignore[arg-type]

        writer = Writer(Hurried(), rate=1000, burst=100)
        with pytest.raises(ApiError) as raised:
            await writer.scale("deployments", path, uid, seen=2, wanted=3)
    assert raised.value.uncertain
    assert cluster.rest.get(path)["spec"]["replicas"] == 2


async def test_restore_takes_back_one_replica_although_the_answer_is_lost(
    cluster: ClusterApi, namespace: str, account: Path
) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}"
    marked = surging(cluster, namespace, time.time(), asked=4)

    with LostAnswers.of(cluster.kubeconfig, 1) as proxy:
        async with await KubeClient.connect(through(proxy, account), patient=True) as client:
            done = await Restore(client, say=lambda _: None).run()
        assert proxy.lost == [200]

    assert (done.surges, done.clean) == (1, True)
    assert cluster.rest.get(f"{path}/deployments/web")["spec"]["replicas"] == 3
    assert SURGE not in annotations(cluster.rest.get(marked))
