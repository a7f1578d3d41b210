"""The examination of a cluster by what its API server answers."""

import base64
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from spillway.admission.authority import Lifetimes, Material, begin, next_step
from spillway.app.doctor.examine import examine
from spillway.domain.doctor.findings import Check, Report
from spillway.domain.doctor.webhooks import EXPECTED, VALIDATING
from spillway.domain.overview.status import OperatorState
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError
from spillway.state.catalog import Kind
from spillway.state.cluster import Record
from tests.builders import make_namespace, make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.world import ELASTIC, make_world, policy_resource, resource

NAMESPACE = "spillway-system"
HOST = f"spillway-webhook.{NAMESPACE}.svc"
LEADS = OperatorState("spillway-1", None, "2026-01-05T12:00:00Z", None)
COST = "controller.kubernetes.io/pod-deletion-cost"


def material(host: str = HOST) -> Material:
    now = datetime.now(UTC)
    begun = begin([host], Lifetimes(), now)
    return next_step(begun, [host], Lifetimes(), now, published=True) or begun


def configuration(trusted: Material, names: Iterable[str] = EXPECTED) -> dict[str, Any]:
    bundle = base64.b64encode(trusted.bundle).decode()
    client = {"service": {"namespace": NAMESPACE, "name": "spillway-webhook"}, "caBundle": bundle}
    webhooks = [{"name": name, "clientConfig": client} for name in names]
    return {"metadata": {"name": "spillway"}, "webhooks": webhooks}


def secret(held: Material) -> dict[str, Any]:
    return {"data": {name: base64.b64encode(one).decode() for name, one in held.as_secret().items()}}


class Server:
    """An API server with a good installation, whose answers a test replaces by the end of their paths."""

    def __init__(self, **denied: Sequence[str]) -> None:
        held = material()
        self.credentials = SimpleNamespace(target="https://here")
        self.denied: dict[str, Sequence[str]] = denied
        """The verbs that the operator's account lacks, by resource."""
        self.answers: dict[str, Any] = {
            "version": {"major": "1", "minor": "37"},
            "mutatingwebhookconfigurations": [configuration(held)],
            "validatingwebhookconfigurations": [],
            "services/spillway-webhook": {"spec": {"type": "ClusterIP"}},
            "endpointslices": [{"endpoints": [{"conditions": {"ready": True}}, {"conditions": {"ready": False}}]}],
            "secrets/tls": secret(held),
            "serviceaccounts/spillway": {},
            "deployments": [],
            "pods": {"spillway.dev/placement": "physical"},
        }
        self.asked: list[tuple[str, str, str, str]] = []
        """The rights that were asked for: verb, resource, namespace and name."""
        self.ahead = timedelta()
        """Its clock."""

    def _answer(self, path: str) -> Any:
        found = next((one for end, one in self.answers.items() if path.endswith(f"/{end}")), None)
        if found is None:
            raise ApiError(404, "NotFound", f"{path} not found")
        if isinstance(found, ApiError):
            raise found
        return found

    async def get_json(self, path: str) -> Any:
        return self._answer(path)

    async def list_all(self, path: str, **_: str) -> AsyncIterator[Any]:
        for one in self._answer(path):
            yield one

    async def server_time(self) -> datetime | None:
        return datetime.now(UTC).replace(microsecond=0) + self.ahead

    async def request(
        self, _: str, path: str, *, body: Mapping[str, Any], params: Mapping[str, str] | None = None
    ) -> bytes:
        if path.endswith("/pods"):
            assert params == {"dryRun": "All"}
            answer = self._answer(path)
            return msgspec.json.encode({"metadata": {**body["metadata"], "annotations": answer}})
        assert path.endswith("/subjectaccessreviews")
        asked = body["spec"]["resourceAttributes"]
        assert body["spec"]["user"] == f"system:serviceaccount:{NAMESPACE}:spillway"
        self.asked.append((asked["verb"], asked["resource"], asked["namespace"], asked.get("name", "")))
        denied = asked["verb"] in self.denied.get(asked["resource"], ())
        return msgspec.json.encode({"status": {"allowed": not denied}})


