"""A cluster that somebody else runs, reached by its kubeconfig."""

from pathlib import Path

from localcluster.api import ClusterApi


class ExternalCluster(ClusterApi):
    """Any cluster: it has the features that can be seen in it and none of those that need its processes."""

    def __init__(self, kubeconfig: Path) -> None:
        super().__init__(kubeconfig, features=frozenset())


def from_environment() -> ExternalCluster | None:
    """The cluster that ``CLUSTER`` names, or None for local processes."""
    return None
