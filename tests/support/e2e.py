"""What scenarios of the running operator share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from harness import Installation
from localcluster import ClusterApi

LEASE_SECONDS = 8
"""The shortest that can be renewed in time, for scenarios that wait for its end because a leader is killed."""
QUICK_LEASE = f"--lease-seconds={LEASE_SECONDS}"
"""The flag for that. All others have the default: a leader that loses its Lease on a busy machine ends for good."""

WEBHOOK_TIMEOUT_SECONDS = 10
"""How long the API server waits for the webhooks, where a scenario is not about that wait.

After the chart's 2 s a pod is created without an answer. On the few cores of a test machine, which a whole control
plane shares, everything stands still for so long now and then, and that is no fault of the operator, which holds a
request longer with it.
"""
PATIENT = {"webhook": {"timeoutSeconds": WEBHOOK_TIMEOUT_SECONDS}}
"""The chart's values for that."""


class Start(Protocol):
    """Starts operator processes that are ready, one of which leads."""

    def __call__(self, count: int = 2, *flags: str) -> Installation: ...


@contextmanager
def two_replicas(cluster: ClusterApi, values: Mapping[str, Any], *flags: str) -> Iterator[Installation]:
    """An installation by these values of the chart, whose two replicas are ready, one of them leading."""
    with Installation(cluster, {**PATIENT, **values}, flags=["--status-seconds=1", *flags]) as installed:
        installed.apply()
        installed.start(2)
        installed.wait_ready()
        installed.wait_leader()
        yield installed