async def examined(
    server: Server,
    records: Sequence[Record] = (),
    *,
    resources: Sequence[dict[str, Any]] | None = None,
    operator: OperatorState = LEADS,
) -> Report:
    governed: list[Record] = [make_replicaset(), make_pod(), make_node(labels={"pool": "elastic"})]
    policies = [policy_resource(elastic=ELASTIC)] if resources is None else resources
    for one in policies:
        one.setdefault("status", {"observedGeneration": 1})
    world = make_world([*governed, *records], policies, FakeClock(5_000.0))
    return await examine(
        cast("KubeClient", server),
        world,
        operator,
        namespace=NAMESPACE,
        lease="spillway",
        account="spillway",
        secret="tls",
    )


def told(found: Report) -> list[tuple[str, str, str]]:
    return [(one.severity.value, one.check.value, one.object) for one in found.findings]


async def test_a_good_installation() -> None:
    found = await examined(Server())

    assert told(found) == []
    assert found.checks == tuple(Check)


async def test_a_control_plane_that_is_too_old() -> None:
    server = Server()
    server.answers["version"] = {"major": "1", "minor": "29+"}

    assert told(await examined(server)) == [("error", "kubernetes", "Cluster")]


PLACES = {"name": "default", "threshold": {"mode": "Manual", "replicas": 1}}


def placing() -> list[dict[str, Any]]:
    policy = policy_resource(elastic=ELASTIC)
    policy["spec"]["workloads"] = [PLACES]
    return [policy]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"spillway.dev/placement": "physical"}, []),
        ({}, [("error", "webhooks", "pods.spillway.dev")]),
        (ApiError(403, "Forbidden", "no"), [("info", "webhooks", "Namespace/shop")]),
    ],
    ids=["answered", "no answer", "forbidden"],
)
async def test_a_pod_in_a_dry_run(answer: object, expected: list[tuple[str, str, str]]) -> None:
    server = Server()
    server.answers["pods"] = answer
    found = await examined(server, resources=placing())
    assert [one for one in told(found) if one[1] == "webhooks"] == expected


IN_ARGOCD: list[Record] = [
    make_namespace("argocd", **{"kubernetes.io/metadata.name": "argocd"}),
    make_replicaset("argocd-server", namespace="argocd"),
]
EXCLUDED = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["argocd", NAMESPACE]}


async def test_a_pod_is_created_only_where_the_webhook_is_called() -> None:
    server = Server()
    webhooks = server.answers["mutatingwebhookconfigurations"][0]["webhooks"]
    server.answers["shop/pods"] = server.answers.pop("pods")
    server.answers["argocd/pods"] = {}
    found = await examined(server, IN_ARGOCD, resources=placing())
    assert told(found) == [("error", "webhooks", "pods.spillway.dev")]

    for one in webhooks:
        one["namespaceSelector"] = {"matchExpressions": [EXCLUDED]}
    found = await examined(server, IN_ARGOCD, resources=placing())
    assert told(found) == [("info", "webhooks", "ElasticPolicy/online")]
    assert "does not call the webhooks: argocd;" in found.findings[0].message

    server.answers["mutatingwebhookconfigurations"] = ApiError(403, "Forbidden", "no")
    found = await examined(server, IN_ARGOCD, resources=placing())
    assert ("error", "webhooks", "pods.spillway.dev") in told(found)


@pytest.mark.parametrize(("seconds", "words"), [(0, None), (60, "behind"), (-60, "ahead of")])
async def test_the_clock_of_this_machine(seconds: int, words: str | None) -> None:
    server = Server()
    server.ahead = timedelta(seconds=seconds)
    found = [one for one in (await examined(server)).findings if one.check is Check.CLOCKS]
    assert [f"{words} that of the API server" in one.message for one in found] == ([] if words is None else [True])


async def test_no_leader() -> None:
    nowhere = OperatorState(None, None, None, "the Lease has expired")

    assert told(await examined(Server(), operator=nowhere)) == [("error", "leader", f"Lease/{NAMESPACE}")]


async def test_a_lease_that_may_not_be_read_is_said() -> None:
    unknown = OperatorState(None, None, None, None)

    assert told(await examined(Server(), operator=unknown)) == [("info", "leader", f"Lease/{NAMESPACE}")]


async def test_webhooks_that_do_not_trust_the_certificate() -> None:
    server = Server()
    server.answers["secrets/tls"] = secret(material())

    assert told(await examined(server)) == [("error", "webhooks", f"Webhook/{name}") for name in sorted(EXPECTED)]


