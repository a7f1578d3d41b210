"""`python -m harness`: a playground with nodes of all three tiers and the operator, until Ctrl-C."""

import signal
import sys
import threading

from harness.chart import HELM
from harness.operator import install
from localcluster import Cluster, ClusterError, binaries, build


def main() -> int:
    """Start the playground, print how to use it, and stop it."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    build.ensure_built([*binaries.CORE, HELM])
    with Cluster() as cluster:
        cluster.add_nodes("fixed", 3, cpu="2")
        cluster.add_nodes("elastic", 3, cpu="2")
        cluster.add_virtual_nodes("virtual", 3)
        with install(cluster) as spillway:
            cluster.create_namespace("shop")
            sys.stdout.write(
                "Three nodes of each tier, a namespace `shop`, and two replicas of Spillway.\n"
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
