"""The chart's ValidatingAdmissionPolicies: what a holder of Spillway's token can and cannot change."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest

from harness.chart import Chart
from harness.operator import NAMESPACE, Installation
from localcluster import ClusterApi
from localcluster.errors import ClusterError
from localcluster.rest import Object
from tests.support.installed import deployment

POLICIES = "ValidatingAdmissionPolicy"
BINDINGS = "ValidatingAdmissionPolicyBinding"


class Attempt(Protocol):
    """Runs kubectl with the operator's own token; the result is empty, or what the API server refused with."""

    def __call__(self, *args: str, stdin: str | None = None) -> str: ...


@pytest.fixture(scope="module")
def policies() -> list[Object]:
    values = {"admissionPolicy": {"refuseNodeNames": "^virtual-"}}
    return Chart.render(values, namespace=NAMESPACE).kinds(POLICIES, BINDINGS)


@pytest.fixture
def attempt(cluster: ClusterApi, tmp_path: Path) -> Iterator[Attempt]:
    with Installation(cluster, folder=tmp_path) as installation:
        installation.apply()

        def run(*args: str, stdin: str | None = None) -> str:
            try:
                cluster.kubectl(f"--kubeconfig={installation.kubeconfig}", *args, stdin=stdin)
            except ClusterError as error:
                return str(error)
            return ""

        [node] = cluster.add_nodes("fixed", 1)
        forbidden = _patch("node", node, {"metadata": {"labels": {"probe": "x"}}}, "--dry-run=server")
        cluster.wait_until(lambda: "ValidatingAdmissionPolicy" in run(*forbidden), "the token's rights")
        wait_in_effect(cluster)
        yield run
        installation.uninstall()
        cluster.delete_nodes([node])


def wait_in_effect(cluster: ClusterApi) -> None:
    """Until the API server applies the policies as they are now.

    It takes changes over a moment later, in their order, so a last one shows that those before it are in effect.
    """
    name = f"last-{uuid4().hex[:8]}"
    kind: Object = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": f"object.metadata.name != '{name}'", "message": "the last policy is in effect"}],
    }
    last = [
        {**kind, "kind": POLICIES, "spec": spec},
        {**kind, "kind": BINDINGS, "spec": {"policyName": name, "validationActions": ["Deny"]}},
    ]

    def refused() -> bool:
        try:
            cluster.kubectl("create", "configmap", name, "--namespace=default", "--dry-run=server")
        except ClusterError as error:
            return "the last policy is in effect" in str(error)
        return False

    cluster.apply(last)
    try:
        cluster.wait_until(refused, "the last policy")
    finally:
        cluster.delete(last, "--wait=false")


def test_the_api_server_finds_no_fault_in_the_expressions(cluster: ClusterApi, policies: list[Object]) -> None:
    """The controller of policies type-checks each expression against the kinds that it selects."""
    cluster.apply(policies)
    try:
        names = [item["metadata"]["name"] for item in policies if item["kind"] == POLICIES]
        for name in names:
            path = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{name}"

            def checked(path: str = path) -> Object:
                status: Object = cluster.rest.get(path).get("status", {})
                return status if status.get("observedGeneration") else {}

            status = cluster.wait_until(checked, f"the type check of {name}")
            assert status.get("typeChecking", {}).get("expressionWarnings", []) == [], name
    finally:
        cluster.delete(policies, "--wait=false")


def test_pods_that_name_a_virtual_node_are_refused(cluster: ClusterApi, namespace: str, policies: list[Object]) -> None:
    strict = [item for item in policies if item["metadata"]["name"] == "spillway-bound-pods"]
    assert len(strict) == 2

    def refused(node: str) -> str:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {"nodeName": node, "containers": [{"name": "web", "image": "web"}]},
        }
        try:
            cluster.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(pod))
        except ClusterError as error:
            return str(error)
        return ""

    wait_in_effect(cluster)  # the policies of other tests are deleted
    assert not refused("virtual-1")
    cluster.apply(strict)
    try:
        wait_in_effect(cluster)
        assert "must not name the virtual node virtual-1" in refused("virtual-1")
        assert not refused("fixed-1")
        assert not refused("")
    finally:
        cluster.delete(strict, "--wait=false")


