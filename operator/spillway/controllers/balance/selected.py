"""The ReplicaSets that a ZonalBalance selects, and the ready pods of their workloads by zone.

Contract: reads and never writes. The operator and `spillway explain` compute the load of a workload by zone from the
same pods.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from spillway.api.zonalbalance import ZonalBalance
from spillway.domain.balance.zone_loads import PodsByZone, ready_by_zone
from spillway.domain.model.owners import workload_of
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.kube.slices import in_slices
from spillway.state.claims import balance_of
from spillway.state.world import World


async def owners_by_namespace(world: World, balance: str) -> Mapping[str, list[ReplicaSetRecord]]:
    """The ReplicaSets with replicas that a ZonalBalance selects, by namespace."""
    state, governance = world.state, world.governance
    covered: dict[str, list[ReplicaSetRecord]] = defaultdict(list)
    async for one in in_slices(list(state.replicasets.values())):
        if one.replicas and balance_of(state, governance, one) == balance:
            covered[one.namespace].append(one)
    return covered


async def ready_by_workload(
    world: World, balance: ZonalBalance, owners: Iterable[ReplicaSetRecord]
) -> Mapping[str, PodsByZone]:
    """The ready pods by zone of the workloads of these ReplicaSets, by `namespace/name`."""
    pods: dict[str, list[PodRecord]] = defaultdict(list)
    for owner in owners:
        pods[f"{owner.namespace}/{workload_of(owner).name}"] += world.state.pods_of(owner.uid)
    return {
        name: ready_by_zone(members, world.state.nodes, balance.spec.zone_key)
        async for name, members in in_slices(list(pods.items()))
    }
