"""The operator's answers to `spillway explain`: those of the command itself, and only for who may read their parts.

Contract: the cluster is of this module's own, because an aggregated API that is registered and away would hold up the
removal of namespaces in the one that others share.
"""

import base64
import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from harness import Installation
from harness.scene import Scene
from localcluster import ClusterApi, ClusterError, ClusterFactory, Options
from localcluster.ports import free_ports
from spillway.admission.acceptor import HANDSHAKES_MAX
from spillway.admission.http_server import CONNECTIONS_MAX
from spillway.domain.explain.served import API_SERVICE, GROUP, RESOURCES
from spillway.kube.access import Access, User, question
from tests.support.command_line import doctor_findings, explain
from tests.support.e2e import two_replicas

API = "/apis/explain.spillway.dev/v1alpha1"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
ANSWERS = "spillway_explain_answers_total"
VIEW = "spillway-view"


@pytest.fixture(scope="module")
def asked(cluster_factory: ClusterFactory) -> Iterator[ClusterApi]:
    with cluster_factory(Options()) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def installation(asked: ClusterApi) -> Iterator[Installation]:
    """Two replicas that serve the API."""
    with two_replicas(asked, {"explainApi": {"enabled": True}}) as installed:
        asked.kubectl("wait", "--for=condition=Available", "--timeout=60s", f"apiservice/{API_SERVICE}")
        yield installed


@pytest.fixture(scope="module")
def scene(asked: ClusterApi, installation: Installation) -> Iterator[Scene]:
    """A workload on all tiers, in a pool with a price."""
    with Scene(asked) as made:
        made.add_budget(price={"currency": "CNY", "cpuHour": "0.35", "memoryGiBHour": "0.044"}, limits={"pods": 50})
        workload = {"name": "default", "threshold": {"mode": "Manual", "replicas": 6}}
        match = {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": made.namespace}}}
        made.add_policy(workloads=[{**workload, "match": match}])
        made.wait_enforced()
        made.fill("web")
        made.wait_stamped("web")
        yield made


def _explain(cluster: ClusterApi, *words: str) -> str:
    done = explain(cluster, *words)
    return done.stdout if not done.returncode else f"exit code {done.returncode}: {done.stderr}"


def _question(scene: Scene, what: str) -> list[str]:
    within = f"--namespace={scene.namespace}"
    pod = min(one.name for one in scene.pods("web"))
    return {
        "pod": ["pod", pod, within],
        "workload": ["workload", "deployment/web", within],
        "workload without a kind": ["workload", "web", within],
        "node": ["node", scene.nodes["elastic"][0]],
        "pool": ["pool", scene.budget],
    }[what]


@pytest.mark.parametrize("what", ["pod", "workload", "workload without a kind", "node", "pool"])
def test_the_operators_answer_is_the_one_that_the_command_would_give(
    asked: ClusterApi, installation: Installation, scene: Scene, what: str
) -> None:
    words = _question(scene, what)

    def both() -> tuple[str, ...]:
        """Both answers, while nothing changes."""
        before = _explain(asked, *words, "--read-cluster")
        answered = installation.total(ANSWERS, result="answered")
        found = _explain(asked, *words)
        by_operator = installation.total(ANSWERS, result="answered") - answered
        assert by_operator == 1
        return (found, before) if before == _explain(asked, *words, "--read-cluster") else ()

    by_operator, by_command = asked.wait_until(both, f"a cluster at rest, to explain a {what}")

    assert json.loads(by_command)["kind"] == words[0].capitalize()
    assert by_operator == by_command


def test_each_replica_answers(asked: ClusterApi, installation: Installation, scene: Scene) -> None:
    token = _account(asked, scene.namespace, "all", {"": ["*"], "apps": ["*"], "storage.k8s.io": ["*"]})

    def all_answered() -> bool:
        assert _direct(installation, f"{API}/poolexplanations/{scene.budget}", token) == 200
        return all(installation.metrics(one).total(ANSWERS, result="answered") for one in installation.running)

    asked.wait_until(all_answered, "both replicas to have answered")


def _account(cluster: ClusterApi, namespace: str, name: str, lists: dict[str, list[str]]) -> str:
    """The token of a ServiceAccount that may view Spillway's kinds everywhere, and read these resources there too."""
    role, subject = f"{namespace}-{name}", {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    rules = [
        {"apiGroups": [group], "resources": resources, "verbs": ["get", "list"]} for group, resources in lists.items()
    ]
    group = "rbac.authorization.k8s.io"
    cluster.apply(
        [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}},
            {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules},
            *(
                {
                    "apiVersion": f"{group}/v1",
                    "kind": "ClusterRoleBinding",
                    "metadata": {"name": f"{role}-{of}"},
                    "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": of},
                    "subjects": [subject],
                }
                for of in (role, VIEW)
            ),
        ]
    )
    # The API server goes by what it has read of them, and the operator remembers a refusal.
    user, (of_group, (listed, *_)) = User.of_service_account(namespace, name), next(iter(lists.items()))
    wanted = (
        question(user, Access("get", group=GROUP, resource=RESOURCES["pool"].plural)),
        question(user, Access("list", group=of_group, resource=listed)),
    )
    cluster.wait_until(
        lambda: all(cluster.rest.create(REVIEWS, {"spec": one})["status"]["allowed"] for one in wanted),
        f"the rights of {name}",
    )
    return cluster.service_account_token(namespace, name)


