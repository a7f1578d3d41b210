"""The ReplicaSets and StatefulSets that a ZonalBalance selects, and the ready pods of their workloads by zone.

Contract: reads and never writes. The operator and `spillway explain` compute the load of a workload by zone from the
same pods. Pods on virtual nodes are left out: what is derived from the others is about pods on physical nodes, and
metrics.k8s.io may not measure them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from spillway.api.zonalbalance import ZonalBalance
from spillway.domain.balance.zone_loads import PodsByZone, ready_by_zone
from spillway.domain.model.owners import workload_of
from spillway.domain.model.records import OwnerRecord, PodRecord
from spillway.kube.slices import in_slices
from spillway.state.claims import balance_of
from spillway.state.world import World


async def owners_by_namespace(world: World, balance: str) -> Mapping[str, list[OwnerRecord]]:
    """The ReplicaSets and StatefulSets with replicas that a ZonalBalance selects, by namespace."""
    state, governance = world.state, world.governance
    covered: dict[str, list[OwnerRecord]] = defaultdict(list)
    async for one in in_slices(list(state.owners())):
        if one.replicas and balance_of(state, governance, one) == balance:
            covered[one.namespace].append(one)
    return covered


def physical_pods(world: World, owner: OwnerRecord) -> list[PodRecord]:
    """The pods of an owner that are not on virtual nodes, terminating and finished ones too."""
    nodes, governance = world.state.nodes, world.governance
    return [
        pod
        for pod in world.state.pods_of(owner.uid)
        if (node := nodes.get(pod.node)) is None or governance.budget_of(node) is None
    ]


async def ready_by_workload(
    world: World, balance: ZonalBalance, owners: Iterable[OwnerRecord]
) -> Mapping[str, PodsByZone]:
    """The ready pods on physical nodes by zone of the workloads of these owners, by `namespace/name`."""
    pods: dict[str, list[PodRecord]] = defaultdict(list)
    for owner in owners:
        pods[f"{owner.namespace}/{workload_of(owner).name}"] += physical_pods(world, owner)
    return {
        name: ready_by_zone(members, world.state.nodes, balance.spec.zone_key)
        async for name, members in in_slices(list(pods.items()))
    }