def test_a_pod_keeps_everything_but_spillways_marks(cluster: ClusterApi, namespace: str, attempt: Attempt) -> None:
    bare: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": namespace, "labels": {"app": "web"}, "annotations": {"theirs": "1"}},
        "spec": {"nodeName": _node(cluster), "containers": [{"name": "web", "image": "web"}]},
    }
    waiting: Object = {**bare, "metadata": {**bare["metadata"], "name": "waiting"}, "spec": {
        "nodeSelector": {"no": "node"}, "containers": [{"name": "web", "image": "web"}],
    }}  # fmt: skip
    cluster.apply([bare, waiting])
    at = f"--namespace={namespace}"

    def refused(change: Mapping[str, Any], pod: str = "web", *, form: str = "merge") -> str:
        return attempt(*_patch("pod", pod, change, at, form=form))

    cost = "controller.kubernetes.io/pod-deletion-cost"
    assert not refused({"metadata": {"annotations": {cost: "-5", "spillway.dev/policy": "day"}}})
    assert not refused({"metadata": {"annotations": {cost: None, "spillway.dev/policy": None}}})
    assert not refused({"metadata": {"labels": {"overlay": "x"}}}, "waiting")
    assert not refused({"spec": {"tolerations": [{"key": "virtual", "operator": "Exists"}]}}, "waiting")

    assert "no annotation of a pod but its own" in refused({"metadata": {"annotations": {"theirs": "2"}}})
    assert "no annotation of a pod but its own" in refused({"metadata": {"annotations": {"theirs": None}}})
    assert "removes no label" in refused({"metadata": {"labels": {"app": "victim"}}})
    assert "removes no label" in refused({"metadata": {"labels": {"app": None}}})
    assert "has no node yet" in refused({"metadata": {"labels": {"selected-by": "victim"}}})
    assert "no owner reference and no finalizer" in refused({"metadata": {"finalizers": ["spillway.dev/stuck"]}})
    assert "nothing of a pod's spec" in refused({"spec": {"activeDeadlineSeconds": 1}})
    image = {"spec": {"containers": [{"name": "web", "image": "miner"}]}}
    assert "nothing of a pod's spec" in refused(image, form="strategic")
    assert "nothing of a pod's spec" in refused(image, "waiting", form="strategic")


def test_pods_are_deleted_only_while_pending_or_marked(cluster: ClusterApi, namespace: str, attempt: Attempt) -> None:
    cluster.apply(deployment(namespace, "web", 2))
    cluster.wait_pods_ready(namespace, 2)
    running, marked = (pod["metadata"]["name"] for pod in cluster.pods(namespace))
    cluster.rest.merge(
        f"/api/v1/namespaces/{namespace}/pods/{marked}", {"metadata": {"annotations": {"spillway.dev/pool": "p"}}}
    )
    at = (f"--namespace={namespace}", "--wait=false")

    assert "pending or have an annotation" in attempt("delete", "pod", running, *at)
    assert not attempt("delete", "pod", marked, *at)


def test_a_node_keeps_everything_but_spillways_taint_and_cordon(cluster: ClusterApi, attempt: Attempt) -> None:
    [node] = cluster.add_nodes("fixed", 1)
    try:
        foreign = {"key": "theirs", "value": "x", "effect": "PreferNoSchedule"}
        cluster.rest.merge(f"/api/v1/nodes/{node}", {"spec": {"taints": [foreign]}})

        def refused(change: Mapping[str, Any]) -> str:
            return attempt(*_patch("node", node, change))

        ours = {"key": "spillway.dev/elastic", "value": "day", "effect": "PreferNoSchedule"}
        assert not refused({"spec": {"taints": [foreign, ours]}})
        assert not refused(
            {"spec": {"unschedulable": True}, "metadata": {"annotations": {"spillway.dev/cordoned-by": "b"}}}
        )
        assert not refused({"spec": {"unschedulable": None}})

        assert "no taint of a node but its own" in refused({"spec": {"taints": [ours]}})
        assert "no taint of a node but its own" in refused(
            {"spec": {"taints": [foreign, {"key": "evict", "effect": "NoExecute"}]}}
        )
        assert "no annotation of a node" in refused({"metadata": {"annotations": {"theirs": "1"}}})
        assert "no label" in refused({"metadata": {"labels": {"topology.kubernetes.io/zone": "elsewhere"}}})
        assert "no label" in refused({"metadata": {"finalizers": ["theirs/stuck"]}})
    finally:
        cluster.delete_nodes([node])


