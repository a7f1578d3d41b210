"""`python -m harness`: a playground with nodes of all three tiers and the operator, until Ctrl-C.

With `--helm` the operator is left out, and Helm can install it: its pods run as processes of this machine. There is a
metrics-server then, and a Prometheus that scrapes the nodes and the operator and has the chart's alerts.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import yaml

from harness.chart import CHART, HELM
from harness.kubelet import Kubelet
from harness.operator import Installation, install
from localcluster import Cluster, ClusterApi, ClusterError, Options, build

WELCOME = "Three nodes of each tier, a namespace `shop`, and two replicas of Spillway."
"""The first line that the playground prints."""
WELCOME_HELM = "Three nodes of each tier, a namespace `shop`, and a node for the pods of Spillway, which Helm installs."
"""The first line with `--helm`."""

_MONITORING: Final = CHART / "files" / "monitoring"
HELM_OPTIONS: Final = Options(
    metrics_server=True,
    prometheus=True,
    prometheus_rules=(_MONITORING / "alerts.yaml", _MONITORING / "rules.yaml"),
)
"""The cluster of `--helm`."""


@contextmanager
def playground(cluster: ClusterApi, flags: Sequence[str] = ()) -> Iterator[Installation]:
    """Nodes of all three tiers, the operator with these flags and the page of the report, and an empty namespace."""
    _add_nodes(cluster)
    with install(cluster, {"report": {"enabled": True}}, flags=flags) as spillway:
        cluster.create_namespace("shop")
        yield spillway


@contextmanager
def playground_for_helm(cluster: Cluster) -> Iterator[Mapping[str, str]]:
    """The same nodes and namespace without the operator, and a kubelet for its pods; the variables of a shell there.

    VALUES is a file with the values that the pods need, PROMETHEUS the address of the cluster's Prometheus.
    """
    _add_nodes(cluster)
    with Kubelet(cluster) as kubelet:
        cluster.create_namespace("shop")
        values = kubelet.folder / "values.yaml"
        values.write_text(
            yaml.safe_dump({**kubelet.values, **kubelet.server_values, "prometheus": {"url": cluster.prometheus_url}})
        )
        yield {"VALUES": str(values), "PROMETHEUS": cluster.prometheus_url}


def _add_nodes(cluster: ClusterApi) -> None:
    cluster.add_nodes("fixed", 3, cpu="2")
    cluster.add_nodes("elastic", 3, cpu="2")
    cluster.add_virtual_nodes("virtual", 3)


def main() -> int:
    """Start the playground, print how to use it, and stop it."""
    parser = argparse.ArgumentParser(prog="python -m harness", description="A playground, until Ctrl-C.")
    parser.add_argument("--helm", action="store_true", help="leave the operator out, and let Helm install it")
    for_helm = parser.parse_args().helm
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    options = HELM_OPTIONS if for_helm else Options()
    build.ensure_built([*options.programs, HELM])
    with Cluster(options) as cluster:
        if for_helm:
            with playground_for_helm(cluster) as variables:
                exports = "".join(f"  export {name}={value}\n" for name, value in variables.items())
                _serve(stop, cluster, WELCOME_HELM, exports)
        else:
            with playground(cluster) as spillway:
                _serve(stop, cluster, f"{WELCOME}\nLogs of the operator: {spillway.folder}")
    return 0


def _serve(stop: threading.Event, cluster: Cluster, welcome: str, more: str = "") -> None:
    sys.stdout.write(
        f"{welcome}\n\n"
        "In another terminal, in this folder:\n\n"
        f"  export KUBECONFIG={cluster.kubeconfig}\n"
        "  export PATH=$PWD/.cache/localcluster/bin:$PWD/.venv/bin:$PATH\n"
        f"{more}\n"
        "Ctrl-C here stops all of it.\n"
    )
    sys.stdout.flush()
    stop.wait()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ClusterError as error:
        sys.exit(str(error))
