"""A real Kubernetes control plane on one machine, without containers.

Contract: ``Cluster`` starts the components as local processes on free loopback ports and takes them down whole, also when its owner is killed. Nodes are pretended by
kwok; everything else (API server, admission, RBAC, controllers, scheduler, HPA, metrics-server, Karpenter, Prometheus) is the real thing.
Nothing in here knows Spillway.
"""

from localcluster.api import ClusterApi
from localcluster.cluster import Cluster
from localcluster.errors import ClusterError, FeatureMissing
from localcluster.external import ExternalCluster
from localcluster.options import Options

__all__ = ["Cluster", "ClusterApi", "ClusterError", "ExternalCluster", "FeatureMissing", "Options"]
