"""What the chart renders, on the real API server: it takes every object, and calls the webhooks as their rules say."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from harness.chart import CHART, Chart, run_helm
from harness.operator import Installation
from localcluster import ClusterApi, Options
from localcluster.rest import Object
from spillway.admission.authority import Lifetimes, begin

# Their kinds belong to other projects, whose CRDs are not here.
FOREIGN_KINDS = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "Certificate", "Issuer"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"webhook": {"certificate": {"source": "certManager"}}},
        {"webhook": {"service": {"type": "ExternalName", "externalName": "localhost", "port": 12345}}},
        {
            "metrics": {
                name: {"enabled": True} for name in ("serviceMonitor", "prometheusRule", "virtualNodes", "logs")
            },
            "priorityClassName": "system-cluster-critical",
            "imagePullSecrets": [{"name": "pull"}],
            "tolerations": [{"operator": "Exists"}],
        },
    ],
    ids=["default", "cert-manager", "external", "more"],
)
def test_the_server_accepts_every_object(cluster: ClusterApi, namespace: str, values: dict[str, object]) -> None:
    chart = Chart.render(values, namespace=namespace)
    objects = [item for item in chart.objects if item["kind"] not in FOREIGN_KINDS]

    answer = cluster.apply(objects, "--dry-run=server", "--validate=strict")

    assert answer.count("(server dry run)") == len(objects)
    assert "Warning" not in answer


def test_pods_pass_the_restricted_admission(cluster: ClusterApi) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    with cluster.namespace(labels=labels) as namespace:
        chart = Chart.render(namespace=namespace)
        cluster.apply(chart.one("ServiceAccount", "spillway"))
        template = chart.one("Deployment")["spec"]["template"]
        pod: Object = {"apiVersion": "v1", "kind": "Pod", **template}
        pod["metadata"] = {**template["metadata"], "name": "operator", "namespace": namespace}

        assert "(server dry run)" in cluster.apply(pod, "--dry-run=server")


def test_the_crds_are_established_and_are_known_by_their_short_names(cluster: ClusterApi) -> None:
    with Installation(cluster) as installation:
        installation.apply()

        for short in ("elp", "vnb", "zb"):
            cluster.kubectl("get", short)
        assert "spec" in cluster.kubectl("explain", "elasticpolicy")
        explained = " ".join(cluster.kubectl("explain", "zonalbalance.spec.classes").split())
        assert "DESCRIPTION: Not implemented yet." in explained


def test_helm_installs_upgrades_and_uninstalls_and_the_crds_stay(
    cluster_factory: Callable[[Options], ClusterApi],
) -> None:
    """Helm itself, with kwok pretending that the pods run and the hook's Job succeeds."""
    cluster = cluster_factory(Options())
    cluster.add_nodes("fixed", 2)
    where = (f"--kubeconfig={cluster.kubeconfig}", "--namespace=spillway-system")

    run_helm("install", "spillway", str(CHART), "--create-namespace", "--wait", "--timeout=60s", *where)
    deployment = "/apis/apps/v1/namespaces/spillway-system/deployments/spillway"
    assert cluster.rest.get(deployment)["status"]["availableReplicas"] == 2
    # What the operator fills in has to outlive an upgrade.
    secret = "/api/v1/namespaces/spillway-system/secrets/spillway-webhook-tls"
    cluster.rest.merge(secret, {"stringData": {"ca.crt": "ours"}})
    webhooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/spillway"
    authority = begin(["localhost"], Lifetimes(), datetime.now(UTC)).bundle
    bundle = {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": base64.b64encode(authority).decode()}
    cluster.rest.request("PATCH", webhooks, body=[bundle], content_type="application/json-patch+json")
    before = cluster.rest.get(webhooks)["webhooks"][0]["clientConfig"]["caBundle"]

    run_helm("upgrade", "spillway", str(CHART), "--set=replicas=3", "--wait", "--timeout=60s", *where)
    assert cluster.rest.get(deployment)["status"]["availableReplicas"] == 3
    assert "ca.crt" in cluster.rest.get(secret)["data"]
    assert cluster.rest.get(webhooks)["webhooks"][0]["clientConfig"]["caBundle"] == before

    assert "name: spillway-restore" in run_helm("get", "hooks", "spillway", *where), "a real installation has the hook"
    run_helm("uninstall", "spillway", "--wait", "--timeout=60s", *where)
    assert not cluster.exists(deployment)
    assert not cluster.exists(webhooks)
    assert not cluster.exists("/apis/rbac.authorization.k8s.io/v1/clusterroles/spillway-restore")
    assert cluster.exists("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/elasticpolicies.spillway.dev")
