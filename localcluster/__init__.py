"""A real Kubernetes control plane on one machine, without containers.

Contract: ``Cluster`` starts the components as local processes on free loopback ports and stops all of them, even if its
owner is killed. kwok simulates the nodes; everything else (API server, admission, RBAC, controllers, scheduler, HPA,
metrics-server, Karpenter, Prometheus) is the real thing. Nothing in this package knows Spillway.
"""

from collections.abc import Callable

from localcluster.api import DEFAULT_WAIT_SECONDS, ClusterApi
from localcluster.cluster import Cluster
from localcluster.errors import ClusterError, FeatureMissing
from localcluster.external import ExternalCluster
from localcluster.options import Options

ClusterFactory = Callable[[Options], ClusterApi]
"""Starts a cluster with these options, or gives an existing one that fits (the tests' fixture ``cluster_factory``)."""

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