@pytest.mark.parametrize(
    ("end", "answer", "expected"),
    [
        pytest.param("mutatingwebhookconfigurations", [], "MutatingWebhookConfiguration", id="no-webhooks"),
        pytest.param("services/spillway-webhook", None, f"Service/{NAMESPACE}/spillway-webhook", id="no-service"),
        pytest.param(
            "endpointslices",
            [{"endpoints": [{"conditions": {"ready": False}}]}],
            f"Service/{NAMESPACE}/spillway-webhook",
            id="no-endpoint",
        ),
        pytest.param("secrets/tls", secret(material("elsewhere")), f"Secret/{NAMESPACE}/tls", id="another-name"),
    ],
)
async def test_webhooks_that_are_not_reached(end: str, answer: Any, expected: str) -> None:
    server = Server()
    server.answers[end] = answer

    found = told(await examined(server))

    assert ("error", "webhooks", expected) in found


@pytest.mark.parametrize(
    ("end", "answer", "expected"),
    [
        pytest.param(
            "secrets/tls", ApiError(403, "Forbidden", "no"), f"Secret/{NAMESPACE}/tls", id="secret-not-readable"
        ),
        pytest.param("secrets/tls", {"data": {}}, f"Secret/{NAMESPACE}/tls", id="secret-without-certificate"),
        pytest.param("serviceaccounts/spillway", None, f"ServiceAccount/{NAMESPACE}/spillway", id="another-account"),
        pytest.param("nodepools", ApiError(403, "Forbidden", "no"), "Cluster", id="node-pools-not-readable"),
    ],
)
async def test_what_cannot_be_read_is_said_and_no_error(end: str, answer: Any, expected: str) -> None:
    server = Server()
    server.answers[end] = answer

    found = await examined(server)

    assert [(one.severity.value, one.object) for one in found.findings] == [("info", expected)]
    assert found.findings[0].message.startswith("not checked: ")


async def test_without_the_webhooks_neither_they_nor_the_apis_are_checked() -> None:
    server = Server()
    server.answers["mutatingwebhookconfigurations"] = ApiError(403, "Forbidden", "no")

    assert told(await examined(server)) == [("info", "webhooks", "Cluster"), ("info", "api-services", "Cluster")]


EXPLAIN = "v1alpha1.explain.spillway.dev"
METRICS = "v1beta1.external.metrics.k8s.io"


def api_service(trusted: Material | None, service: str = "spillway-webhook", reached: str = "True") -> dict[str, Any]:
    bundle = {} if trusted is None else {"caBundle": base64.b64encode(trusted.bundle).decode()}
    available = {"type": "Available", "status": reached, "message": "failing or missing response"}
    leads = {"namespace": NAMESPACE, "name": service}
    return {"spec": {"service": leads, **bundle}, "status": {"conditions": [available]}}


def serving(*ports: str) -> tuple[Server, Material]:
    """A server whose Service has these ports too, and what its certificate is of."""
    server, held = Server(), material()
    server.answers |= {
        "mutatingwebhookconfigurations": [configuration(held)],
        "secrets/tls": secret(held),
        "services/spillway-webhook": {"spec": {"type": "ClusterIP", "ports": [{"name": one} for one in ports]}},
    }
    return server, held


async def test_apis_that_are_served() -> None:
    server, held = serving("explain", "metrics-api")
    server.answers |= {f"apiservices/{one}": api_service(held) for one in (EXPLAIN, METRICS)}
    assert told(await examined(server)) == []


async def test_an_api_that_does_not_trust_the_certificate_is_found_once() -> None:
    server, _ = serving("explain")
    server.answers[f"apiservices/{EXPLAIN}"] = api_service(material(), reached="False")
    [found] = (await examined(server)).findings
    assert (found.severity.value, found.check.value, found.object) == ("error", "api-services", f"APIService/{EXPLAIN}")
    assert "its caBundle does not trust" in found.message


