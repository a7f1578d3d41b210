"""The operator beside the real KEDA, in a cluster of its own: KEDA owns the API of external metrics."""

from collections.abc import Iterator

import pytest

from harness import Installation
from localcluster import ClusterApi, ClusterFactory, Options
from tests.e2e.conftest import pytest_runtest_makereport
from tests.support.e2e import QUICK_LEASE, two_replicas

__all__ = ["pytest_runtest_makereport"]


@pytest.fixture(scope="session")
def cluster(cluster_factory: ClusterFactory) -> Iterator[ClusterApi]:
    """A cluster with KEDA and metrics-server in it."""
    with cluster_factory(Options(keda=True, metrics_server=True)) as made:
        made.add_nodes("fixed", 2, cpu="16")
        yield made


@pytest.fixture(scope="session")
def installation(cluster: ClusterApi) -> Iterator[Installation]:
    """Two replicas that serve KEDA's external scaler."""
    with two_replicas(cluster, {"kedaScaler": {"enabled": True}}, QUICK_LEASE) as installed:
        yield installed
