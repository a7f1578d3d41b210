"""The way to the API server fails: restarted, cut, or silent while every connection stays open."""

from collections.abc import Iterator

import pytest

from harness import Installation, Proxy
from harness.proxy import Flow
from harness.scene import Scene, by_tier, tier_violations, zone_skew
from localcluster import Cluster, ClusterApi
from tests.support.e2e import QUICK_LEASE, Start


@pytest.fixture
def proxy(cluster: ClusterApi) -> Iterator[Proxy]:
    """Between the operator and the API server."""
    with Proxy.to_server_of(cluster.kubeconfig) as between:
        yield between


@pytest.fixture
def proxied(start: Start, installation: Installation, proxy: Proxy) -> Installation:  # it cleans up
    """One replica that reaches the API server through the proxy; the API server reaches it directly."""
    _start(installation, proxy)
    installation.wait_ready(0)
    installation.wait_leader()
    return installation


def _start(installation: Installation, proxy: Proxy) -> None:
    installation.start_one(0, kubeconfig=installation.kubeconfig_through(proxy.port), flags=[QUICK_LEASE])


def _scale_and_check(scene: Scene, replicas: int) -> None:
    before = scene.pods("web")
    scene.scale("web", replicas)
    after = scene.wait_ready("web", replicas)
    assert not tier_violations(before, after)
    assert zone_skew(after) <= 1


def _wait_controllers(scene: Scene, cluster: ClusterApi, replicas: int) -> None:
    """Until the cluster's own controllers follow the pods again: who deletes by costs must have seen them."""
    scene.scale("web", replicas)
    path = f"/apis/apps/v1/namespaces/{scene.namespace}/deployments/web"
    cluster.wait_until(lambda: cluster.rest.get(path)["status"].get("readyReplicas") == replicas, "the controllers")


def _sees_and_writes(scene: Scene, cluster: ClusterApi) -> None:
    """An elastic node that becomes a fixed one loses its taint: only the node's watch tells the operator."""
    node = max(scene.tainted())
    cluster.rest.merge(f"/api/v1/nodes/{node}", {"metadata": {"labels": {"pool": scene.pool("fixed")}}})
    cluster.wait_until(lambda: node not in scene.tainted(), "a taint to follow")


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_api_server_restarted(operator: Installation, scene: Scene, cluster: ClusterApi, *, kill: bool) -> None:
    cluster.require("restart")
    assert isinstance(cluster, Cluster)
    scene.add_policy()
    scene.wait_enforced()
    scene.fill("web")
    _scale_and_check(scene, 16)

    cluster.restart("kube-apiserver", kill=kill)

    _sees_and_writes(scene, cluster)
    operator.wait_ready(*operator.running)
    _wait_controllers(scene, cluster, 17)
    _scale_and_check(scene, 11)
    assert operator.wait_leader() in operator.running


def test_every_connection_cut_again_and_again(proxied: Installation, proxy: Proxy, scene: Scene) -> None:
    scene.add_policy()
    scene.wait_enforced()
    scene.fill("web")

    for replicas in (16, 14, 12, 9):
        proxy.cut()
        _scale_and_check(scene, replicas)

    assert proxied.running == (0,)
    assert not by_tier(scene.pods("web"))["virtual"]


def test_unreachable_for_a_while_then_everything_is_made_up_for(
    proxied: Installation, proxy: Proxy, scene: Scene, cluster: ClusterApi
) -> None:
    scene.add_policy()
    scene.wait_enforced()
    before = scene.fill("web")

    proxy.set(Flow.REFUSE)
    node = scene.nodes["elastic"][0]
    cluster.rest.merge(f"/api/v1/nodes/{node}", {"metadata": {"labels": {"pool": scene.pool("fixed")}}})
    scene.scale("web", 14)
    after = scene.wait_ready("web", 14)
    assert not tier_violations(before, after), "the costs that pods got when they were bound decide"
    proxy.set(Flow.PASS)

    def made_up_for() -> bool:
        # It may have lost its Lease meanwhile, and ends then, sooner or later; the kubelet would start it again.
        if proxied.pid(0) is None:
            _start(proxied, proxy)
        return node not in scene.tainted()

    cluster.wait_until(made_up_for, "the change that was missed")
    proxied.wait_ready(0)
    _scale_and_check(scene, 10)


def test_a_watch_that_went_silent_is_noticed(
    proxied: Installation, proxy: Proxy, scene: Scene, cluster: ClusterApi
) -> None:
    scene.add_policy()
    scene.wait_enforced()
    scene.fill("web")

    proxy.freeze()

    # New connections work, so the Lease can be kept; only the old ones are dead and do not say so: a watch is taken
    # for dead after 45 s of silence.
    _sees_and_writes(scene, cluster)
    _scale_and_check(scene, 12)
    scene.patch("elasticpolicies", scene.policy, {"mode": "Recommend"})
    cluster.wait_until(lambda: not scene.marked_objects(), "the policy's change")