async def test_an_api_without_endpoints_or_with_a_wrong_certificate_is_left_to_the_check_of_the_webhooks() -> None:
    server, held = serving("explain")
    server.answers[f"apiservices/{EXPLAIN}"] = api_service(held, reached="False")
    assert [one[1] for one in told(await examined(server))] == ["api-services"]

    server.answers["endpointslices"] = []
    assert [one[1] for one in told(await examined(server))] == ["webhooks"]

    server, held = serving("explain")
    elsewhere = material("elsewhere")
    server.answers |= {
        f"apiservices/{EXPLAIN}": api_service(elsewhere, reached="False"),
        "mutatingwebhookconfigurations": [configuration(elsewhere)],
        "secrets/tls": secret(elsewhere),
    }
    assert [one[1] for one in told(await examined(server))] == ["webhooks"]


async def test_a_metric_api_of_another_component_is_found_once() -> None:
    server, _ = serving("metrics-api")
    server.answers[f"apiservices/{METRICS}"] = api_service(None, "prometheus-adapter")
    policy = policy_resource(elastic=ELASTIC)
    unserved = {"type": "MetricNotServed", "status": "True", "reason": "OwnedByAnother", "message": "words"}
    policy["status"] = {
        "observedGeneration": 1,
        "conditions": [{**unserved, "lastTransitionTime": "2026-01-05T00:00:00Z"}],
    }

    found = await examined(server, resources=[policy])
    assert told(found) == [("warning", "api-services", f"APIService/{METRICS}")]
    assert f"leads to the Service {NAMESPACE}/prometheus-adapter" in found.findings[0].message

    server.answers[f"apiservices/{METRICS}"] = ApiError(403, "Forbidden", "no")
    found = await examined(server, resources=[policy])
    assert told(found) == [("warning", "conditions", "ElasticPolicy/online"), ("info", "api-services", "Cluster")]


async def test_another_failure_of_the_server_ends_the_examination() -> None:
    server = Server()
    server.answers["mutatingwebhookconfigurations"] = ApiError(500, "InternalError", "no")

    with pytest.raises(ApiError):
        await examined(server)


async def test_rights() -> None:
    found = await examined(Server(nodes=["patch"]))

    assert told(found) == [("error", "rights", f"ServiceAccount/{NAMESPACE}/spillway")]
    assert "may not patch nodes" in found.findings[0].message


async def test_rights_on_named_objects() -> None:
    server = Server()
    await examined(server)
    assert {
        ("update", "leases", NAMESPACE, "spillway"),
        ("patch", "configmaps", NAMESPACE, "spillway-thresholds-0"),
        ("update", "secrets", NAMESPACE, "tls"),
        ("patch", "mutatingwebhookconfigurations", "", "spillway"),
        ("list", "customresourcedefinitions", "", ""),
    } <= set(server.asked)


@pytest.mark.parametrize(
    "configurations",
    [
        pytest.param(
            [{"metadata": {"name": "spillway", "annotations": {"cert-manager.io/inject-ca-from": "a/b"}}}],
            id="cert-manager",
        ),
        pytest.param([{"metadata": {"name": "other"}, "webhooks": [{"name": "other.example"}]}], id="none"),
        pytest.param(ApiError(403, "Forbidden", "no"), id="not-readable"),
    ],
)
async def test_rights_for_the_certificate_are_asked_only_if_the_operator_makes_it(configurations: Any) -> None:
    server = Server()
    if isinstance(configurations, list) and configurations[0]["metadata"]["name"] == "spillway":
        configurations[0] = {**configuration(material()), **configurations[0]}
    server.answers["mutatingwebhookconfigurations"] = configurations
    await examined(server)
    assert server.asked
    assert {"secrets", "mutatingwebhookconfigurations"}.isdisjoint(resource for _, resource, *_ in server.asked)


async def test_an_installation_that_only_reports() -> None:
    server = Server(nodes=["patch"], pods=["patch", "delete", "create"], deployments=["patch"])
    held = material()
    ours = {"name": "spillway", "labels": {"app.kubernetes.io/name": "spillway"}}
    server.answers |= {
        "mutatingwebhookconfigurations": [{"metadata": ours}],
        "validatingwebhookconfigurations": [configuration(held, VALIDATING)],
        "secrets/tls": secret(held),
        "pods": {},
    }
    assert told(await examined(server, resources=placing())) == [("info", "webhooks", "MutatingWebhookConfiguration")]

    server.denied["nodes"] = ["list"]
    found = await examined(server, resources=placing())
    assert [one.message for one in found.findings if one.check is Check.RIGHTS] == ["it may not list nodes"]


