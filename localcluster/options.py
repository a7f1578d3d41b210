"""The options of a cluster: one frozen value, so that a cluster knows how it was started."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcluster import binaries
from localcluster.nodes import NodeGroup


@dataclass(frozen=True, kw_only=True)
class Options:
    """Parts and settings; the default is the core (etcd, API server, controller-manager, scheduler, kwok)."""

    kubernetes: str = field(default_factory=binaries.chosen_release)
    """The version of the API server, the controller-manager and the scheduler, one of `binaries.RELEASES`."""
    metrics_server: bool = False
    """metrics.k8s.io, fed by kwok's usage annotations: what an HPA on CPU needs."""
    karpenter: bool = False
    """Karpenter with its kwok provider; pools are added with ``add_karpenter_pool``."""
    cluster_autoscaler: tuple[NodeGroup, ...] = ()
    """The node groups of cluster-autoscaler, which runs if there is one."""
    argo_rollouts: bool = False
    """The controller of Argo Rollouts and its kinds."""
    keda: bool = False
    """KEDA's operator and metrics adapter, and its kinds: external.metrics.k8s.io is KEDA's then."""
    prometheus: bool = False
    """Prometheus with service discovery in this cluster."""

    hpa_sync_seconds: float = 2.0
    hpa_downscale_stabilization_seconds: float = 5.0
    """Kubernetes' own defaults are 15 and 300: too long for a compressed day."""
    scheduler_profiles: tuple[Mapping[str, Any], ...] = ()
    """``profiles`` of the KubeSchedulerConfiguration; empty means Kubernetes' own."""
    scheduler_extenders: tuple[Mapping[str, Any], ...] = ()
    """``extenders`` of the KubeSchedulerConfiguration. One with ``enableHTTPS`` is shown the scheduler's own client
    certificate."""

    metric_resolution_seconds: int = 10
    """metrics-server accepts nothing shorter than 10."""
    karpenter_feature_gates: Mapping[str, bool] = field(default_factory=lambda: {"CapacityBuffer": True})
    karpenter_env: Mapping[str, str] = field(default_factory=dict)
    """More settings of Karpenter, by its environment variables (``BATCH_IDLE_DURATION`` and so on)."""
    cluster_autoscaler_flags: tuple[str, ...] = ()
    """Flags of cluster-autoscaler, in place of its defaults."""
    node_startup_seconds: int = 0
    """How long after Karpenter's order a machine joins the cluster."""
    prometheus_scrape_configs: tuple[Mapping[str, Any], ...] = ()
    """``scrape_configs`` added to the default ones."""
    prometheus_rules: tuple[Path, ...] = ()
    """Files with alerts and recording rules."""
    prometheus_scrape_seconds: int = 5

    node_cidr: str = "10.0.0.0/8"
    """Where kwok takes pod addresses from."""
    audit: bool = True
    """Write an audit log of every write."""
    api_server_args: tuple[str, ...] = ()
    controller_manager_args: tuple[str, ...] = ()
    scheduler_args: tuple[str, ...] = ()
    """Further flags, appended last, so that they win."""

    start_timeout_seconds: float = 90.0
    """For the whole start; it takes some 5 s on two idle cores."""

    @property
    def features(self) -> frozenset[str]:
        """Names that tests ask for (``ClusterApi.require``); `usage` is that which is pretended and drives an HPA."""
        always = {"kwok", "restart", "hpa-tuning", "loopback-webhooks"}
        optional = {
            "audit": self.audit,
            "metrics-server": self.metrics_server,
            "usage": self.metrics_server,
            "karpenter": self.karpenter,
            "cluster-autoscaler": bool(self.cluster_autoscaler),
            "argo-rollouts": self.argo_rollouts,
            "keda": self.keda,
            "prometheus": self.prometheus,
        }
        return frozenset(always | {name for name, wanted in optional.items() if wanted})

    def __post_init__(self) -> None:
        """Raise `ClusterError` if there is no such version of Kubernetes."""
        binaries.release_of(self.kubernetes)

    @property
    def release(self) -> binaries.Release:
        """The control plane's version."""
        return binaries.release_of(self.kubernetes)

    @property
    def programs(self) -> tuple[str, ...]:
        """All that have to be built."""
        return (*(binaries.of_release(name, self.kubernetes) for name in binaries.CORE), *self._optional)

    def find(self, name: str) -> Path:
        """The binary of a program, of the chosen version; raises `ClusterError` that says how to get it."""
        return binaries.find(binaries.of_release(name, self.kubernetes))

    @property
    def _optional(self) -> tuple[str, ...]:
        wanted = {
            "metrics-server": self.metrics_server,
            "karpenter-kwok": self.karpenter,
            "cluster-autoscaler": bool(self.cluster_autoscaler),
            "argo-rollouts": self.argo_rollouts,
            "keda-operator": self.keda,
            "keda-adapter": self.keda,
            "prometheus": self.prometheus,
        }
        return tuple(name for name, on in wanted.items() if on)
