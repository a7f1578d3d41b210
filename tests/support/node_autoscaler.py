"""The real cluster-autoscaler of a local cluster: its flags, its loops, and what it did since it was started."""

import urllib.request
from typing import Final

from harness.samples import Samples
from localcluster import Cluster, cluster_autoscaler
from localcluster.cluster_autoscaler import QUICK
from localcluster.layout import LOOPBACK
from localcluster.rest import Object
from tests.support.installed import audit_entries, audit_position

EMPTY_ONLY: Final = ("--scale-down-utilization-threshold=0.01", "--ignore-daemonsets-utilization=true")
"""The flags that docs/explanation/coexistence.md recommends."""
_USER: Final = "localcluster:cluster-autoscaler"


class NodeAutoscaler:
    """cluster-autoscaler, started again with some flags beside the quick ones."""

    def __init__(self, cluster: Cluster, *flags: str) -> None:
        self.cluster = cluster
        self.use(*flags)

    def use(self, *flags: str) -> None:
        """Start it again with these flags; what it did before does not count any more."""
        # Until its end, the one before may still write.
        self.cluster.end(cluster_autoscaler.NAME, kill=True)
        self.forget()
        self._log_since = self.cluster.log(cluster_autoscaler.NAME).stat().st_size
        self.cluster.use_cluster_autoscaler_flags(*QUICK, *flags)

    def forget(self) -> None:
        """What it did before does not count any more."""
        self._since = audit_position(self.cluster)

    @property
    def samples(self) -> Samples:
        """Its metrics."""
        url = f"http://{LOOPBACK}:{self.cluster.layout.ports.cluster_autoscaler}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return Samples.parse(answer.read().decode())

    def wait_loops(self, count: int = 3) -> None:
        """Until it has looked at the whole cluster so many times from now on."""
        before = self.cluster.wait_until(self._loops, "a loop of cluster-autoscaler")
        # The one that runs now may have begun with an older state.
        self.cluster.wait_until(lambda: self._loops() > before + count, f"{count} loops of cluster-autoscaler")

    def _loops(self) -> float:
        return self.samples.total("cluster_autoscaler_function_duration_seconds_count", function="main")

    @property
    def log(self) -> str:
        """What it has logged since it was started."""
        with self.cluster.log(cluster_autoscaler.NAME).open("rb") as file:
            file.seek(self._log_since)
            return file.read().decode(errors="replace")

    @property
    def added(self) -> list[str]:
        """The nodes that it has added."""
        return [entry["requestObject"]["metadata"]["name"] for entry in self._written("create", "nodes")]

    @property
    def removed(self) -> set[str]:
        """The nodes that it has removed."""
        return {entry["objectRef"]["name"] for entry in self._written("delete", "nodes")}

    @property
    def evicted(self) -> list[str]:
        """The pods that were evicted, by whomever, each time with its namespace."""
        entries = audit_entries(self.cluster, self._since)
        references = [entry["objectRef"] for entry in entries if _is(entry, "create", "pods", "eviction")]
        return [f"{one['namespace']}/{one['name']}" for one in references]

    def _written(self, verb: str, resource: str) -> list[Object]:
        return [
            entry
            for entry in audit_entries(self.cluster, self._since)
            if _is(entry, verb, resource) and entry["user"]["username"] == _USER
        ]


def _is(entry: Object, verb: str, resource: str, subresource: str = "") -> bool:
    reference = entry.get("objectRef") or {}
    found = (entry["verb"], reference.get("resource"), reference.get("subresource", ""))
    return found == (verb, resource, subresource) and entry["responseStatus"]["code"] < 300
