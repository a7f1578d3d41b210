"""The stage: creates and removes each contender's nodes, namespace, workloads and policies in a cluster."""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

from demo import manifests
from demo.contenders import Contender
from demo.foresight import external_metric
from demo.scenario import Day, desired_replicas
from localcluster import ClusterApi
from spillway.domain.model.names import Tier


def lay_ground(cluster: ClusterApi, contenders: Sequence[Contender]) -> None:
    """Add namespaces, fixed and virtual nodes, a Karpenter pool for each contender, and *flat*'s admission policy."""
    for contender in contenders:
        cluster.rest.create("/api/v1/namespaces", manifests.namespace(contender, contender.namespace))
        cluster.add_nodes(
            contender.pool(Tier.FIXED),
            manifests.FIXED_NODES,
            cpu=manifests.FIXED_CPU,
            memory="64Gi",
            labels=manifests.node_labels(contender, Tier.FIXED),
            wait=False,
        )
        cluster.add_virtual_nodes(
            contender.pool(Tier.VIRTUAL),
            len(manifests.ZONES),
            provider=manifests.PROVIDER,
            labels=manifests.node_labels(contender, Tier.VIRTUAL),
            taints=manifests.virtual_soft_taints(),
            wait=False,
        )
        cluster.add_karpenter_pool(
            contender.pool(Tier.ELASTIC),
            labels=manifests.node_labels(contender, Tier.ELASTIC),
            taints=manifests.elastic_taints(contender),
            cpus=[manifests.ELASTIC_CPU],
            consolidation="WhenEmptyOrUnderutilized" if contender is Contender.PLAIN_DRAIN else "WhenEmpty",
            consolidate_after=f"{manifests.CONSOLIDATE_AFTER_SECONDS}s",
        )
    if Contender.FLAT in contenders:
        cluster.apply(manifests.flat_policies())


def lay_workloads(
    cluster: ClusterApi,
    contender: Contender,
    day: Day,
    kept: Mapping[str, int] = MappingProxyType({}),
    *,
    foresees: bool = False,
) -> int:
    """Create the day's Deployments and HPAs as the first hour needs them; returns the number of pods.

    `kept` is how many replicas of a workload are to be physical, where the operator places them. The HPAs of a
    contender that `foresees` also go by the recommended replicas.
    """
    namespace = contender.namespace
    begin = day.hour_at(0)
    replicas = {workload.name: desired_replicas(workload, workload.load(begin)) for workload in day.workloads}
    cluster.rest.create_all(
        f"/apis/apps/v1/namespaces/{namespace}/deployments",
        [
            manifests.deployment(
                contender,
                namespace,
                workload.name,
                replicas=replicas[workload.name],
                overflow=workload.overflow,
                threshold=kept.get(workload.name),
            )
            for workload in day.workloads
        ],
    )
    cluster.rest.create_all(
        f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers",
        [
            manifests.autoscaler(namespace, one, metrics=[external_metric(one.name)] if foresees else [])
            for one in day.workloads
        ],
    )
    return sum(replicas.values())


def metrics_flow(cluster: ClusterApi, contenders: Sequence[Contender], pods: int) -> bool:
    """Whether metrics-server answers for nearly every pod: from then on the HPAs see the load."""
    seen = sum(
        len(cluster.rest.items(f"/apis/metrics.k8s.io/v1beta1/namespaces/{contender.namespace}/pods"))
        for contender in contenders
    )
    return seen >= 0.95 * pods


def clear_workloads(cluster: ClusterApi, contenders: Sequence[Contender]) -> None:
    """Delete the day's workloads and wait until their pods are gone."""
    for contender in contenders:
        namespace = contender.namespace
        cluster.rest.delete(f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers")
        cluster.rest.delete(f"/apis/apps/v1/namespaces/{namespace}/deployments")
    for contender in contenders:
        cluster.wait_until(partial(_empty, cluster, contender.namespace), f"an empty namespace {contender.namespace}")


def _empty(cluster: ClusterApi, namespace: str) -> bool:
    return not cluster.rest.items(f"/api/v1/namespaces/{namespace}/pods", limit=1)
