"""The operator beside the real Argo Rollouts controller, in a cluster of its own."""

from collections.abc import Iterator

import pytest

from localcluster import ClusterApi, ClusterFactory, Options
from tests.e2e.conftest import installation, operator, start

__all__ = ["cluster", "installation", "operator", "start"]


@pytest.fixture(scope="session")
def cluster(cluster_factory: ClusterFactory) -> Iterator[ClusterApi]:
    """A cluster with the controller of Argo Rollouts in it."""
    with cluster_factory(Options(argo_rollouts=True)) as made:
        yield made
