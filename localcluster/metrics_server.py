"""metrics-server over kwok's pretended kubelets: what an HPA on CPU reads."""

import base64
from collections.abc import Mapping
from typing import Any

from localcluster.core import Find, client_of
from localcluster.layout import ADMINS, LOOPBACK, Layout
from localcluster.options import Options
from localcluster.processes import Process

API = "/apis/metrics.k8s.io/v1beta1"
API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"
SERVICE = ("kube-system", "metrics-server")


def process(layout: Layout, options: Options, find: Find) -> Process:
    kubeconfig = layout.write_kubeconfig("metrics-server", "localcluster:metrics-server", (ADMINS,))
    return Process(
        "metrics-server",
        [
            str(find("metrics-server")),
            *client_of(kubeconfig),
            f"--bind-address={LOOPBACK}",
            f"--secure-port={layout.ports.metrics_server}",
            f"--tls-cert-file={layout.path('metrics-server.crt')}",
            f"--tls-private-key-file={layout.path('metrics-server.key')}",
            f"--kubelet-certificate-authority={layout.path('ca.crt')}",
            "--kubelet-use-node-status-port",
            "--kubelet-preferred-address-types=InternalIP",
            f"--metric-resolution={options.metric_resolution_seconds}s",
            # Must be less than the resolution.
            "--kubelet-request-timeout=5s",
        ],
    )


def objects(layout: Layout) -> Mapping[str, dict[str, Any]]:
    """Collection path to object: the aggregated API, behind an ExternalName Service for this host's loopback."""
    namespace, name = SERVICE
    return {
        f"/api/v1/namespaces/{namespace}/services": {
            "metadata": {"name": name},
            "spec": {
                "type": "ExternalName",
                "externalName": "localhost",
                "ports": [{"port": layout.ports.metrics_server, "protocol": "TCP"}],
            },
        },
        "/apis/apiregistration.k8s.io/v1/apiservices": {
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode(layout.certificate_authority).decode(),
                "service": {"namespace": namespace, "name": name, "port": layout.ports.metrics_server},
            },
        },
    }
