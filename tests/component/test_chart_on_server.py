"""What the chart renders, on the real API server: it takes every object, and calls the webhooks as their rules say."""

import pytest

from harness.chart import Chart
from harness.operator import Installation
from localcluster import ClusterApi
from localcluster.rest import Object

# Their kinds belong to other projects, whose CRDs are not here.
FOREIGN_KINDS = {"ServiceMonitor", "Certificate", "Issuer"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"webhook": {"certificate": {"source": "certManager"}}},
        {"webhook": {"service": {"type": "ExternalName", "externalName": "localhost", "port": 12345}}},
        {
            "metrics": {"serviceMonitor": {"enabled": True}},
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
