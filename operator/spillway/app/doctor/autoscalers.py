"""The checks of autoscalers: what is read of Karpenter, of cluster-autoscaler and of HorizontalPodAutoscalers.

Contract: reads nothing where no policy has an elastic tier and no pods are moved by surge, and nothing that only a
cluster administrator may read.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence

import msgspec

from spillway.api import ElasticPolicy
from spillway.domain.balance.node import PlannedNode
from spillway.domain.doctor.autoscaler import DO_NOT_DISRUPT, check_node_annotations, check_node_pool
from spillway.domain.doctor.cluster_autoscaler import (
    NAMESPACE,
    SCALE_DOWN_DISABLED,
    SELECTORS,
    STATUS,
    ElasticFacts,
    check_cluster_autoscaler,
    hidden,
    is_cluster_autoscaler,
)
from spillway.domain.doctor.findings import Finding
from spillway.domain.doctor.pod_autoscaler import check_stabilization
from spillway.domain.model.names import ZONE_LABEL
from spillway.domain.model.owners import PER_NODE, workload_of
from spillway.domain.model.records import NodeRecord, PodRecord
from spillway.domain.model.usage import NOTHING
from spillway.domain.overview.attention import Severity
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError
from spillway.state.claims import balance_of
from spillway.state.world import World


async def of_karpenter(client: KubeClient, world: World) -> AsyncIterator[Finding]:
    """Findings about the NodePools and nodes of Karpenter."""
    policies: Sequence[ElasticPolicy] = tuple(world.governance.policies.values())
    if not _has_elastic_tier(world):
        return
    try:
        pools = [one async for one in client.list_all(paths.NODE_POOLS.everywhere)]
    except ApiError as error:
        if error.not_found:
            return
        raise
    for pool in pools:
        for one in check_node_pool(pool, policies):
            yield one
    if pools:
        async for one in _annotated_nodes(client, world, DO_NOT_DISRUPT):
            yield one


async def of_cluster_autoscaler(client: KubeClient, world: World) -> AsyncIterator[Finding]:
    """Findings about the flags and nodes of cluster-autoscaler, found by its labels or in the namespace kube-system.

    Whoever may create Deployments in a namespace can give one these labels. So outside kube-system, without the status
    of a cluster-autoscaler beside it, what a Deployment says is only for information.
    """
    if not _has_elastic_tier(world):
        return
    found = {}
    lists = [
        *(client.list_all(paths.DEPLOYMENTS.everywhere, labelSelector=selector) for selector in SELECTORS),
        client.list_all(paths.DEPLOYMENTS.within(NAMESPACE)),
    ]
    for one in lists:
        async for deployment in one:
            if is_cluster_autoscaler(deployment):
                found[deployment["metadata"]["uid"]] = deployment
    namespaces = {deployment["metadata"]["namespace"] for deployment in found.values()}
    if NAMESPACE not in namespaces and await _tells_its_status(client, NAMESPACE):
        yield hidden()
    trusted = {one for one in sorted(namespaces) if one == NAMESPACE or await _tells_its_status(client, one)}
    elastic = _elastic_facts(world)
    for deployment in found.values():
        for finding in check_cluster_autoscaler(deployment, elastic):
            known = deployment["metadata"]["namespace"] in trusted
            yield finding if known else msgspec.structs.replace(finding, severity=Severity.INFO)
    if trusted:
        async for finding in _annotated_nodes(client, world, SCALE_DOWN_DISABLED):
            yield finding


async def of_pod_autoscalers(client: KubeClient, world: World) -> AsyncIterator[Finding]:
    """Findings about the HorizontalPodAutoscalers of workloads whose pods are moved by surge."""
    moved = _moved_by_surge(world)
    if moved:
        autoscalers = [one async for one in client.list_all(paths.AUTOSCALERS.everywhere)]
        for one in check_stabilization(autoscalers, moved):
            yield one


def _moved_by_surge(world: World) -> Collection[str]:
    """The workloads whose pods consolidation or a rebalancer moves by surge, as Kind/namespace/name."""
    state, governance = world.state, world.governance
    consolidating = {name for name, one in governance.policies.items() if one.spec.consolidates}
    balancing = {name for name, one in governance.balances.items() if one.spec.moves_by_surge}
    if not consolidating and not balancing:
        return ()
    found = set()
    for owner in state.replicasets.values():
        claim = world.claim_of(owner)
        consolidated = claim is not None and claim.policy in consolidating
        if consolidated or balance_of(state, governance, owner) in balancing:
            found.add(workload_of(owner).key)
    return found


async def _annotated_nodes(client: KubeClient, world: World, annotation: str) -> AsyncIterator[Finding]:
    """Findings about elastic nodes that a node autoscaler leaves for an annotation."""
    elastic = frozenset(node.name for node in _elastic(world))
    if elastic:
        nodes = [one async for one in client.list_all(paths.NODES.everywhere)]
        for one in check_node_annotations(nodes, elastic, annotation):
            yield one


async def _tells_its_status(client: KubeClient, namespace: str) -> bool:
    """Whether a cluster-autoscaler writes its state into the usual ConfigMap of a namespace."""
    try:
        await client.get_json(paths.CONFIG_MAPS.named(STATUS, namespace=namespace))
    except ApiError as error:
        if error.not_found:
            return False
        raise
    return True


def _has_elastic_tier(world: World) -> bool:
    return any(policy.spec.tiers.elastic is not None for policy in world.governance.policies.values())


def _elastic(world: World) -> Sequence[NodeRecord]:
    return [node for node in world.state.nodes.values() if world.governance.elastic_owner(node) is not None]


def _elastic_facts(world: World) -> ElasticFacts:
    nodes = _elastic(world)
    pods = {
        node.name: [pod for pod in world.state.pods_on(node.name) if pod.active and pod.owner_kind not in PER_NODE]
        for node in nodes
    }
    return ElasticFacts(
        zones=len({node.zone_by(ZONE_LABEL) for node in nodes} - {""}),
        kept={str(name): pod.key for name, on in pods.items() for pod in on if pod.namespace == NAMESPACE},
        used={str(node.name): _requested(node, pods[node.name]) for node in nodes if pods[node.name]},
        headroom=any(policy.spec.headroom is not None for policy in world.governance.policies.values()),
    )


def _requested(node: NodeRecord, pods: Iterable[PodRecord]) -> float:
    """The larger share, of CPU or of memory, that these pods request of a node."""
    free = node.allocatable - sum((pod.requests for pod in pods), NOTHING)
    return PlannedNode.of(node, free, ZONE_LABEL).requested(free)
