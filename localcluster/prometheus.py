"""Prometheus with service discovery in the cluster; further targets can be added while it runs."""

import http.client
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from localcluster.core import Find
from localcluster.errors import ClusterError
from localcluster.layout import ADMINS, LOOPBACK, Layout
from localcluster.options import Options
from localcluster.processes import Process

_TIMEOUT_SECONDS = 30.0
_ZONE = "__meta_kubernetes_node_label_topology_kubernetes_io_zone"


def process(layout: Layout, options: Options, find: Find) -> Process:
    config = layout.write_config("prometheus.yaml", configuration(layout, options))
    return Process(
        "prometheus",
        [
            str(find("prometheus")),
            f"--config.file={config}",
            f"--storage.tsdb.path={layout.data / 'prometheus'}",
            f"--web.listen-address={LOOPBACK}:{layout.ports.prometheus}",
            "--web.enable-lifecycle",
            "--log.level=warn",
        ],
    )


def targets_dir(layout: Layout) -> Path:
    """Prometheus watches the files in here (file_sd)."""
    return layout.config / "prometheus-targets"


def configuration(layout: Layout, options: Options) -> dict[str, Any]:
    """Two jobs, and those of the options.

    ``nodes``: usage of each node, pod and container, labelled ``node`` and ``zone``. ``files``: see ``write_targets``.
    """
    kubeconfig = layout.write_kubeconfig("prometheus", "localcluster:prometheus", (ADMINS,))
    folder = targets_dir(layout)
    folder.mkdir(exist_ok=True)
    nodes = {
        "job_name": "nodes",
        "kubernetes_sd_configs": [{"role": "node", "kubeconfig_file": str(kubeconfig)}],
        "scheme": "https",
        "tls_config": {"ca_file": layout.path("ca.crt")},
        "relabel_configs": [
            {"target_label": "__address__", "replacement": f"{LOOPBACK}:{layout.ports.kwok}"},
            {
                "source_labels": ["__meta_kubernetes_node_name"],
                "target_label": "__metrics_path__",
                "replacement": "/metrics/nodes/$1/metrics/resource",
            },
            {"source_labels": ["__meta_kubernetes_node_name"], "target_label": "node"},
            {"source_labels": ["__meta_kubernetes_node_name"], "target_label": "instance"},
            {"source_labels": [_ZONE], "target_label": "zone"},
        ],
    }
    files = {
        "job_name": "files",
        # Labels of what is scraped, such as `namespace`, name the objects that the samples are about.
        "honor_labels": True,
        "file_sd_configs": [{"files": [f"{folder}/*.json"], "refresh_interval": "5s"}],
    }
    period = f"{options.prometheus_scrape_seconds}s"
    return {
        "global": {"scrape_interval": period, "scrape_timeout": period, "evaluation_interval": period},
        "rule_files": [str(file) for file in options.prometheus_rules],
        "scrape_configs": [nodes, files, *(dict(job) for job in options.prometheus_scrape_configs)],
    }


def write_targets(folder: Path, name: str, targets: Sequence[str], labels: Mapping[str, str]) -> None:
    """Scrape ``targets`` (``host:port``) from now on; a later call with the same name replaces them."""
    new = folder / f"{name}.new"
    new.write_text(json.dumps([{"targets": list(targets), "labels": {"job": name, **labels}}]))
    new.rename(folder / f"{name}.json")


def query(port: int, expression: str) -> list[dict[str, Any]]:
    """An instant query: the result vector."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"/api/v1/query?{urlencode({'query': expression})}")
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if answer["status"] != "success":
        raise ClusterError(f"Prometheus: {answer.get('error')}")
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result
