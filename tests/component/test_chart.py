"""What the chart renders, as text: no API server needed, Helm only."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from mkdocs.config import load_config
from mkdocs.structure.files import get_files

from harness.chart import CHART, IMAGE, PROJECT, RELEASE, Chart, ChartError, run_helm
from localcluster.rest import Object
from spillway.app.prometheus import connection_of
from spillway.domain.doctor.api_services import SERVED, ServedApi
from spillway.domain.explain.served import RESOURCES

EVERYTHING: dict[str, Any] = {
    "image": {"digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "pull"}],
    "extraArgs": ["--upkeep-seconds=10"],
    "extraEnv": [{"name": "TZ", "value": "UTC"}],
    "serviceAccount": {"annotations": {"a": "b"}},
    "report": {"enabled": True},
    "externalMetrics": {"enabled": True},
    "kedaScaler": {"enabled": True},
    "schedulerExtender": {"enabled": True},
    "explainApi": {"enabled": True},
    "metrics": {
        name: {"enabled": True, "labels": {"release": "prometheus"}}
        for name in ("serviceMonitor", "prometheusRule", "dashboards", "virtualNodes", "logs")
    },
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "extraVolumes": [{"name": "zones", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "zones", "mountPath": "/usr/share/zoneinfo"}],
    "dnsPolicy": "Default",
    "topologySpreadConstraints": [],
    "priorityClassName": "system-cluster-critical",
}
WITH_HOOKS = {"restoreOnUninstall": {"render": "Always"}, "helmTest": {"render": "Always"}}
WITH_IMAGE = f"--set=image.repository={IMAGE['repository']}"
CERT_MANAGER = {"webhook": {"certificate": {"source": "certManager"}}}


@pytest.fixture(scope="module")
def chart() -> Chart:
    return Chart.render(WITH_HOOKS)


def _rules(chart: Chart) -> Iterator[tuple[str, Mapping[str, list[str]]]]:
    for item in chart.objects:
        if item["kind"] in ("Role", "ClusterRole"):
            for rule in item["rules"]:
                yield f"{item['kind']}/{item['metadata']['name']}", {"apiGroups": [], "resources": [], **rule}


def _pod_specs(chart: Chart) -> list[Object]:
    return [
        item["spec"]["template"]["spec"] if item["kind"] != "Pod" else item["spec"]
        for item in chart.objects
        if item["kind"] in ("Deployment", "Job", "Pod")
    ]


def test_helm_lints_it() -> None:
    assert "0 chart(s) failed" in run_helm("lint", "--strict", str(CHART), WITH_IMAGE)


@pytest.mark.parametrize("values", [{}, EVERYTHING, CERT_MANAGER, {"webhook": {"enabled": False}}, {"replicas": 1}])
def test_every_set_of_values_renders_objects_of_our_own_labels(values: dict[str, Any]) -> None:
    objects = Chart.render(values).objects

    assert objects
    for item in objects:
        assert item["metadata"]["labels"]["app.kubernetes.io/name"] == "spillway", item["metadata"]["name"]


# CRDs


def test_the_charts_crds_are_those_generated_from_the_models(chart: Chart) -> None:
    generated = {crd["metadata"]["name"]: crd for crd in map(_load, sorted((PROJECT / "crds").glob("*.yaml")))}
    rendered = {crd["metadata"]["name"]: crd for crd in chart.kinds("CustomResourceDefinition")}

    assert len(generated) == 3
    assert {name: crd["spec"] for name, crd in rendered.items()} == {
        name: crd["spec"] for name, crd in generated.items()
    }, "run `make crds`"


def test_the_copies_are_byte_for_byte(chart: Chart) -> None:
    copies = {path.name: path.read_bytes() for path in (CHART / "files" / "crds").glob("*.yaml")}

    assert copies == {path.name: path.read_bytes() for path in (PROJECT / "crds").glob("*.yaml")}, "run `make crds`"


def test_uninstalling_keeps_the_crds_unless_told_otherwise(chart: Chart) -> None:
    for crd in chart.kinds("CustomResourceDefinition"):
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    for crd in Chart.render({"crds": {"keep": False}}).kinds("CustomResourceDefinition"):
        assert "helm.sh/resource-policy" not in (crd["metadata"].get("annotations") or {})
    assert not Chart.render({"crds": {"install": False}}).kinds("CustomResourceDefinition")


# Rights


def test_no_right_has_a_wildcard(chart: Chart) -> None:
    for role, rule in _rules(chart):
        for part in ("apiGroups", "resources", "verbs"):
            assert not any("*" in entry for entry in rule[part]), (role, rule)
        assert "nonResourceURLs" not in rule or role == "ClusterRole/spillway-reader", role


def test_readers_may_get_two_paths_and_are_those_that_are_listed(chart: Chart) -> None:
    assert chart.one("ClusterRole", "spillway-reader")["rules"] == [
        {"nonResourceURLs": ["/debug/plans", "/metrics"], "verbs": ["get"]}
    ]
    bound = {item["roleRef"]["name"] for item in chart.kinds("ClusterRoleBinding")}
    assert bound == {"spillway"}, "no one reads them by default, the operator neither"
    prometheus = {"kind": "ServiceAccount", "name": "prometheus-k8s", "namespace": "monitoring"}
    values = {"metrics": {"authorization": True, "readers": [prometheus], "serviceMonitor": {"enabled": True}}}
    guarded = Chart.render(values)
    scrape = {"kind": "ServiceAccount", "name": "spillway-scrape", "namespace": "spillway-system"}
    assert guarded.one("ClusterRoleBinding", "spillway-reader")["subjects"] == [prometheus, scrape]
    [container] = guarded.one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert "--authorize-metrics" in container["args"]


def test_the_page_of_the_report_is_off_and_then_only_for_those_that_are_listed(chart: Chart) -> None:
    assert "spillway-report" not in {item["metadata"]["name"] for item in chart.kinds("ClusterRole")}
    [container] = chart.one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert "--report-page" not in container["args"]
    served = Chart.render({"report": {"enabled": True}})
    [container] = served.one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert "--report-page" in container["args"]
    assert served.one("ClusterRole", "spillway-report")["rules"] == [{"nonResourceURLs": ["/report"], "verbs": ["get"]}]
    assert {item["roleRef"]["name"] for item in served.kinds("ClusterRoleBinding")} == {"spillway"}
    people = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "platform"}
    bound = Chart.render({"report": {"enabled": True, "readers": [people]}}).one(
        "ClusterRoleBinding", "spillway-report"
    )
    assert bound["roleRef"]["name"] == "spillway-report"
    assert bound["subjects"] == [people]


def _sent_token(chart: Chart, monitor: str) -> object:
    """The Secret with the token that Prometheus sends to the endpoints of a ServiceMonitor, if it sends one."""
    [endpoint] = chart.one("ServiceMonitor", monitor)["spec"]["endpoints"]
    assert not {"bearerTokenFile", "bearerTokenSecret"} & set(endpoint), "deprecated by the Prometheus operator"
    authorization = endpoint.get("authorization")
    assert authorization is None or authorization["type"] == "Bearer"
    return authorization and authorization["credentials"]


def test_prometheus_sends_the_token_of_an_identity_that_may_read_metrics() -> None:
    monitors: dict[str, Any] = {"serviceMonitor": {"enabled": True}, "virtualNodes": {"enabled": True}}
    token = {"name": "spillway-scrape", "key": "token"}
    chart = Chart.render({"metrics": monitors | {"authorization": True}})
    assert _sent_token(chart, "spillway") == _sent_token(chart, "spillway-virtual-nodes") == token
    secret = chart.one("Secret", "spillway-scrape")
    assert secret["type"] == "kubernetes.io/service-account-token"
    assert secret["metadata"]["annotations"] == {"kubernetes.io/service-account.name": "spillway-scrape"}
    assert chart.one("ServiceAccount", "spillway-scrape")["automountServiceAccountToken"] is False
    for role in ("spillway-reader", "spillway-scrape"):
        [subject] = chart.one("ClusterRoleBinding", role)["subjects"]
        assert subject["name"] == "spillway-scrape"
    assert chart.one("ClusterRole", "spillway-scrape")["rules"] == [
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]}
    ]


def test_prometheus_sends_a_token_of_the_users_and_none_where_none_is_needed() -> None:
    own = {"enabled": True, "tokenSecret": {"name": "mine", "key": "bearer"}}
    chart = Chart.render({"metrics": {"authorization": True, "serviceMonitor": own, "virtualNodes": own}})
    assert _sent_token(chart, "spillway") == _sent_token(chart, "spillway-virtual-nodes") == own["tokenSecret"]
    open_chart = Chart.render({"metrics": {"serviceMonitor": {"enabled": True}}})
    assert _sent_token(open_chart, "spillway") is None
    for one in (chart, open_chart):
        assert "spillway-scrape" not in str(
            one.kinds("ServiceAccount") + one.kinds("Secret") + one.kinds("ClusterRole")
        )


def test_pods_that_name_a_virtual_node_are_refused_only_on_request(chart: Chart) -> None:
    names = [item["metadata"]["name"] for item in chart.kinds("ValidatingAdmissionPolicy")]
    assert "spillway-bound-pods" not in names
    with pytest.raises(ChartError, match="refuseNodeNames"):
        Chart.render({"admissionPolicy": {"refuseNodeNames": "it's"}})
    strict = Chart.render({"admissionPolicy": {"refuseNodeNames": r"^virtual-\d+$"}})
    [rule] = strict.one("ValidatingAdmissionPolicy", "spillway-bound-pods")["spec"]["validations"]
    assert rule["expression"] == r"!object.spec.nodeName.matches(r'^virtual-\d+$')"
    assert strict.one("ValidatingAdmissionPolicyBinding", "spillway-bound-pods")["spec"]["validationActions"] == [
        "Deny"
    ]


@pytest.mark.parametrize("role", ["ClusterRole", "Role"])
def test_the_page_about_the_installation_names_every_right_and_no_other(chart: Chart, role: str) -> None:
    granted = {
        (group or "core", resource, verb)
        for rule in chart.one(role, "spillway")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    page = (PROJECT / "docs/how-to/install.md").read_text()
    _, cluster_wide, own = page.partition("## What it may do")[2].partition("\n## ")[0].split("| apiGroup |")
    rows = [line.strip("| ").split(" | ") for line in (cluster_wide if role == "ClusterRole" else own).splitlines()]

    assert granted == {
        (group, resource, verb)
        for groups, resources, verbs, *_ in (row for row in rows if len(row) == 4 and row[0] != "resources")
        for group in _names(groups)
        for resource in _names(resources)
        for verb in _names(verbs)
    }


def _names(cell: str) -> list[str]:
    return [name.strip("`") for name in cell.split(", ")]


@pytest.mark.parametrize(
    ("resource", "verbs"),
    [
        ("pods", {"get", "list", "watch", "patch", "delete"}),
        ("jobs", {"get", "list"}),
        ("persistentvolumeclaims", {"get"}),
        ("persistentvolumes", {"get"}),
        ("storageclasses", {"get"}),
        ("pods/eviction", {"create"}),
        ("nodes", {"get", "list", "watch", "patch"}),
        ("replicasets", {"get", "list", "watch", "patch"}),
        ("elasticpolicies", {"get", "list", "watch"}),
        ("virtualnodebudgets/status", {"get", "patch"}),
        ("secrets", set()),
        ("deployments", {"get"}),
        ("deployments/scale", {"get", "patch"}),
        ("replicasets/scale", {"get", "patch"}),
        ("horizontalpodautoscalers", {"list", "watch", "create", "patch", "delete"}),
        ("replicationcontrollers", {"get", "list", "watch", "patch"}),
        ("replicationcontrollers/scale", {"get", "patch"}),
        ("statefulsets", {"get", "list", "watch"}),
        ("daemonsets", {"list"}),
        ("cronjobs", {"list"}),
        ("clusterroles", set()),
        ("pods/exec", set()),
        ("tokenreviews", {"create"}),
        ("subjectaccessreviews", {"create"}),
    ],
)
def test_the_operators_rights_in_the_whole_cluster(chart: Chart, resource: str, verbs: set[str]) -> None:
    rules = chart.one("ClusterRole", "spillway")["rules"]

    assert {verb for rule in rules if resource in rule["resources"] for verb in rule["verbs"]} == verbs


def test_the_only_secret_is_our_own_and_we_cannot_make_one(chart: Chart) -> None:
    for role, rule in _rules(chart):
        if "secrets" in rule["resources"]:
            assert role == "Role/spillway"
            assert rule["resourceNames"] == ["spillway-webhook-tls"]
            assert set(rule["verbs"]) == {"get", "update", "patch"}
    assert "data" not in chart.one("Secret")


def test_webhook_configurations_are_patched_by_name_only(chart: Chart) -> None:
    [rule] = [rule for _, rule in _rules(chart) if "mutatingwebhookconfigurations" in rule["resources"]]

    assert rule["resourceNames"] == ["spillway"]
    assert set(rule["verbs"]) == {"get", "patch"}


def test_the_external_metrics_api_leads_to_the_operators_own_service() -> None:
    chart = Chart.render({"externalMetrics": {"enabled": True}})

    registered = chart.one("APIService")
    service = chart.one("Service", "spillway-webhook")
    assert registered["spec"]["service"] == {
        "name": "spillway-webhook",
        "namespace": "spillway-system",
        "port": 9445,
    }
    assert [port["port"] for port in service["spec"]["ports"]] == [443, 9445]
    binding = chart.one("RoleBinding", "spillway-external-metrics")
    assert (binding["metadata"]["namespace"], binding["roleRef"]["name"]) == (
        "kube-system",
        "extension-apiserver-authentication-reader",
    )
    [rule] = [rule for _, rule in _rules(chart) if "apiservices" in rule["resources"]]
    assert (rule["resourceNames"], set(rule["verbs"])) == (["v1beta1.external.metrics.k8s.io"], {"get", "patch"})
    [reader] = chart.one("ClusterRoleBinding", "spillway-external-metrics")["subjects"]
    assert reader["name"] == "horizontal-pod-autoscaler"


def test_keda_reaches_its_scaler_through_the_operators_own_service() -> None:
    chart = Chart.render({"kedaScaler": {"enabled": True}})

    service = chart.one("Service", "spillway-webhook")
    assert [port["port"] for port in service["spec"]["ports"]] == [443, 9446]
    [container] = chart.one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert {"--keda-scaler", "--keda-scaler-port=9446"} <= set(container["args"])
    with pytest.raises(ChartError, match=r"needs webhook\.enabled"):
        Chart.render({"kedaScaler": {"enabled": True}, "webhook": {"enabled": False}})


def test_the_scheduler_reaches_its_extender_through_the_operators_own_service(chart: Chart) -> None:
    made = Chart.render({"schedulerExtender": {"enabled": True}})

    service = made.one("Service", "spillway-webhook")
    assert [port["port"] for port in service["spec"]["ports"]] == [443, 9447]
    [container] = made.one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert {"--scheduler-extender", "--scheduler-extender-port=9447"} <= set(container["args"])
    binding = made.one("RoleBinding", "spillway-scheduler-extender")
    assert (binding["metadata"]["namespace"], binding["roleRef"]["name"]) == (
        "kube-system",
        "extension-apiserver-authentication-reader",
    )
    assert not any(item["metadata"]["name"] == "spillway-scheduler-extender" for item in chart.objects)
    with pytest.raises(ChartError, match=r"needs webhook\.enabled"):
        Chart.render({"schedulerExtender": {"enabled": True}, "webhook": {"enabled": False}})


def test_the_explain_api_leads_to_the_operators_own_service(chart: Chart) -> None:
    made = Chart.render({"explainApi": {"enabled": True}})

    registered = made.one("APIService")
    assert registered["metadata"]["name"] == "v1alpha1.explain.spillway.dev"
    assert registered["spec"]["service"] == {"name": "spillway-webhook", "namespace": "spillway-system", "port": 9448}
    service = made.one("Service", "spillway-webhook")
    assert [port["port"] for port in service["spec"]["ports"]] == [443, 9448]
    [container] = made.one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert {"--explain-api", "--explain-api-port=9448"} <= set(container["args"])
    binding = made.one("RoleBinding", "spillway-explain")
    assert (binding["metadata"]["namespace"], binding["roleRef"]["name"]) == (
        "kube-system",
        "extension-apiserver-authentication-reader",
    )
    [rule] = [rule for _, rule in _rules(made) if "apiservices" in rule["resources"]]
    assert (rule["resourceNames"], set(rule["verbs"])) == (["v1alpha1.explain.spillway.dev"], {"get", "patch"})
    [(role, rule)] = [one for one in _rules(made) if "explain.spillway.dev" in one[1]["apiGroups"]]
    assert (role, rule["verbs"]) == ("ClusterRole/spillway-view", ["get"])
    assert set(rule["resources"]) == {one.plural for one in RESOURCES.values()}

    assert not chart.kinds("APIService")
    assert not [one for one in _rules(chart) if "explain.spillway.dev" in one[1]["apiGroups"]]
    managed = Chart.render({"explainApi": {"enabled": True}, **CERT_MANAGER})
    assert not [rule for _, rule in _rules(managed) if "apiservices" in rule["resources"]]
    assert "cert-manager.io/inject-ca-from" in managed.one("APIService")["metadata"]["annotations"]
    with pytest.raises(ChartError, match=r"needs webhook\.enabled"):
        Chart.render({"explainApi": {"enabled": True}, "webhook": {"enabled": False}})


def test_the_network_policy_lets_replicas_alone_to_their_port_and_others_as_the_values_say(chart: Chart) -> None:
    def admitted(made: Chart) -> dict[str, Any]:
        policy = made.one("NetworkPolicy")["spec"]
        assert policy["policyTypes"] == ["Ingress"]
        own = made.one("Deployment")["spec"]["selector"]
        assert policy["podSelector"] == own
        rules = {port["port"]: rule.get("from") for rule in policy["ingress"] for port in rule["ports"]}
        assert rules.pop("peers") == [{"podSelector": own}]
        return rules

    assert admitted(chart) == {"webhook": None, "metrics": None}
    keda = [{"podSelector": {"matchLabels": {"app": "keda-operator"}}}]
    prometheus = [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}]
    narrow = {
        "externalMetrics": {"enabled": True},
        "kedaScaler": {"enabled": True},
        "schedulerExtender": {"enabled": True},
        "explainApi": {"enabled": True},
        "networkPolicy": {"apiServer": ["10.0.0.1/32"], "kedaFrom": keda, "metricsFrom": prometheus},
    }
    server = [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    wanted: dict[str, Any] = dict.fromkeys(("webhook", "metrics-api", "scheduler", "explain"), server)
    wanted |= {"keda": keda, "metrics": prometheus}
    assert admitted(Chart.render(narrow)) == wanted


@pytest.mark.parametrize("api", SERVED, ids=lambda one: one.value)
def test_doctor_knows_by_a_port_of_the_service_that_an_api_is_enabled(chart: Chart, api: ServedApi) -> None:
    def ports(made: Chart) -> set[str]:
        return {port["name"] for port in made.one("Service", "spillway-webhook")["spec"]["ports"]}

    enabled = Chart.render({api.value: {"enabled": True}})
    assert ports(enabled) - ports(chart) == {api.port}
    assert enabled.one("APIService")["metadata"]["name"] == api.name


def test_without_it_no_api_is_registered_and_none_can_be_read(chart: Chart) -> None:
    assert not chart.kinds("APIService")
    assert not any("apiservices" in rule["resources"] for _, rule in _rules(chart))
    with pytest.raises(ChartError, match=r"needs webhook\.enabled"):
        Chart.render({"externalMetrics": {"enabled": True}, "webhook": {"enabled": False}})


def test_with_cert_manager_we_read_no_secret_and_patch_no_configuration() -> None:
    chart = Chart.render(CERT_MANAGER)

    resources = {resource for _, rule in _rules(chart) for resource in rule["resources"]}
    assert not resources & {"secrets", "mutatingwebhookconfigurations", "validatingwebhookconfigurations"}
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        annotations = chart.one(kind)["metadata"]["annotations"]
        assert annotations["cert-manager.io/inject-ca-from"] == "spillway-system/spillway-webhook"
    assert chart.one("Certificate")["spec"]["issuerRef"] == {"kind": "Issuer", "name": "spillway-webhook"}
    [container] = chart.one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert "--webhook-cert-dir=/etc/spillway/tls" in container["args"]


# Pods


def test_a_stopping_pod_has_the_time_to_drain(chart: Chart) -> None:
    spec = chart.one("Deployment")["spec"]["template"]["spec"]
    [drain] = [arg for arg in spec["containers"][0]["args"] if arg.startswith("--drain-seconds=")]
    assert 5 <= int(drain.partition("=")[2]) <= spec["terminationGracePeriodSeconds"] - 10
    for values in ({"drainSeconds": 25}, {"drainSeconds": 16, "webhook": {"timeoutSeconds": 10}}):
        with pytest.raises(ChartError, match="drainSeconds"):
            Chart.render(values)


def test_pods_meet_the_restricted_standard_on_a_read_only_root(chart: Chart) -> None:
    specs = _pod_specs(chart)

    assert len(specs) == 3
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"]
            assert "memory" in container["resources"]["limits"]


def test_two_replicas_are_spread_probed_and_guarded(chart: Chart) -> None:
    deployment = chart.one("Deployment")
    spec = deployment["spec"]["template"]["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]

    assert deployment["spec"]["replicas"] == 2
    selector = chart.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels.items()
    assert {constraint["topologyKey"] for constraint in spec["topologySpreadConstraints"]} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    assert {"livenessProbe", "readinessProbe", "startupProbe"} <= spec["containers"][0].keys()


def test_the_placement_and_network_of_pods_can_be_set() -> None:
    zone = {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}
    other = {**zone, "labelSelector": {"matchLabels": {"app": "other"}}}
    mount = {"name": "ca", "mountPath": "/etc/ca"}
    chart = Chart.render(
        {
            "topologySpreadConstraints": [zone, other],
            "hostNetwork": True,
            "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
            "extraVolumeMounts": [mount],
        }
    )
    deployment = chart.one("Deployment")
    spec = deployment["spec"]["template"]["spec"]
    assert spec["topologySpreadConstraints"] == [{**zone, "labelSelector": deployment["spec"]["selector"]}, other]
    assert (spec["hostNetwork"], spec["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    assert spec["volumes"] == [{"name": "ca", "configMap": {"name": "ca"}}]
    assert spec["containers"][0]["volumeMounts"] == [mount]
    plain = Chart.render({"topologySpreadConstraints": [], "dnsPolicy": "Default"}).one("Deployment")
    assert "topologySpreadConstraints" not in plain["spec"]["template"]["spec"]
    assert plain["spec"]["template"]["spec"]["dnsPolicy"] == "Default"


def test_the_operator_has_a_priority_class_of_its_own_or_the_one_that_is_named(chart: Chart) -> None:
    def named(made: Chart) -> object:
        return made.one("Deployment")["spec"]["template"]["spec"].get("priorityClassName")

    assert named(chart) == "spillway"
    assert chart.one("PriorityClass", "spillway")["value"] == 1_000_000_000
    for values, name in (
        ({"priorityClassName": "system-cluster-critical"}, "system-cluster-critical"),
        ({"priorityClass": {"create": False}}, None),
    ):
        other = Chart.render(values)
        assert named(other) == name
        assert [item["metadata"]["name"] for item in other.kinds("PriorityClass")] == ["spillway-headroom"]


def test_a_service_account_of_the_users_gets_the_rights() -> None:
    chart = Chart.render({"serviceAccount": {"create": False, "name": "mine"}, **WITH_HOOKS})
    assert chart.one("Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "mine"
    assert not chart.kinds("ServiceAccount")
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        assert [subject["name"] for subject in chart.one(kind, "spillway")["subjects"]] == ["mine"]
    served = Chart.render(
        {
            "serviceAccount": {"name": "mine"},
            **{one: {"enabled": True} for one in ("externalMetrics", "schedulerExtender", "explainApi")},
        }
    )
    bindings = [one for one in served.kinds("RoleBinding") if one["metadata"]["namespace"] == "kube-system"]
    assert [subject["name"] for one in bindings for subject in one["subjects"]] == ["mine"] * 3
    for policy in chart.kinds("ValidatingAdmissionPolicy"):
        assert ":spillway-system:mine'" in policy["spec"]["matchConditions"][0]["expression"]
    named = Chart.render({"serviceAccount": {"name": "mine"}})
    assert named.one("ServiceAccount")["metadata"]["name"] == "mine"


@pytest.mark.parametrize(
    ("aggregate", "view", "edit"),
    [
        ({}, {"view", "edit", "admin"}, {"admin"}),
        ({"edit": True}, {"view", "edit", "admin"}, {"edit", "admin"}),
        ({"view": False, "admin": False}, set(), set()),
    ],
)
def test_roles_for_people_are_part_of_the_roles_that_every_cluster_has(
    aggregate: dict[str, bool], view: set[str], edit: set[str]
) -> None:
    chart = Chart.render({"rbac": {"aggregate": aggregate}})
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    for name, wanted in (("spillway-view", view), ("spillway-edit", edit)):
        labels = chart.one("ClusterRole", name)["metadata"]["labels"]
        assert {key.removeprefix(prefix) for key in labels if key.startswith(prefix)} == wanted


def test_a_pod_monitor_takes_the_place_of_the_service_monitor() -> None:
    chart = Chart.render({"metrics": {"authorization": True, "podMonitor": {"enabled": True, "labels": {"a": "b"}}}})
    monitor = chart.one("PodMonitor")
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    deployment = chart.one("Deployment")["spec"]
    assert monitor["metadata"]["labels"]["a"] == "b"
    assert monitor["spec"]["selector"] == deployment["selector"]
    [container] = deployment["template"]["spec"]["containers"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}
    assert endpoint["authorization"]["credentials"] == {"name": "spillway-scrape", "key": "token"}
    assert chart.one("Service", endpoint["relabelings"][0]["replacement"]), (
        "the job of the ServiceMonitor is its Service"
    )


def test_the_helm_test_comes_in_order_and_goes_with_its_rights(chart: Chart) -> None:
    hooks = chart.hooks("test")
    weights = {item["kind"]: int(item["metadata"]["annotations"]["helm.sh/hook-weight"]) for item in hooks}
    assert weights.pop("Namespace") < min(weights.values())
    pod = chart.one("Pod")
    assert max(weights, key=lambda kind: weights[kind]) == "Pod"
    for item in hooks:
        assert "hook-succeeded" in item["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    policy = chart.one("ElasticPolicy")
    assert pod["spec"]["containers"][0]["args"] == [
        "check-admission",
        "--namespace=spillway-test",
        "--policy=spillway-test",
        "--timeout=60",
    ]
    assert policy["spec"]["workloads"][0]["match"]["namespaces"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "spillway-test"
    }
    assert not Chart.render({**WITH_HOOKS, "webhook": {"enabled": False}}).hooks("test")


def test_a_single_replica_has_no_budget_that_would_block_a_drain() -> None:
    assert not Chart.render({"replicas": 1}).kinds("PodDisruptionBudget")


def test_every_flag_of_the_deployment_is_one_of_the_program() -> None:
    from spillway.app.settings import Settings  # noqa: PLC0415

    fields = {name.replace("_", "-") for name in Settings.model_fields}
    # A flag that may be repeated has its name in the singular.
    fields |= {name.removesuffix("s") for name in fields}
    for values in ({}, EVERYTHING, CERT_MANAGER, {"webhook": {"enabled": False}}):
        [container] = Chart.render(values).one("Deployment")["spec"]["template"]["spec"]["containers"]
        assert container["args"][0] == "run"
        flags = {arg.removeprefix("--").partition("=")[0].removeprefix("no-") for arg in container["args"][1:]}
        assert flags <= fields


# Webhooks


def test_webhooks_let_go_in_time_and_leave_the_system_alone(chart: Chart) -> None:
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        for webhook in chart.one(kind)["webhooks"]:
            assert webhook["failurePolicy"] == "Ignore"
            assert webhook["timeoutSeconds"] <= 2
            assert webhook["sideEffects"] in ("None", "NoneOnDryRun")
            if webhook["rules"][0]["scope"] == "Namespaced":
                [expression] = webhook["namespaceSelector"]["matchExpressions"]
                assert expression["operator"] == "NotIn"
                assert {"kube-system", "spillway-system"} <= set(expression["values"])


def test_only_a_scale_down_that_leaves_pods_is_asked_about(chart: Chart) -> None:
    webhooks = chart.one("MutatingWebhookConfiguration")["webhooks"]
    [replicasets] = [webhook for webhook in webhooks if webhook["name"] == "replicasets.spillway.dev"]
    assert replicasets["matchConditions"] == [
        {"name": "some-remain", "expression": "has(object.spec.replicas) && object.spec.replicas > 0"},
        {"name": "scaled-down", "expression": "object.spec.replicas < oldObject.spec.replicas"},
    ]


def test_every_webhook_path_is_served(chart: Chart) -> None:
    paths = {
        webhook["clientConfig"]["service"]["path"]
        for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
        for webhook in chart.one(kind)["webhooks"]
    }

    assert {"/mutate/bindings", "/mutate/replicasets", "/mutate/nodes"} <= paths
    assert all(path.startswith(("/mutate/", "/validate/")) for path in paths)


def test_without_webhooks_nothing_of_them_is_left() -> None:
    kinds = {item["kind"] for item in Chart.render({"webhook": {"enabled": False}}).objects}

    assert not kinds & {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "Secret"}


# What is said after the installation


def test_the_notes_give_the_first_example_and_apply_nothing_else() -> None:
    said = run_helm("install", RELEASE, str(CHART), "--namespace=spillway-system", "--dry-run=client", WITH_IMAGE)
    _, notes = said.split("\nNOTES:\n")
    applied = re.findall(r"kubectl apply -f - <<'EOF'\n(.*?)^EOF$", notes, re.MULTILINE | re.DOTALL)

    assert notes.count("kubectl apply") == len(applied) == 1
    assert yaml.safe_load(applied[0]) == _load(PROJECT / "examples" / "1-recommend.yaml")
    assert yaml.safe_load(applied[0])["spec"]["mode"] == "Recommend"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, False),
        ({"enabled": True}, True),
        ({"enabled": True, "alerts": {"runbookURL": "https://docs.example.com"}}, False),
        ({"enabled": True, "alerts": {"enabled": False}}, False),
    ],
)
def test_the_notes_tell_that_alerts_do_not_link_to_their_runbooks(*, values: dict[str, Any], told: bool) -> None:
    rules = f"metrics.prometheusRule={json.dumps(values)}"
    said = run_helm("install", RELEASE, str(CHART), "--dry-run=client", WITH_IMAGE, f"--set-json={rules}")
    _, notes = said.split("\nNOTES:\n")

    assert ("alerts.runbookURL" in notes) is told


# The uninstall hook


def test_the_uninstall_hook_has_rights_of_its_own_and_goes_with_them(chart: Chart) -> None:
    hooks = chart.hooks("pre-delete")

    assert {item["kind"] for item in hooks} == {
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
        "Job",
    }
    for item in hooks:
        assert item["metadata"]["name"] == "spillway-restore"
    resources = {r for rule in chart.one("ClusterRole", "spillway-restore")["rules"] for r in rule["resources"]}
    scales = {"deployments/scale", "replicasets/scale", "replicationcontrollers/scale"}
    kinds = {"pods", "nodes", "jobs", "replicasets", "replicationcontrollers", "horizontalpodautoscalers"}
    assert resources == kinds | scales
    own = chart.one("Role", "spillway-restore")["rules"]
    assert {r for rule in own for r in rule["resources"] if "delete" in rule["verbs"]} == {
        "leases",
        "configmaps",
        "deployments",
        "podtemplates",
        "capacitybuffers",
    }
    [container] = chart.one("Job")["spec"]["template"]["spec"]["containers"]
    assert container["args"] == [
        "restore",
        "--yes",
        "--rate=500",
        "--stop-deployment=spillway-system/spillway",
        "--forget=spillway-system/spillway",
    ]
    kept = Chart.render({"restoreOnUninstall": {"render": "Always", "keepDeletionCosts": True}}).one("Job")
    assert "--keep-deletion-costs" in kept["spec"]["template"]["spec"]["containers"][0]["args"]
    assert not Chart.render({"restoreOnUninstall": {"enabled": False, "render": "Always"}}).hooks("pre-delete")


def test_what_helm_template_prints_can_be_applied_without_running_the_hook() -> None:
    """kubectl knows no hooks: it would run the Job at once, which stops the operator."""
    rendered = Chart.render()
    assert not rendered.hooks("pre-delete") + rendered.hooks("test")
    assert not [item for item in rendered.objects if item["kind"] in ("Job", "Pod")]


# Prometheus

SHARED_PROMETHEUS: dict[str, Any] = {
    "url": "https://mimir.monitoring/prometheus",
    "matchers": {"cluster": "prod-1", "region": "$(POD_NAME)"},
    "headers": {"X-Scope-OrgID": "prod"},
    "basicAuthSecret": {"name": "mimir-user"},
    "tls": {
        "ca": {"configMap": "mimir-ca"},
        "clientSecret": {"name": "mimir-client"},
        "serverName": "mimir.internal",
    },
}


def test_the_operator_accepts_what_the_values_say_about_prometheus() -> None:
    [spec] = [
        item["spec"]["template"]["spec"]
        for item in Chart.render({"prometheus": SHARED_PROMETHEUS}).objects
        if item["kind"] == "Deployment"
    ]
    [container] = spec["containers"]
    flags: dict[str, list[str]] = {}
    for argument in container["args"]:
        name, _, value = argument.partition("=")
        flags.setdefault(name.removeprefix("--"), []).append(value)

    def file(name: str) -> Path:
        return Path(flags[f"prometheus-{name}-file"][0])

    connection = connection_of(
        *flags["prometheus-url"],
        matchers=flags["prometheus-matcher"],
        headers=flags["prometheus-header"],
        server_name=flags["prometheus-server-name"][0],
        username_file=file("username"),
        password_file=file("password"),
        ca_file=file("ca"),
        cert_file=file("cert"),
        key_file=file("key"),
    )

    # Kubernetes makes one $ of two, instead of replacing the name.
    assert connection.matchers == {"cluster": "prod-1", "region": "$$(POD_NAME)"}
    assert connection.headers == {"X-Scope-OrgID": "prod"}
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    sources = {
        path: volumes[mounted[str(Path(path).parent)]]
        for path in (connection.username_file, connection.password_file, connection.ca_file, connection.key_file)
    }
    assert [next(iter(one.keys() - {"name"})) for one in sources.values()] == [
        "secret",
        "secret",
        "configMap",
        "secret",
    ]
    assert volumes["prometheus-client"]["secret"]["secretName"] == "mimir-client"
    assert volumes["prometheus-user"]["secret"]["secretName"] == "mimir-user"
    assert volumes["prometheus-ca"]["configMap"]["name"] == "mimir-ca"


def test_a_token_for_prometheus() -> None:
    prometheus = {"url": "http://thanos:9090", "tokenSecret": {"name": "thanos", "key": "bearer"}}
    spec = Chart.render({"prometheus": prometheus}).one("Deployment")["spec"]["template"]["spec"]

    assert "--prometheus-token-file=/etc/spillway/prometheus-token/bearer" in spec["containers"][0]["args"]
    assert {"name": "prometheus-token", "secret": {"secretName": "thanos"}} in spec["volumes"]


# Rules for Prometheus


def _alerts(chart: Chart) -> dict[str, Object]:
    groups = chart.one("PrometheusRule", "spillway-alerts")["spec"]["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def _rule_file(name: str) -> Object:
    return _load(CHART / "files" / "monitoring" / name)


def test_the_rules_are_those_of_the_files_and_off_by_default() -> None:
    assert not Chart.render().kinds("PrometheusRule")
    labels = {"release": "prometheus"}
    chart = Chart.render({"metrics": {"prometheusRule": {"enabled": True, "labels": labels}}})

    for name, file in (("spillway", "rules.yaml"), ("spillway-alerts", "alerts.yaml")):
        rule = chart.one("PrometheusRule", name)
        assert rule["metadata"]["labels"].items() >= labels.items()
        assert rule["spec"] == _rule_file(file), file
    without = Chart.render({"metrics": {"prometheusRule": {"enabled": True, "alerts": {"enabled": False}}}})
    assert [item["metadata"]["name"] for item in without.kinds("PrometheusRule")] == ["spillway"]


def test_alerts_get_the_address_of_the_runbooks_and_labels_and_can_be_left_out() -> None:
    alerts = {
        "runbookURL": "https://docs.example.com/runbooks/",
        "labels": {"team": "platform"},
        "disabled": ["SpillwayPoolNearLimit"],
    }
    rendered = _alerts(Chart.render({"metrics": {"prometheusRule": {"enabled": True, "alerts": alerts}}}))

    written = {rule["alert"] for group in _rule_file("alerts.yaml")["groups"] for rule in group["rules"]}
    assert set(rendered) == written - {"SpillwayPoolNearLimit"}
    for name, rule in rendered.items():
        assert rule["annotations"]["runbook_url"] == f"https://docs.example.com/runbooks/{name}.html"
        assert rule["labels"]["team"] == "platform"
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    with pytest.raises(ChartError, match="no alert SpillwayNothing"):
        Chart.render({"metrics": {"prometheusRule": {"enabled": True, "alerts": {"disabled": ["SpillwayNothing"]}}}})


@pytest.mark.parametrize(
    ("url", "suffix"),
    [
        ("https://github.com/example/spillway/blob/main/docs/runbooks", ".md"),
        ("https://wiki.example.com/spillway", ""),
    ],
)
def test_the_runbooks_may_be_pages_of_a_repository_or_of_a_wiki(url: str, suffix: str) -> None:
    alerts = {"runbookURL": url, "runbookSuffix": suffix}
    rendered = _alerts(Chart.render({"metrics": {"prometheusRule": {"enabled": True, "alerts": alerts}}}))

    for name, rule in rendered.items():
        assert rule["annotations"]["runbook_url"] == f"{url}/{name}{suffix}"


def test_a_suffix_that_is_missing_after_an_upgrade_is_that_of_the_site() -> None:
    alerts = {"runbookURL": "https://docs.example.com", "runbookSuffix": None}
    rendered = _alerts(Chart.render({"metrics": {"prometheusRule": {"enabled": True, "alerts": alerts}}}))

    for name, rule in rendered.items():
        assert rule["annotations"]["runbook_url"] == f"https://docs.example.com/{name}.html"


def test_by_default_the_runbooks_are_pages_of_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    site = load_config(str(PROJECT / "mkdocs.yml"))
    built = {file.dest_uri for file in get_files(site).documentation_pages()}
    alerts = {"runbookURL": "https://docs.example.com"}
    rendered = _alerts(Chart.render({"metrics": {"prometheusRule": {"enabled": True, "alerts": alerts}}}))

    for rule in rendered.values():
        page = rule["annotations"]["runbook_url"].removeprefix("https://docs.example.com/")
        assert f"runbooks/{page}" in built


# Dashboards of Grafana


def test_each_dashboard_is_in_a_config_map_that_a_sidecar_finds() -> None:
    assert not Chart.render().kinds("ConfigMap")
    written = {path.name: path.read_text() for path in (CHART / "files" / "monitoring" / "dashboards").glob("*.json")}
    values = {"enabled": True, "namespace": "grafana", "annotations": {"grafana_folder": "Spillway"}}
    found = Chart.render({"metrics": {"dashboards": values}}).kinds("ConfigMap")

    assert {name: json.loads(text) for item in found for name, text in item["data"].items()} == {
        name: json.loads(text) for name, text in written.items()
    }
    for item in found:
        assert item["metadata"]["namespace"] == "grafana"
        assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert item["metadata"]["annotations"] == values["annotations"]
    assert {item["metadata"]["name"] for item in found} == {
        f"spillway-dashboard-{name}" for name in ("fleet", "pools", "operator")
    }


# Values


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replicas": 0}, "replicas"),
        ({"replicaCount": 2}, "replicaCount"),
        ({"image": {"repository": ""}}, "image.repository: set it to .* for example --set image.repository="),
        ({"image": {"repository": "r.example:5000/spillway:0.1.0"}}, "image.repository: give the tag in image.tag"),
        ({"image": {"repository": f"r.example/spillway@sha256:{'0' * 64}"}}, "the digest in image.digest, not in r.ex"),
        ({"serviceAccount": {"create": False}}, "serviceAccount"),
        ({"rbac": {"aggregate": {"view": "yes"}}}, "view"),
        ({"dnsPolicy": "Cluster"}, "dnsPolicy"),
        ({"hostNetwork": "yes"}, "hostNetwork"),
        ({"extraVolumeMounts": [{"name": "a"}]}, "mountPath"),
        ({"topologySpreadConstraints": [{"topologyKey": "zone"}]}, "maxSkew"),
        ({"priorityClass": {"value": 2000001000}}, "value"),
        ({"helmTest": {"namespace": "Test"}}, "namespace"),
        (
            {"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
            "either serviceMonitor or",
        ),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"webhook": {"timeoutSeconds": 0}}, "timeoutSeconds"),
        ({"webhook": {"timeoutSeconds": "2s"}}, "timeoutSeconds"),
        ({"webhook": {"timeoutSeconds": 11}}, "timeoutSeconds"),
        ({"webhook": {"service": {"type": "NodePort"}}}, "type"),
        ({"webhook": {"service": {"type": "ExternalName"}}}, "externalName"),
        ({"webhook": {"service": {"port": 70000}}}, "port"),
        ({"webhook": {"certificate": {"source": "vault"}}}, "source"),
        ({"webhook": {"certificate": {"certManager": {"issuerRef": {"kind": "ClusterIssuer"}}}}}, "issuerRef"),
        ({"log": {"level": "loud"}}, "level"),
        ({"metrics": {"serviceMonitor": {"interval": "often"}}}, "interval"),
        ({"metrics": {"virtualNodes": {"path": "metrics"}}}, "path"),
        ({"metrics": {"virtualNodes": {"nodeLabel": {"key": "type", "value": ""}}}}, "nodeLabel"),
        ({"metrics": {"prometheusRule": {"enabled": "yes"}}}, "enabled"),
        ({"metrics": {"prometheusRule": {"alerts": {"runbookURL": "wiki"}}}}, "runbookURL"),
        ({"metrics": {"prometheusRule": {"alerts": {"disabled": ["Watchdog"]}}}}, "disabled"),
        ({"metrics": {"dashboards": {"namespace": "Grafana"}}}, "namespace"),
        ({"prometheus": {"url": "prometheus:9090"}}, "url"),
        ({"prometheus": {"matchers": {"my-cluster": "a"}}}, "my-cluster"),
        ({"prometheus": {"matchers": {"cluster": ""}}}, "cluster"),
        ({"prometheus": {"headers": {"X Scope": "a"}}}, "X Scope"),
        ({"prometheus": {"tokenSecret": {"name": "a"}, "basicAuthSecret": {"name": "b"}}}, "either tokenSecret or"),
        ({"prometheus": {"url": "https://a", "tls": {"ca": {"secret": "a", "configMap": "b"}}}}, "either configMap"),
        ({"prometheus": {"url": "http://a", "tls": {"serverName": "b"}}}, "https://"),
        ({"podDisruptionBudget": {"maxUnavailable": 0}}, "maxUnavailable"),
        ({"restoreOnUninstall": {"activeDeadlineSeconds": 1}}, "activeDeadlineSeconds"),
    ],
)
def test_bad_values_are_refused_with_their_name(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ChartError, match=named):
        Chart.render(values)


def _load(path: Any) -> Object:
    loaded: Object = yaml.safe_load(path.read_text())
    return loaded
