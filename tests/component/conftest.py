"""The cluster that the component tests share."""

from collections.abc import Iterator

import pytest

from localcluster import ClusterApi, ClusterFactory, Options


@pytest.fixture(scope="package")
def cluster(cluster_factory: ClusterFactory) -> Iterator[ClusterApi]:
    """The core only. Tests keep to namespaces and names of their own."""
    with cluster_factory(Options()) as made:
        yield made