async def test_an_installation_without_webhooks_that_may_write_is_no_installation_that_only_reports() -> None:
    server = Server(nodes=["patch"])
    ours = {"name": "spillway", "labels": {"app.kubernetes.io/name": "spillway"}}
    server.answers["mutatingwebhookconfigurations"] = [{"metadata": ours}]
    server.answers["validatingwebhookconfigurations"] = [configuration(material(), VALIDATING)]
    found = told(await examined(server))
    assert ("error", "webhooks", "MutatingWebhookConfiguration") in found
    assert ("error", "rights", f"ServiceAccount/{NAMESPACE}/spillway") in found


async def test_another_writer_of_deletion_costs() -> None:
    server = Server()
    managed = {"manager": "karpenter", "fieldsV1": {"f:metadata": {"f:annotations": {f"f:{COST}": {}}}}}
    server.answers["pods/web-2"] = {"metadata": {"managedFields": [managed]}}

    found = await examined(server, [make_pod("web-2", deletion_cost=-9), make_pod("gone", deletion_cost=-8)])

    assert told(found) == [("warning", "deletion-costs", "Deployment/shop/web")]
    assert "karpenter wrote the deletion cost of 2 of its pods" in found.findings[0].message


CONSOLIDATING = {**policy_resource(elastic=ELASTIC)}
CONSOLIDATING["spec"] |= {"mode": "Enforce", "consolidation": {"mode": "Active"}}


@pytest.mark.parametrize(
    ("moving", "behavior", "named"),
    [
        pytest.param(CONSOLIDATING, None, ["HorizontalPodAutoscaler/shop/web"], id="consolidation"),
        pytest.param(
            resource(Kind.ZONAL_BALANCE, "even", rebalance={"mode": "Active", "by": "Surge"}),
            None,
            ["HorizontalPodAutoscaler/shop/web"],
            id="moves",
        ),
        pytest.param(CONSOLIDATING, {}, [], id="with its defaults"),
        pytest.param(CONSOLIDATING, {"scaleDown": {"selectPolicy": "Disabled"}}, [], id="never scales down"),
        pytest.param(CONSOLIDATING, {"scaleDown": {"stabilizationWindowSeconds": 0}}, [], id="scales down at once"),
        pytest.param(
            resource(Kind.ZONAL_BALANCE, "even", rebalance={"mode": "Active", "by": "Evict"}), None, [], id="evicts"
        ),
        pytest.param(
            resource(Kind.ZONAL_BALANCE, "even", rebalance={"mode": "DryRun", "by": "Surge"}), None, [], id="shows"
        ),
    ],
)
async def test_an_autoscaler_that_keeps_the_additional_replica_of_a_move(
    moving: dict[str, Any], behavior: dict[str, Any] | None, named: list[str]
) -> None:
    server = Server()
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "behavior": behavior}
    other = {"scaleTargetRef": {"kind": "Deployment", "name": "other"}}
    server.answers["horizontalpodautoscalers"] = [
        {"metadata": {"namespace": "shop", "name": "web"}, "spec": spec},
        {"metadata": {"namespace": "shop", "name": "other"}, "spec": other},
    ]
    found = await examined(server, resources=[moving])
    about = [one for one in found.findings if one.check is Check.AUTOSCALER]
    assert [one.object for one in about] == named
    assert all("for five minutes: shop/web" in one.message for one in about)


async def test_a_node_pool_of_karpenter() -> None:
    server = Server()
    template = {"metadata": {"labels": {"pool": "elastic"}}, "spec": {"taints": [{"key": "spillway.dev/elastic"}]}}
    server.answers["nodepools"] = [{"metadata": {"name": "elastic"}, "spec": {"template": template}}]
    held = {"name": "n1", "annotations": {"karpenter.sh/do-not-disrupt": "true"}}
    server.answers["nodes"] = [{"metadata": held}]

    assert told(await examined(server)) == [
        ("warning", "autoscaler", "Node/n1"),
        ("warning", "autoscaler", "NodePool/elastic"),
    ]


def cluster_autoscaler(*flags: str, namespace: str = "kube-system") -> dict[str, Any]:
    container = {"image": "registry.k8s.io/autoscaling/cluster-autoscaler:v1.33.0", "args": list(flags)}
    metadata = {"uid": f"ca-{namespace}", "namespace": namespace, "name": "ca"}
    return {"metadata": metadata, "spec": {"template": {"spec": {"containers": [container]}}}}


