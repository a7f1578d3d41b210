"""The workloads that a Prometheus knows, for a plan without a cluster.

Contract: those of Spillway's own metric and the Deployments of kube-state-metrics, of the last day, each once.
"""

from collections.abc import Sequence

from spillway.domain.model.owners import workload_key
from spillway.sources.prometheus_replicas import OTHER_SOURCE, grouped, namespace_of
from spillway.sources.queries import Queries
from spillway.sources.selectors import selector
from spillway.telemetry.threshold import WORKLOAD_REPLICAS


async def known_workloads(prometheus: Queries, now: float) -> Sequence[str]:
    """The keys of the workloads, sorted.

    Raises:
        PrometheusError: Prometheus does not answer.
    """
    found = set[str]()
    for metric, labels in ((WORKLOAD_REPLICAS.name, ("kind", "workload")), (OTHER_SOURCE, ("deployment",))):
        series = selector(prometheus.connection, metric)
        for one in await prometheus.instant(f"group by ({grouped(labels)}) (last_over_time({series}[1d]))", now):
            kind, name = one.labels.get("kind", "Deployment"), one.labels.get(labels[-1], "")
            if name:
                found.add(workload_key(kind, namespace_of(one.labels), name))
    return sorted(found)
