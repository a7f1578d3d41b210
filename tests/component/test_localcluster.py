"""The core: pods on pretended nodes, RBAC, the audit log, and components that can be stopped and started."""

import base64
import json
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from localcluster import Cluster, ClusterApi, ClusterError, nodes
from localcluster.rest import Rest, RestError


@pytest.fixture(scope="module")
def pool(cluster: ClusterApi) -> str:
    cluster.add_nodes("lc-core", 3)
    return "lc-core"


def _deploy(cluster: ClusterApi, namespace: str, replicas: int, **pod_spec: object) -> None:
    labels = {"app": "web"}
    cluster.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "c", "image": "x"}], **pod_spec},
                },
            },
        }
    )


def test_a_deployment_becomes_ready_over_the_zones_and_scales_down(
    cluster: ClusterApi, namespace: str, pool: str
) -> None:
    _deploy(cluster, namespace, 6, nodeSelector={"pool": pool})

    pods = cluster.wait_pods_ready(namespace, 6)

    # Pods carry the label of their zone only since Kubernetes 1.35.
    places = [cluster.rest.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")["metadata"]["labels"] for pod in pods]
    assert {labels["topology.kubernetes.io/zone"] for labels in places} == set(nodes.ZONES)
    cluster.kubectl("scale", "deployment", "web", "--replicas=2", "-n", namespace)
    cluster.wait_pods_ready(namespace, 2)


def test_the_control_plane_has_the_chosen_version(cluster: ClusterApi) -> None:
    cluster.require("restart")
    assert isinstance(cluster, Cluster)
    version = cluster.options.release.version

    assert cluster.rest.get("/version")["gitVersion"] == version
    for name in ("kube-controller-manager", "kube-scheduler"):
        said = subprocess.run([cluster.options.find(name), "--version"], capture_output=True, text=True, check=True)
        assert said.stdout.split()[-1] == version


def test_virtual_nodes_take_only_pods_that_tolerate_their_provider(cluster: ClusterApi, namespace: str) -> None:
    names = cluster.add_virtual_nodes("lc-virtual", 1, provider="tke", zones=())
    selector = {"pool": "lc-virtual", "type": "virtual-kubelet"}
    _deploy(cluster, namespace, 1, nodeSelector=selector, tolerations=[nodes.toleration("eci")])

    def refused() -> bool:
        return any(
            condition["reason"] == "Unschedulable" and "untolerated taint" in condition["message"]
            for pod in cluster.pods(namespace)
            for condition in pod["status"].get("conditions", ())
        )

    cluster.wait_until(refused, "the pod to be refused")
    _deploy(cluster, namespace, 1, nodeSelector=selector, tolerations=[nodes.toleration("tke")])

    (pod,) = cluster.wait_pods_ready(namespace, 1)
    assert pod["spec"]["nodeName"] in names
    cluster.delete_nodes(names)
    assert not cluster.exists(f"/api/v1/nodes/{names[0]}")


def test_a_node_that_died_stays_dead_until_it_is_healed(cluster: ClusterApi, namespace: str) -> None:
    doomed, sound = cluster.add_nodes("lc-dead", 2)
    _deploy(cluster, namespace, 2, nodeSelector={"pool": "lc-dead", "kubernetes.io/hostname": doomed})
    cluster.wait_pods_ready(namespace, 2)

    cluster.fail_nodes([doomed])

    def unready_pods() -> bool:
        conditions = [c for pod in cluster.pods(namespace) for c in pod["status"]["conditions"] if c["type"] == "Ready"]
        return len(conditions) == 2 and all(condition["status"] == "False" for condition in conditions)

    assert unready_pods()
    cluster.wait_nodes_ready([sound])
    with pytest.raises(ClusterError):
        cluster.wait_nodes_ready([doomed], timeout_seconds=0.3)
    cluster.heal_nodes([doomed])
    cluster.wait_nodes_ready([doomed])


def test_a_service_account_has_its_own_rights_and_no_more(cluster: ClusterApi, namespace: str, tmp_path: Path) -> None:
    rest = Rest(cluster.service_account_kubeconfig(namespace, "default", tmp_path / "kubeconfig"))

    with pytest.raises(RestError) as refused:
        rest.get("/api/v1/nodes")
    rest.close()

    assert refused.value.status == 403
    assert f"system:serviceaccount:{namespace}:default" in str(refused.value)


def test_what_is_written_is_in_the_audit_log(cluster: ClusterApi, namespace: str, pool: str) -> None:
    cluster.require("audit")
    assert isinstance(cluster, Cluster)
    _deploy(cluster, namespace, 1, nodeSelector={"pool": pool})
    cluster.wait_pods_ready(namespace, 1)
    cluster.kubectl("scale", "deployment", "web", "--replicas=0", "-n", namespace)

    with cluster.audit_log.open() as log:
        entries = [json.loads(line) for line in log if line.endswith("\n")]
    ours = [entry for entry in entries if entry.get("objectRef", {}).get("namespace") == namespace]
    scaled = [entry for entry in ours if entry["objectRef"].get("subresource") == "scale"]
    assert [entry["requestObject"]["spec"]["replicas"] for entry in scaled if entry["verb"] == "patch"] == [0]
    bound = [entry for entry in ours if entry["objectRef"].get("subresource") == "binding"]
    assert [entry["user"]["username"] for entry in bound] == ["system:kube-scheduler"]
    assert not [entry for entry in entries if entry["verb"] in {"get", "list", "watch"}]


def test_the_api_server_comes_back_with_its_data_after_a_kill(cluster: ClusterApi, namespace: str, pool: str) -> None:
    cluster.require("restart")
    assert isinstance(cluster, Cluster)
    _deploy(cluster, namespace, 2, nodeSelector={"pool": pool})
    before = {pod["metadata"]["uid"] for pod in cluster.wait_pods_ready(namespace, 2)}
    old = cluster.pid("kube-apiserver")

    cluster.restart("kube-apiserver", kill=True)

    assert cluster.pid("kube-apiserver") != old
    assert {pod["metadata"]["uid"] for pod in cluster.wait_pods_ready(namespace, 2)} == before


def test_a_paused_component_does_nothing_until_resumed(cluster: ClusterApi, namespace: str, pool: str) -> None:
    cluster.require("restart")
    assert isinstance(cluster, Cluster)
    cluster.pause("kube-scheduler")
    try:
        _deploy(cluster, namespace, 1, nodeSelector={"pool": pool})
        cluster.wait_until(lambda: cluster.pods(namespace), "the pod")
        time.sleep(1)
        assert [pod["spec"].get("nodeName") for pod in cluster.pods(namespace)] == [None]
    finally:
        cluster.resume("kube-scheduler")
    cluster.wait_pods_ready(namespace, 1)


def test_etcd_can_be_seeded_through_its_gateway(cluster: ClusterApi) -> None:
    cluster.require("restart")
    assert isinstance(cluster, Cluster)
    key, name = base64.b64encode(b"/registry/configmaps/default/seeded").decode(), "seeded"
    seeded = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default", "uid": "1"}}
    request = urllib.request.Request(
        f"{cluster.etcd_url}/v3/kv/put",
        data=json.dumps({"key": key, "value": base64.b64encode(json.dumps(seeded).encode()).decode()}).encode(),
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200

    path = f"/api/v1/namespaces/default/configmaps/{name}"
    assert cluster.wait_until(lambda: cluster.rest.get(path), "the seeded object")["metadata"]["uid"] == "1"
    cluster.rest.delete(path)


def test_waiting_in_vain_says_for_what(cluster: ClusterApi) -> None:
    with pytest.raises(ClusterError, match=r"waited 0\.1 s without success for rain"):
        cluster.wait_until(lambda: False, "rain", timeout_seconds=0.1)
