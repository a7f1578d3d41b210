"""`python -m harness`: a playground with nodes of all three tiers and the operator, until Ctrl-C."""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.chart import HELM
from harness.operator import Installation, install
from localcluster import Cluster, ClusterApi, ClusterError, binaries, build

WELCOME = "Three nodes of each tier, a namespace `shop`, and two replicas of Spillway."
"""The first line that the playground prints."""


@contextmanager
def playground(cluster: ClusterApi, flags: Sequence[str] = ()) -> Iterator[Installation]:
    """Nodes of all three tiers, the operator with these flags and the page of the report, and an empty namespace."""
    cluster.add_nodes("fixed", 3, cpu="2")
    cluster.add_nodes("elastic", 3, cpu="2")
    cluster.add_virtual_nodes("virtual", 3)
    with install(cluster, {"report": {"enabled": True}}, flags=flags) as spillway:
        cluster.create_namespace("shop")
        yield spillway


def main() -> int:
    """Start the playground, print how to use it, and stop it."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    build.ensure_built([*binaries.CORE, HELM])
    with Cluster() as cluster, playground(cluster) as spillway:
        sys.stdout.write(
            f"{WELCOME}\n"
            f"Logs of the operator: {spillway.folder}\n\n"
            "In another terminal, in this folder:\n\n"
            f"  export KUBECONFIG={cluster.kubeconfig}\n"
            "  export PATH=$PWD/.cache/localcluster/bin:$PWD/.venv/bin:$PATH\n\n"
            "Ctrl-C here stops all of it.\n"
        )
        sys.stdout.flush()
        stop.wait()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ClusterError as error:
        sys.exit(str(error))
