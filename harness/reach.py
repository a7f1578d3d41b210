"""How a cluster's API server reaches what listens on this machine.

Contract: the only module that knows this. A test with a server for the API server asks here first, and skips
(`FeatureMissing`) if the address is not configured.
"""

import os
from typing import Final

from localcluster import ClusterApi

HOST_VARIABLE: Final = "SPILLWAY_HARNESS_HOST"
"""A host name by which the API server finds this machine, where it does not run on it (kind, another machine)."""


def webhook_host(cluster: ClusterApi) -> str:
    """The name under which the cluster's API server reaches this machine.

    Raises:
        FeatureMissing: the API server runs elsewhere, and `HOST_VARIABLE` is not set.

    """
    if host := os.environ.get(HOST_VARIABLE):
        return host
    cluster.require("loopback-webhooks")
    return "localhost"


def listen_flags() -> list[str]:
    """The flags of `spillway run` for listening: on loopback alone, unless the API server runs elsewhere."""
    if HOST_VARIABLE in os.environ:
        return []
    return ["--webhook-host=127.0.0.1", "--metrics-host=127.0.0.1"]
