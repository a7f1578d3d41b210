"""The operator beside the real cluster-autoscaler, in a cluster of its own."""

from collections.abc import Iterator

import pytest

from harness import Installation
from localcluster import Cluster, ClusterFactory, Options
from localcluster.cluster_autoscaler import QUICK
from localcluster.nodes import NodeGroup
from tests.e2e.conftest import pytest_runtest_makereport
from tests.support.e2e import two_replicas
from tests.support.node_autoscaler import EMPTY_ONLY, NodeAutoscaler
from tests.support.preemption import synchronous

__all__ = ["pytest_runtest_makereport"]

LABELS = {"tier": "elastic"}
GROUPS = tuple(NodeGroup(f"elastic-{zone}", f"zone-{zone}", labels=LABELS) for zone in ("a", "b"))


@pytest.fixture(scope="session")
def cluster(cluster_factory: ClusterFactory) -> Iterator[Cluster]:
    """A cluster all of whose nodes come from cluster-autoscaler."""
    options = Options(
        cluster_autoscaler=GROUPS, cluster_autoscaler_flags=(*QUICK, *EMPTY_ONLY), scheduler_args=synchronous()
    )
    with cluster_factory(options) as made:
        assert isinstance(made, Cluster)
        yield made


@pytest.fixture(scope="session")
def installation(cluster: Cluster) -> Iterator[Installation]:
    """Two replicas of the operator."""
    with two_replicas(cluster, {}, "--headroom-hold-seconds=4") as installed:
        yield installed


@pytest.fixture
def autoscaler(cluster: Cluster) -> Iterator[NodeAutoscaler]:
    """cluster-autoscaler that removes only empty nodes; at the end there is none of its nodes."""
    yield NodeAutoscaler(cluster, *EMPTY_ONLY)
    names = [one["metadata"]["name"] for one in cluster.rest.items("/api/v1/nodes", labelSelector="tier=elastic")]
    cluster.delete_nodes(names)


@pytest.fixture
def namespace(cluster: Cluster, installation: Installation, autoscaler: NodeAutoscaler) -> Iterator[str]:
    """A namespace that a policy can select by its label `team`; its pods are gone before the nodes are."""
    with cluster.namespace() as name:
        cluster.rest.merge(f"/api/v1/namespaces/{name}", {"metadata": {"labels": {"team": name}}})
        yield name
        cluster.kubectl("delete", "deployment,daemonset", "--all", "-n", name)
        cluster.wait_until(lambda: not cluster.pods(name), "no pod")