def test_who_may_not_list_the_clusters_pods_is_not_answered(
    asked: ClusterApi, installation: Installation, scene: Scene
) -> None:
    """A tenant may use the API, as everybody with the role `view` may, and read all of the tenant's own namespace."""
    _account(asked, scene.namespace, "tenant", {"": ["nodes", "namespaces"]})
    asked.kubectl(
        "create",
        "rolebinding",
        "tenant",
        f"--namespace={scene.namespace}",
        "--clusterrole=admin",
        f"--serviceaccount={scene.namespace}:tenant",
    )
    tenant = f"--as=system:serviceaccount:{scene.namespace}:tenant"
    path = f"{API}/namespaces/{scene.namespace}/workloadexplanations/web"

    with pytest.raises(ClusterError, match="cannot list replicasets in the whole cluster"):
        asked.kubectl("get", "--raw", path, tenant)
    with pytest.raises(ClusterError, match="forbidden"):
        asked.kubectl("get", "--raw", path, "--as=mallory")
    document = json.loads(asked.kubectl("get", "--raw", path))
    assert (document["apiVersion"], document["kind"]) == ("explain.spillway.dev/v1alpha1", "WorkloadExplanation")
    assert document["answer"]["workload"] == f"Deployment/{scene.namespace}/web"


def test_who_may_read_all_of_it_needs_no_more(asked: ClusterApi, installation: Installation, scene: Scene) -> None:
    lists = {
        "": ["pods", "nodes", "namespaces", "replicationcontrollers"],
        "apps": ["replicasets", "statefulsets"],
    }
    _account(asked, scene.namespace, "reader", lists)
    reader = f"--as=system:serviceaccount:{scene.namespace}:reader"

    pod = min(one.name for one in scene.pods("web"))
    for path in (
        f"namespaces/{scene.namespace}/podexplanations/{pod}",
        f"nodeexplanations/{scene.nodes['fixed'][0]}",
        f"poolexplanations/{scene.budget}",
    ):
        assert json.loads(asked.kubectl("get", "--raw", f"{API}/{path}", reader))["answer"]["why"]
    # The next pod of a workload may claim volumes.
    with pytest.raises(ClusterError, match="cannot get persistentvolumeclaims in namespace"):
        asked.kubectl("get", "--raw", f"{API}/namespaces/{scene.namespace}/workloadexplanations/web", reader)


