"""A real Kubernetes control plane on one machine, without containers.

Contract: ``Cluster`` starts the components as local processes on free loopback ports and stops all of them, even if its
owner is killed. kwok simulates the nodes; everything else (API server, admission, RBAC, controllers, scheduler, HPA,
metrics-server, Karpenter, cluster-autoscaler, Prometheus) is the real thing. Nothing in this package knows Spillway.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from localcluster.api import DEFAULT_WAIT_SECONDS, ClusterApi
from localcluster.cluster import Cluster
from localcluster.errors import ClusterError, FeatureMissing
from localcluster.external import ExternalCluster
from localcluster.options import Options

ClusterFactory = Callable[[Options], AbstractContextManager[ClusterApi]]
"""A cluster with these options for the length of a block, or an existing one that has what they ask for."""

__all__ = [
    "DEFAULT_WAIT_SECONDS",
    "Cluster",
    "ClusterApi",
    "ClusterError",
    "ClusterFactory",
    "ExternalCluster",
    "FeatureMissing",
    "Options",
]
