"""What the chart renders, on the real API server: it takes every object, and calls the webhooks as their rules say."""

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.chart import CHART, IMAGE, PROJECT, Chart, ChartError, run_helm
from harness.operator import Installation
from localcluster import ClusterApi, ClusterFactory, Options
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
        chart = Chart.render({"helmTest": {"render": "Always"}}, namespace=namespace)
        accounts = [chart.one("ServiceAccount", name) for name in ("spillway", "spillway-test")]
        cluster.apply([*accounts, chart.one("PriorityClass", "spillway")])
        assert "(server dry run)" in cluster.apply(chart.one("Pod"), "--dry-run=server")
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
        assert "Classes of workloads by what their pods use most" in explained
        installation.uninstall()


TEST_POD = "/api/v1/namespaces/spillway-system/pods/spillway-test"


def _run_test_pod(cluster: ClusterApi, folder: Path, printed: list[str]) -> None:
    """What a kubelet does for the pod of `helm test`: run its command as its ServiceAccount, and report the end."""
    cluster.wait_until(lambda: cluster.exists(TEST_POD), "the pod of the test", timeout_seconds=40)
    spec: dict[str, Any] = cluster.rest.get(TEST_POD)["spec"]
    kubeconfig = folder / "test-kubeconfig"
    cluster.service_account_kubeconfig("spillway-system", spec["serviceAccountName"], kubeconfig)
    [container] = spec["containers"]
    command = [sys.executable, "-m", "spillway", *container["args"], f"--kubeconfig={kubeconfig}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False, env=dict(os.environ))
    printed.append(done.stdout + done.stderr)
    phase = "Failed" if done.returncode else "Succeeded"
    cluster.rest.merge(f"{TEST_POD}/status", {"status": {"phase": phase}})


def _helm_test(cluster: ClusterApi, folder: Path, *where: str) -> str:
    printed: list[str] = []
    kubelet = threading.Thread(target=_run_test_pod, args=(cluster, folder, printed), name="kubelet")
    kubelet.start()
    try:
        run_helm("test", "spillway", "--timeout=50s", *where)
    finally:
        kubelet.join()
        print(*printed)  # noqa: T201 - pytest shows it where the test fails
    return printed[0]


@pytest.fixture
def untouched(cluster_factory: ClusterFactory) -> Iterator[ClusterApi]:
    """A cluster in which nothing of the chart has been."""
    with cluster_factory(Options()) as cluster:
        cluster.add_nodes("fixed", 2)
        yield cluster


def test_helm_installs_tests_upgrades_and_uninstalls_and_the_crds_stay(untouched: ClusterApi, tmp_path: Path) -> None:
    """Helm itself, with kwok pretending that the operator's pods run and the hook's Job succeeds."""
    cluster = untouched
    where = (f"--kubeconfig={cluster.kubeconfig}", "--namespace=spillway-system")

    with Installation(cluster, {"helmTest": {"timeoutSeconds": 10}}, folder=tmp_path) as operator:
        values = tmp_path / "values.yaml"
        values.write_text(yaml.safe_dump(operator.values | {"image": IMAGE}))
        given = f"--values={values}"
        run_helm("install", "spillway", str(CHART), given, "--create-namespace", "--wait", "--timeout=60s", *where)
        operator.identify()
        operator.start(1)
        operator.wait_ready(0)
        operator.wait_leader()
        said = _helm_test(cluster, tmp_path, *where)
        assert "the validating webhook answered" in said
        assert "a pod in spillway-test is placed on physical nodes by the policy spillway-test" in said
        gone = ("/api/v1/namespaces/spillway-test", "/apis/spillway.dev/v1alpha1/elasticpolicies/spillway-test")
        cluster.wait_until(lambda: not any(map(cluster.exists, gone)), "the end of what the test made")
        assert not cluster.exists("/apis/rbac.authorization.k8s.io/v1/clusterroles/spillway-test")
    with pytest.raises(ChartError, match="spillway-test"):
        _helm_test(cluster, tmp_path, *where)
    cluster.rest.delete(TEST_POD)
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

    run_helm("upgrade", "spillway", str(CHART), given, "--set=replicas=3", "--wait", "--timeout=60s", *where)
    assert cluster.rest.get(deployment)["status"]["availableReplicas"] == 3
    assert "ca.crt" in cluster.rest.get(secret)["data"]
    assert cluster.rest.get(webhooks)["webhooks"][0]["clientConfig"]["caBundle"] == before

    assert "name: spillway-restore" in run_helm("get", "hooks", "spillway", *where), "a real installation has the hook"
    run_helm("uninstall", "spillway", "--wait", "--timeout=60s", *where)
    assert not cluster.exists(deployment)
    assert not cluster.exists(webhooks)
    assert not cluster.exists("/apis/rbac.authorization.k8s.io/v1/clusterroles/spillway-restore")
    assert cluster.exists("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/elasticpolicies.spillway.dev")


def test_helm_upgrades_from_an_earlier_chart_and_goes_back(untouched: ClusterApi, version_before: Path) -> None:
    before, cluster = version_before / "charts" / "spillway", untouched
    where = (f"--kubeconfig={cluster.kubeconfig}", "--namespace=spillway-system", "--wait", "--timeout=55s")
    definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/zonalbalances.spillway.dev"

    def deployed() -> tuple[int, object]:
        spec = cluster.rest.get("/apis/apps/v1/namespaces/spillway-system/deployments/spillway")["spec"]
        return spec["replicas"], spec["template"]["spec"].get("priorityClassName")

    given = (f"--set=image.repository={IMAGE['repository']}", "--set=replicas=3")
    run_helm("install", "spillway", str(before), "--create-namespace", *given, *where)
    policy = yaml.safe_load((PROJECT / "examples" / "1-recommend.yaml").read_text())
    cluster.apply(policy)
    old = cluster.rest.get(definition)["spec"]
    assert deployed() == (3, None)

    with pytest.raises(ChartError, match="nil pointer"):
        run_helm("upgrade", "spillway", str(CHART), "--reuse-values", *where)
    run_helm("upgrade", "spillway", str(CHART), "--reset-then-reuse-values", *where)
    assert deployed() == (3, "spillway"), "what was set is kept, what is new has its default"
    assert cluster.rest.get(definition)["spec"] != old

    run_helm("rollback", "spillway", *where)
    assert deployed() == (3, None)
    assert cluster.rest.get(definition)["spec"] == old
    assert cluster.exists("/apis/spillway.dev/v1alpha1/elasticpolicies/try")
