"""What scenarios of the running operator share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from harness import Installation
from localcluster import ClusterApi

LEASE_SECONDS = 8
"""The shortest that can be renewed in time: a scenario waits for it wherever a leader is killed."""


class Start(Protocol):
    """Starts operator processes that are ready, one of which leads."""

    def __call__(self, count: int = 2, *flags: str) -> Installation: ...


@contextmanager
def two_replicas(cluster: ClusterApi, values: Mapping[str, Any]) -> Iterator[Installation]:
    """An installation by these values of the chart, whose two replicas are ready, one of them leading."""
    with Installation(cluster, values, flags=[f"--lease-seconds={LEASE_SECONDS}", "--status-seconds=1"]) as installed:
        installed.apply()
        installed.start(2)
        installed.wait_ready()
        installed.wait_leader()
        yield installed
