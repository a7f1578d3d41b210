"""The HorizontalPodAutoscalers of a cluster: what scales a workload, within which bounds, and by which metrics.

Contract: pure. One whose metrics all name Spillway goes by the recommended number alone: it reads the external metric,
the series of prometheus-adapter, or KEDA's metric of Spillway's scaler.
"""

from typing import Final

import msgspec

from spillway.domain.model.owners import workload_key
from spillway.domain.scaling.recommend import Autoscaler

METRIC: Final = "spillway-recommended-replicas"
"""The external metric; its labels `kind` and `workload` select the workload within the namespace."""
METRICS_GROUP: Final = "external.metrics.k8s.io"
METRICS_VERSION: Final = "v1beta1"
METRICS_API_SERVICE: Final = f"{METRICS_VERSION}.{METRICS_GROUP}"
"""The name of the APIService of the API that serves it, of which a cluster has one."""
OTHER_WAYS: Final = (
    "KEDA through Spillway's external scaler, prometheus-adapter through spillway_scaling_recommended_replicas"
)
"""How the owner of that API can serve it, if it is another component."""
_OURS: Final = "spillway"


def managed_name(kind: str, workload: str) -> str:
    """The name of the autoscaler that Spillway creates for a workload."""
    return f"spillway-{kind.lower()}-{workload}"


class AutoscalerRecord(msgspec.Struct, frozen=True):
    """One HorizontalPodAutoscaler, without what changes at every look that its controller takes."""

    uid: str
    namespace: str
    name: str
    target_kind: str
    target_name: str
    minimum: int
    maximum: int
    metrics: tuple[str, ...]
    """The name of each of its metrics."""
    policy: str = ""
    """The ElasticPolicy for which Spillway created it; empty for one that Spillway did not create."""
    applied: str = ""
    """The mark of the spec that Spillway applied last."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def workload(self) -> str:
        """The workload that it scales."""
        return workload_key(self.target_kind, self.namespace, self.target_name)

    @property
    def ours(self) -> bool:
        """Whether Spillway created it: it has the mark, and the name; a copy under another name is the user's."""
        return bool(self.policy) and self.name == managed_name(self.target_kind, self.target_name)

    @property
    def other_metrics(self) -> bool:
        """Whether it goes by other metrics besides the recommended number."""
        return not all(_OURS in name for name in self.metrics)

    @property
    def summary(self) -> Autoscaler:
        """What a recommendation needs of it."""
        return Autoscaler(self.name, self.minimum, self.maximum, other_metrics=self.other_metrics)