def test_workloads_keep_their_template_and_scale_by_one(cluster: ClusterApi, namespace: str, attempt: Attempt) -> None:
    cluster.apply(deployment(namespace, "web", 3))
    cluster.wait_pods_ready(namespace, 3)
    [replicaset] = cluster.rest.items(f"/apis/apps/v1/namespaces/{namespace}/replicasets")
    name, at = replicaset["metadata"]["name"], f"--namespace={namespace}"

    def refused(change: Mapping[str, Any]) -> str:
        return attempt(*_patch("replicaset", name, change, at))

    def scaled(replicas: int) -> str:
        change = {"spec": {"replicas": replicas}}
        return attempt(*_patch("deployment", "web", change, at, "--subresource=scale"))

    assert not refused({"metadata": {"annotations": {"spillway.dev/surge": "x"}}})
    assert "no annotation of a ReplicaSet" in refused({"metadata": {"annotations": {"theirs": "1"}}})
    assert "nothing of a ReplicaSet" in refused({"spec": {"replicas": 0}})
    assert "nothing of a ReplicaSet" in refused({"metadata": {"labels": {"app": "victim"}}})
    image = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "miner"}]}}}}
    assert "nothing of a ReplicaSet" in refused(image)
    assert "one replica at a time" in scaled(0)
    assert "one replica at a time" in scaled(5)
    assert not scaled(4)
    assert not scaled(3)


def test_spillway_creates_no_objects_but_its_own(cluster: ClusterApi, attempt: Attempt) -> None:
    at = f"--namespace={NAMESPACE}"

    assert "ConfigMaps of its own plans" in attempt("create", "configmap", "theirs", at)
    assert not attempt("create", "configmap", "spillway-thresholds-7", at)
    assert not attempt("create", "configmap", "spillway-load-classes-0", at)
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "other", "namespace": NAMESPACE},
    }
    assert "its own Lease" in attempt("create", at, "-f", "-", stdin=json.dumps(lease))


def test_other_users_are_not_concerned(cluster: ClusterApi, namespace: str, attempt: Attempt) -> None:
    cluster.kubectl("create", "configmap", "theirs", f"--namespace={namespace}")
    node = _node(cluster)
    cluster.kubectl(*_patch("node", node, {"metadata": {"labels": {"theirs": "1"}}}))

    assert cluster.rest.get(f"/api/v1/nodes/{node}")["metadata"]["labels"]["theirs"] == "1"


def _node(cluster: ClusterApi) -> str:
    name: str = cluster.rest.items("/api/v1/nodes")[0]["metadata"]["name"]
    return name


def _patch(kind: str, name: str, change: Mapping[str, Any], *flags: str, form: str = "merge") -> list[str]:
    return ["patch", kind, name, f"--type={form}", f"--patch={json.dumps(change)}", *flags]


def test_autoscalers_of_others_are_neither_made_nor_deleted(
    cluster: ClusterApi, namespace: str, attempt: Attempt
) -> None:
    def body(name: str, **annotations: str) -> Object:
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
        return {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
            "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 9},
        }

    def made(name: str, **annotations: str) -> str:
        return attempt("create", "--filename=-", stdin=json.dumps(body(name, **annotations)))

    collection = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    cluster.apply(body("theirs"))
    ours = {"spillway.dev/policy": "online"}
    assert not made("spillway-deployment-web", **ours)
    assert not attempt("delete", f"--raw={collection}/spillway-deployment-web")

    refusal = "only the HorizontalPodAutoscalers that it created"
    assert refusal in made("spillway-deployment-web")
    assert refusal in made("web", **ours)
    assert refusal in attempt("delete", f"--raw={collection}/theirs")
    assert cluster.exists(f"{collection}/theirs")
