"""Who may read `/debug/plans`, as the real API server says."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from localcluster import DEFAULT_WAIT_SECONDS, ClusterApi
from spillway.app.endpoints import EndpointServer
from spillway.controllers.balance.descheduling import EVICT_EVERYWHERE
from spillway.kube.access import KEPT_SECONDS, Access, DelegatedAccess, User, Verdict
from spillway.kube.client import KubeClient
from spillway.kube.errors import UnreachableError
from tests.support.fake_clock import FakeClock

RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
async def client(cluster: ClusterApi) -> AsyncIterator[KubeClient]:
    client = await KubeClient.connect(str(cluster.kubeconfig))
    yield client
    await client.close()


def _token(cluster: ClusterApi, namespace: str, name: str) -> str:
    cluster.rest.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})
    return cluster.service_account_token(namespace, name)


READ_PLANS: dict[str, Any] = {"nonResourceURLs": ["/debug/plans"], "verbs": ["get"]}
EVICT: dict[str, Any] = {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]}


def _allow(cluster: ClusterApi, namespace: str, name: str, rule: dict[str, Any] = READ_PLANS) -> None:
    role = f"{namespace}-{name}"
    rules = [rule]
    cluster.rest.create(f"{RBAC}/clusterroles", {"metadata": {"name": role}, "rules": rules})
    binding: dict[str, Any] = {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    cluster.rest.create(f"{RBAC}/clusterrolebindings", binding)


async def _until(client: KubeClient, token: str, path: str, verdict: Verdict) -> None:
    """Until the API server goes by what was written last about rights; nothing is remembered."""
    async with asyncio.timeout(DEFAULT_WAIT_SECONDS):
        while await DelegatedAccess(client).get(token, path) is not verdict:  # noqa: ASYNC110  # it does not tell
            await asyncio.sleep(0.05)


def _forget(cluster: ClusterApi, namespace: str, name: str) -> None:
    for plural in ("clusterroles", "clusterrolebindings"):
        cluster.rest.delete(f"{RBAC}/{plural}/{namespace}-{name}")


async def test_only_a_token_with_the_right_reads_the_plans(
    cluster: ClusterApi, namespace: str, client: KubeClient
) -> None:
    plain, reader = (_token(cluster, namespace, name) for name in ("plain", "reader"))
    _allow(cluster, namespace, "reader")
    await _until(client, reader, "/debug/plans", Verdict.ALLOWED)
    server = EndpointServer(
        "127.0.0.1",
        0,
        checks={},
        exposition=lambda: b"",
        pages={"/debug/plans": lambda: b"[]"},
        guarded=["/debug/plans"],
        authorize=DelegatedAccess(client).get,
    )
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:

            async def status(path: str, authorization: str | None = None) -> int:
                headers = {} if authorization is None else {"Authorization": authorization}
                async with session.get(f"http://127.0.0.1:{server.port}{path}", headers=headers) as answer:
                    return answer.status

            assert await status("/debug/plans") == 401
            assert await status("/debug/plans", "Basic YTpi") == 401
            assert await status("/debug/plans", "Bearer invented") == 401
            assert await status("/debug/plans", f"Bearer {plain}") == 403
            assert await status("/debug/plans", f"Bearer {reader}") == 200
            for path in ("/healthz", "/readyz", "/metrics"):
                assert await status(path) == 200, path
    finally:
        await server.stop()
        _forget(cluster, namespace, "reader")


async def test_an_answer_is_kept_for_a_short_time_only(cluster: ClusterApi, namespace: str, client: KubeClient) -> None:
    clock = FakeClock()
    access = DelegatedAccess(client, clock=clock.now)
    token = _token(cluster, namespace, "brief")
    _allow(cluster, namespace, "brief")
    await _until(client, token, "/debug/plans", Verdict.ALLOWED)
    assert await access.get(token, "/debug/plans") is Verdict.ALLOWED
    _forget(cluster, namespace, "brief")
    await _until(client, token, "/debug/plans", Verdict.FORBIDDEN)
    assert await access.get(token, "/debug/plans") is Verdict.ALLOWED
    await clock.advance(KEPT_SECONDS)
    assert await access.get(token, "/debug/plans") is Verdict.FORBIDDEN
    assert await access.get(token, "/metrics") is Verdict.FORBIDDEN, "another path is another question"


async def test_who_may_evict_pods_of_one_namespace_alone_is_no_descheduler(
    cluster: ClusterApi, namespace: str, client: KubeClient
) -> None:
    for name in ("everywhere", "here"):
        _token(cluster, namespace, name)
    _allow(cluster, namespace, "everywhere", EVICT)
    cluster.rest.create(
        f"{RBAC}/namespaces/{namespace}/rolebindings",
        {
            "metadata": {"name": "here"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": f"{namespace}-everywhere",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "here", "namespace": namespace}],
        },
    )

    async def may(name: str, access: Access) -> Verdict:
        # A new one each time: nothing is remembered.
        return await DelegatedAccess(client).authorize(User.of_service_account(namespace, name), access)

    try:
        here = EVICT_EVERYWHERE._replace(namespace=namespace)
        found: set[Verdict] = set()
        for _ in range(int(DEFAULT_WAIT_SECONDS)):
            found = {await may("everywhere", EVICT_EVERYWHERE), await may("here", here)}
            if found == {Verdict.ALLOWED}:
                break
            await asyncio.sleep(1.0)
        assert found == {Verdict.ALLOWED}
        assert await may("here", EVICT_EVERYWHERE) is Verdict.FORBIDDEN
    finally:
        _forget(cluster, namespace, "everywhere")


async def test_where_the_api_server_does_not_answer_nothing_is_shown(
    cluster: ClusterApi, monkeypatch: pytest.MonkeyPatch, client: KubeClient
) -> None:
    async def refuse(*_: object, **__: object) -> bytes:
        raise UnreachableError("away")

    monkeypatch.setattr(client, "request", refuse)
    assert await DelegatedAccess(client).get("token", "/debug/plans") is Verdict.UNKNOWN


def test_guarded_paths_need_an_authorizer() -> None:
    with pytest.raises(ValueError, match="need an authorizer"):
        EndpointServer("127.0.0.1", 0, checks={}, exposition=lambda: b"", guarded=["/metrics"])