def _direct(installation: Installation, path: str, token: str = "", **headers: str) -> int:
    """The HTTP status of a request that does not come through kube-apiserver."""
    secret = installation.cluster.rest.get("/api/v1/namespaces/spillway-system/secrets/spillway-webhook-tls")
    trusted = ssl.create_default_context(cadata=base64.b64decode(secret["data"]["ca.crt"]).decode())
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"https://localhost:{installation.explain_port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30, context=trusted) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_who_comes_past_kube_apiserver_needs_a_token_with_the_rights(
    asked: ClusterApi, installation: Installation, scene: Scene
) -> None:
    path = f"{API}/poolexplanations/{scene.budget}"
    assert _direct(installation, path) == 401
    assert _direct(installation, path, **{"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}) == 401
    assert _direct(installation, path, asked.service_account_token(scene.namespace, "default")) == 403
    assert _direct(installation, "/healthz") == 200


def test_kubectl_finds_the_api(asked: ClusterApi, installation: Installation) -> None:
    listing = ("api-resources", "--api-group=explain.spillway.dev", "--output=name", "--cached=false")
    wanted = {f"{what}explanations.explain.spillway.dev" for what in ("pod", "workload", "node", "pool")}
    asked.wait_until(
        lambda: set(asked.kubectl(*listing).split()) == wanted, "kube-apiserver to have read the API's resources"
    )


def test_a_flood_of_connections_keeps_nobody_from_an_answer(
    asked: ClusterApi, installation: Installation, scene: Scene
) -> None:
    def closed(server: str, reason: str) -> float:
        return installation.total("spillway_http_connections_closed_total", server=server, reason=reason)

    words = _question(scene, "pool")
    before = closed("explain", "handshakes"), closed("metrics", "too-many")
    # The two replicas share the port of the API, and each has a port of its own for its metrics.
    flood = {installation.explain_port: 3 * HANDSHAKES_MAX}
    flood |= {installation.metrics_port(one): CONNECTIONS_MAX + 20 for one in installation.running}
    with ExitStack() as stack:
        for port, count in flood.items():
            for _ in range(count):
                stack.enter_context(socket.create_connection(("localhost", port)))

        def full() -> bool:
            return closed("explain", "handshakes") > before[0] and closed("metrics", "too-many") > before[1]

        asked.wait_until(full, "connections to be closed for newer ones")
        answered = installation.total(ANSWERS, result="answered")

        def by_operator() -> bool:
            """Without its answer in time the command reads the cluster."""
            assert json.loads(_explain(asked, *words))["pool"] == scene.budget
            return installation.total(ANSWERS, result="answered") > answered

        asked.wait_until(by_operator, "the operator to answer beside the flood")


@pytest.fixture
def registered(asked: ClusterApi, installation: Installation) -> Iterator[Callable[..., None]]:
    """Leads the APIService elsewhere; at the end it leads to the operator again."""
    (service,) = {one["spec"]["service"]["name"] for one in installation.chart.kinds("APIService")}
    right = {"namespace": "spillway-system", "name": service, "port": installation.explain_port}

    def leads_to(**changes: Any) -> None:
        patch = json.dumps({"spec": {"service": {**right, **changes}}})
        asked.kubectl("patch", "apiservice", API_SERVICE, "--type=merge", f"--patch={patch}")

    yield leads_to
    leads_to()
    asked.kubectl("wait", "--for=condition=Available", "--timeout=60s", f"apiservice/{API_SERVICE}")


def test_doctor_finds_nothing_wrong_with_what_the_chart_installs(asked: ClusterApi, installation: Installation) -> None:
    assert installation.running
    assert doctor_findings(asked, "leader", "webhooks", "api-services", "rights") == []


def test_doctor_finds_an_api_that_is_not_reached_or_leads_elsewhere(
    asked: ClusterApi, registered: Callable[..., None]
) -> None:
    about = f"APIService/{API_SERVICE}"
    assert doctor_findings(asked, "api-services") == []

    [closed] = free_ports(1)
    registered(port=closed)
    [(severity, named, message)] = asked.wait_until(
        lambda: doctor_findings(asked, "api-services"), "kube-apiserver to miss the API"
    )
    assert (severity, named) == ("error", about)
    assert message.startswith("kube-apiserver does not reach it: ")

    registered(name="elsewhere", namespace="old")
    [(severity, named, message)] = doctor_findings(asked, "api-services")
    assert (severity, named) == ("warning", about)
    assert message.startswith("it leads to the Service old/elsewhere, not to spillway-system/")


def test_what_the_operator_does_not_know_is_read_from_the_cluster(
    asked: ClusterApi, installation: Installation, scene: Scene
) -> None:
    before = installation.total(ANSWERS, result="not-found")
    found = _explain(asked, "node", "absent")
    assert found.startswith("exit code 1: error: there is no node absent; there are: ")
    assert installation.total(ANSWERS, result="not-found") == before + 1


def test_the_command_answers_without_the_operator(asked: ClusterApi, installation: Installation, scene: Scene) -> None:
    words = _question(scene, "pool")
    answers: dict[str, Any] = {}
    installation.stop()
    try:
        answers = json.loads(_explain(asked, *words))
    finally:
        installation.start(2)
        installation.wait_ready()
        installation.wait_leader()
    assert (answers["kind"], answers["pool"]) == ("Pool", scene.budget)
