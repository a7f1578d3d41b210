"""`spillway restore` on a cluster in which someone refuses one of the writes."""

import pytest

from localcluster import ClusterApi
from localcluster.rest import RestError
from spillway.app.restore import Restore
from spillway.domain.model.names import COST_WRITTEN, POD_DELETION_COST, POLICY, POOLS, RESERVATION, TIER
from spillway.kube.client import KubeClient
from tests.support.installed import annotations, deployment, wait_marked_only_in

COSTS = {POD_DELETION_COST: "-7", COST_WRITTEN: "-7"}

GUARD = "guard-one-pod"


@pytest.fixture(autouse=True)
def unmarked(cluster: ClusterApi) -> None:
    """Nothing is marked before a test: what was guarded in an earlier one may be refused as long as it is there."""
    wait_marked_only_in(cluster)


def guard(namespace: str, pod: str, operation: str = "UPDATE") -> list[dict[str, object]]:
    """A policy of the cluster's that lets no one change (or delete) this pod."""
    group = "admissionregistration.k8s.io/v1"
    subject = "oldObject" if operation == "DELETE" else "object"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": [operation], "resources": ["pods"]}
    return [
        {
            "apiVersion": group,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": GUARD},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": f"{subject}.metadata.name != '{pod}'", "message": "hands off"}],
            },
        },
        {
            "apiVersion": group,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": GUARD},
            "spec": {
                "policyName": GUARD,
                "validationActions": ["Deny"],
                "matchResources": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                },
            },
        },
    ]


async def test_what_is_refused_is_named_and_the_rest_is_restored(cluster: ClusterApi, namespace: str) -> None:
    cluster.add_nodes("guarded", 1)
    cluster.apply(deployment(namespace, "web", 3, nodeSelector={"pool": "guarded"}))
    kept, *others = sorted(pod["metadata"]["name"] for pod in cluster.wait_pods_ready(namespace, 3))
    for name in (kept, *others):
        mark(cluster, namespace, name, COSTS)
    cluster.apply(guard(namespace, kept))
    try:
        cluster.wait_until(lambda: is_refused(cluster, namespace, kept), "the policy to be in force")
        async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
            result = await Restore(client, say=lambda _: None).run()
    finally:
        cluster.delete(guard(namespace, kept))
    assert not result.clean
    (refusal,) = result.failed
    assert refusal.startswith(f"pod/{namespace}/{kept}: ")
    assert "hands off" in refusal
    left = [pod["metadata"]["name"] for pod in cluster.pods(namespace) if COST_WRITTEN in annotations(pod)]
    assert left == [kept]


async def test_marks_that_a_user_writes_again_are_told_from_spillways_own(cluster: ClusterApi, namespace: str) -> None:
    cluster.add_nodes("marked", 1)
    cluster.apply(deployment(namespace, "web", 1, nodeSelector={"pool": "marked"}))
    (pod,) = cluster.wait_pods_ready(namespace, 1)
    name = pod["metadata"]["name"]
    mark(cluster, namespace, name, COSTS)

    def write_again(line: str) -> None:
        if name in line:
            mark(cluster, namespace, name, COSTS)

    async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
        result = await Restore(client, say=write_again).run()
    assert not result.clean
    assert result.only_returns
    assert namespace in result.returning


async def test_a_pod_of_a_job_whose_deletion_is_refused_costs_no_retry(cluster: ClusterApi, namespace: str) -> None:
    marks = {POLICY: "online", POOLS: "eci", RESERVATION: "token-1"}
    template = {
        "metadata": {"annotations": marks},
        "spec": {
            "restartPolicy": "Never",
            "nodeSelector": {"no": "node"},
            "containers": [{"name": "etl", "image": "etl"}],
        },
    }
    spec = {"backoffLimit": 2, "template": template}
    metadata = {"name": "etl", "namespace": namespace}
    cluster.apply([{"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}])
    cluster.wait_until(lambda: len(cluster.pods(namespace)) == 1, "the Job's pod")
    name = cluster.pods(namespace)[0]["metadata"]["name"]
    cluster.apply(guard(namespace, name, "DELETE"))
    try:
        cluster.wait_until(lambda: is_refused(cluster, namespace, name, "DELETE"), "the policy to be in force")
        async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
            refused = await Restore(client, say=lambda _: None).run()
    finally:
        cluster.delete(guard(namespace, name, "DELETE"))
    (refusal,) = refused.failed
    assert "hands off" in refusal
    assert annotations(cluster.pods(namespace)[0]).items() >= marks.items(), "in no pass it is taken for one to keep"


async def test_a_pod_that_is_stuck_in_terminating_loses_its_marks(cluster: ClusterApi, namespace: str) -> None:
    cluster.add_nodes("stuck", 1)
    cluster.apply(deployment(namespace, "web", 1, nodeSelector={"pool": "stuck"}))
    [pod] = cluster.wait_pods_ready(namespace, 1)
    name = pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    cluster.rest.merge(path, {"metadata": {"finalizers": ["example.com/stuck"]}})
    mark(cluster, namespace, name, COSTS | {POLICY: "online", TIER: "fixed"})
    cluster.rest.delete(path)
    cluster.wait_until(lambda: "deletionTimestamp" in cluster.rest.get(path)["metadata"], "the pod to terminate")
    try:
        async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
            result = await Restore(client, say=lambda _: None).run()
        assert result.clean
        assert not annotations(cluster.rest.get(path)).keys() & {*COSTS, POLICY, TIER}
    finally:
        cluster.rest.merge(path, {"metadata": {"finalizers": None}})


def mark(cluster: ClusterApi, namespace: str, pod: str, marks: dict[str, str]) -> None:
    cluster.rest.merge(f"/api/v1/namespaces/{namespace}/pods/{pod}", {"metadata": {"annotations": marks}})


def is_refused(cluster: ClusterApi, namespace: str, pod: str, operation: str = "UPDATE") -> bool:
    try:
        if operation == "DELETE":
            cluster.rest.request("DELETE", f"/api/v1/namespaces/{namespace}/pods/{pod}?dryRun=All")
        else:
            mark(cluster, namespace, pod, {"example.com/try": "again"})
    except RestError as error:
        return "hands off" in str(error)
    return False