async def test_a_cluster_autoscaler() -> None:
    server = Server()
    server.answers["deployments"] = [cluster_autoscaler("--scale-down-enabled=false")]
    held = {"name": "n1", "annotations": {"cluster-autoscaler.kubernetes.io/scale-down-disabled": "true"}}
    server.answers["nodes"] = [{"metadata": held}]

    assert told(await examined(server)) == [
        ("error", "autoscaler", "Deployment/kube-system/ca"),
        ("warning", "autoscaler", "Node/n1"),
    ]


async def test_a_deployment_of_another_namespace_with_its_labels_is_only_for_information() -> None:
    server = Server()
    server.answers["deployments"] = [cluster_autoscaler("--scale-down-enabled=false", namespace="tenant")]
    deployment = ("info", "autoscaler", "Deployment/tenant/ca")
    assert told(await examined(server)) == [deployment]

    status = "configmaps/cluster-autoscaler-status"
    server.answers[f"kube-system/{status}"] = {"data": {}}
    hidden = ("info", "autoscaler", "ConfigMap/kube-system/cluster-autoscaler-status")
    assert sorted(told(await examined(server))) == sorted([deployment, hidden])

    del server.answers[f"kube-system/{status}"]
    server.answers |= {f"tenant/{status}": {"data": {}}, "nodes": []}
    assert told(await examined(server)) == [("error", "autoscaler", "Deployment/tenant/ca")]


async def test_what_was_found_before_a_refusal_is_reported() -> None:
    server = Server()
    server.answers["deployments"] = [cluster_autoscaler("--scale-down-enabled=false")]
    server.answers["nodes"] = ApiError(403, "Forbidden", "nodes is forbidden")

    assert told(await examined(server)) == [
        ("error", "autoscaler", "Deployment/kube-system/ca"),
        ("info", "autoscaler", "Cluster"),
    ]


async def test_pods_that_keep_the_nodes_of_a_cluster_autoscaler() -> None:
    server = Server()
    flags = ("--scale-down-utilization-threshold=0.01", "--ignore-daemonsets-utilization")
    server.answers |= {"deployments": [cluster_autoscaler(*flags)], "nodes": []}
    daemon = make_pod("proxy", namespace="kube-system", owner_uid="ds", owner_kind="DaemonSet", owner_name="proxy")
    assert told(await examined(server, [daemon])) == []

    system = make_pod("dns", namespace="kube-system", owner_uid="rs", owner_kind="ReplicaSet", owner_name="dns")
    found = await examined(server, [daemon, system])

    assert told(found) == [("warning", "autoscaler", "Deployment/kube-system/ca")]
    assert "kube-system/dns on n1" in found.findings[0].message


async def test_a_cluster_autoscaler_of_the_provider() -> None:
    server = Server()
    server.answers["configmaps/cluster-autoscaler-status"] = {"data": {}}

    assert told(await examined(server)) == [("info", "autoscaler", "ConfigMap/kube-system/cluster-autoscaler-status")]


async def test_selectors_and_conditions() -> None:
    pool = resource(Kind.VIRTUAL_NODE_BUDGET, "eci-a", nodeSelector={"matchLabels": {"pool": "eci-a"}})
    unwell = {"type": "Healthy", "status": "False", "reason": "NodesNotReady", "message": "words"}
    pool["status"] = {
        "observedGeneration": 1,
        "conditions": [{**unwell, "lastTransitionTime": "2026-01-05T00:00:00Z"}],
    }
    policy = policy_resource()
    policy["spec"]["workloads"] = [{"name": "jobs", "match": {"kinds": ["Job"]}}]

    found = await examined(Server(), resources=[policy, pool])

    assert told(found) == [
        ("error", "conditions", "VirtualNodeBudget/eci-a"),
        ("warning", "selectors", "ElasticPolicy/online"),
        ("warning", "selectors", "VirtualNodeBudget/eci-a"),
        ("warning", "selectors", "VirtualNodeBudget/eci-a"),
    ]
    job = make_pod("run-1", owner_uid="job", owner_kind="Job", owner_name="run")
    assert ("warning", "selectors", "ElasticPolicy/online") not in told(
        await examined(Server(), [job], resources=[policy, pool])
    )
