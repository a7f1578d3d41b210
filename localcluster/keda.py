"""KEDA: its operator and its metrics adapter, which serves the aggregated API of external metrics.

Contract: the operator scales from and to zero and creates the HorizontalPodAutoscalers; the HPA controller reads their
metrics from the adapter, and the adapter from the operator, over gRPC with certificates on both sides.
"""

import base64
from collections.abc import Mapping
from typing import Any

from localcluster.core import Find, client_of
from localcluster.layout import ADMINS, KEDA_CERTIFICATES, LOOPBACK, Layout
from localcluster.processes import Process

OPERATOR = "keda-operator"
ADAPTER = "keda-adapter"
NAMESPACE = "keda"
SERVICE = "keda-metrics-apiserver"
API = "/apis/external.metrics.k8s.io/v1beta1"
SCALED_OBJECTS = "/apis/keda.sh/v1alpha1/scaledobjects"
TRIGGER_AUTHENTICATIONS = "/apis/keda.sh/v1alpha1/triggerauthentications"

_ENV = {"WATCH_NAMESPACE": "", "POD_NAMESPACE": NAMESPACE, "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE}


def operator(layout: Layout, find: Find) -> Process:
    """The operator, without leader election. It does not make certificates: it is given a folder of them."""
    kubeconfig = layout.write_kubeconfig(OPERATOR, "localcluster:keda-operator", (ADMINS,))
    return Process(
        OPERATOR,
        [
            str(find(OPERATOR)),
            f"--kubeconfig={kubeconfig}",
            f"--metrics-bind-address={LOOPBACK}:{layout.ports.keda_operator_metrics}",
            f"--health-probe-bind-address={LOOPBACK}:{layout.ports.keda_operator_health}",
            f"--metrics-service-bind-address={LOOPBACK}:{layout.ports.keda_metrics_service}",
            f"--cert-dir={layout.path(KEDA_CERTIFICATES)}",
            "--leader-elect=false",
            "--enable-cert-rotation=false",
            "--kube-api-qps=5000",
            "--kube-api-burst=10000",
        ],
        env=_ENV,
    )


def adapter(layout: Layout, find: Find) -> Process:
    kubeconfig = layout.write_kubeconfig(ADAPTER, "localcluster:keda-adapter", (ADMINS,))
    folder = layout.path(KEDA_CERTIFICATES)
    return Process(
        ADAPTER,
        [
            str(find(ADAPTER)),
            *client_of(kubeconfig),
            f"--lister-kubeconfig={kubeconfig}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={layout.ports.keda_adapter}",
            f"--port={layout.ports.keda_adapter_metrics}",
            f"--metrics-service-address={LOOPBACK}:{layout.ports.keda_metrics_service}",
            # The folder is that of the client's certificate towards the operator, too.
            f"--cert-dir={folder}",
            f"--tls-cert-file={folder}/tls.crt",
            f"--tls-private-key-file={folder}/tls.key",
            "--kube-api-qps=5000",
            "--kube-api-burst=10000",
        ],
        env=_ENV,
    )


def objects(layout: Layout) -> Mapping[str, dict[str, Any]]:
    """Collection path to object: KEDA's namespace, and the aggregated API behind this host's loopback."""
    port = layout.ports.keda_adapter
    return {
        "/api/v1/namespaces": {"metadata": {"name": NAMESPACE}},
        f"/api/v1/namespaces/{NAMESPACE}/services": {
            "metadata": {"name": SERVICE},
            "spec": {
                "type": "ExternalName",
                "externalName": "localhost",
                "ports": [{"port": port, "protocol": "TCP"}],
            },
        },
        "/apis/apiregistration.k8s.io/v1/apiservices": {
            "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
            "spec": {
                "group": "external.metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode(layout.certificate_authority).decode(),
                "service": {"namespace": NAMESPACE, "name": SERVICE, "port": port},
            },
        },
    }
