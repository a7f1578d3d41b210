"""The pods that may be moved off some nodes, and why those of other workloads may not.

Contract: it reads the state, and what the pods use from metrics.k8s.io. Only pods of settled workloads may be moved:
every replica ready, no rollout, no surge, neither scaled up nor rolled out for as long as `settle` says, and none that
a policy in Recommend or a class with `scheduleOnly` governs. A scale-down is no reason to wait: after a peak, when
nodes can be emptied, workloads are scaled down again and again. A pod that came by a move is left for `AGAIN_SECONDS`.
Pods of StatefulSets are not moved, neither by surge nor by eviction.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from spillway.api.zonalbalance import Rebalance, ZonalBalance
from spillway.controllers.balance.readings import Readings
from spillway.controllers.base import World
from spillway.controllers.surge.moves import on_held_pool
from spillway.controllers.surge.scaler import may_surge
from spillway.domain.balance.arrivals import AGAIN_SECONDS, Arrivals
from spillway.domain.balance.move_board import MovablePod
from spillway.domain.balance.zone_loads import pods_by_zone
from spillway.domain.model.names import NodeName
from spillway.domain.model.owners import CAN_SURGE, workload_of
from spillway.domain.model.records import NodeRecord, PodRecord, ReplicaSetRecord, StatefulSetRecord
from spillway.domain.surge.hindrance import Left, all_ready
from spillway.kube.resource_metrics import PodMetrics
from spillway.kube.slices import in_slices
from spillway.state.claims import balance_of

LEAST_TO_EVICT: Final = 2
"""An eviction leaves a workload with one replica without any for a while."""


class Movable(NamedTuple):
    """The pods that may be moved, and why other workloads with pods there are left as they are."""

    pods: tuple[MovablePod, ...]
    left: Mapping[str, Left]


async def movable_pods(
    world: World,
    readings: Readings,
    balance: ZonalBalance,
    nodes: Mapping[NodeName, NodeRecord],
    *,
    chosen_of: Callable[[Collection[PodRecord]], list[PodRecord]],
    resting: Mapping[str, float],
    arrivals: Arrivals,
) -> Movable:
    """The pods of a ZonalBalance that may be moved, of those that are chosen of each workload's.

    Zones are counted over `nodes`. `resting` says until when a workload is left, and `arrivals` are the pods that came
    by a move.
    """
    now, rule = world.now(), balance.spec.rebalance or Rebalance()
    since = now - rule.settle.seconds
    used: dict[str, Mapping[str, PodMetrics]] = {}
    found: list[MovablePod] = []
    left: dict[str, Left] = {}
    async for owner in in_slices(list(world.state.owners())):
        if not owner.replicas or balance_of(world.state, world.governance, owner) != balance.metadata.name:
            continue
        pods = world.state.active_pods_of(owner.uid)
        there = chosen_of(pods)
        key = workload_of(owner).key
        if not there or resting.get(key, 0.0) > now or world.only_recommends(owner):
            continue
        if isinstance(owner, StatefulSetRecord):
            left[key] = Left.CANNOT_SURGE
            continue
        reason = why_left(world, owner, pods, rule)
        settled = [pod for pod in there if pod.ready_since <= since]
        chosen = [pod for pod in settled if not arrivals.moved(key, pod.created, now, within=AGAIN_SECONDS)]
        if reason is not None or not chosen:
            left[key] = reason or (Left.MOVED_RECENTLY if settled else Left.SETTLING)
            continue
        if owner.namespace not in used:
            used[owner.namespace] = await readings.pods(owner.namespace, balance.spec.effective_load)
        if readings.unread(owner.namespace):
            left[key] = Left.UNREAD
            continue
        zones = pods_by_zone(pods, nodes, balance.spec.zone_key)
        found += [
            MovablePod(
                pod.uid,
                pod.key,
                key,
                pod.node,
                pod.requests,
                usage.cpu_millis,
                usage.memory_bytes,
                zones,
                pod.extended,
                pod.host_ports,
            )
            for pod in chosen
            if (usage := used[owner.namespace].get(pod.name)) is not None
        ]
    return Movable(tuple(found), left)


def unsettled(world: World, owner: ReplicaSetRecord, pods: Collection[PodRecord], since: float) -> Left | None:
    """Why no pod of the workload may be moved; None if it has not grown since then. `pods` are its active."""
    if world.is_outgoing(owner):
        return Left.ROLLOUT
    if not all_ready(owner, pods):
        return Left.NOT_READY
    # A time in the future is one of before the clock was set back.
    return Left.SETTLING if may_surge(world, owner) or since < owner.grew <= world.now() else None


def why_left(world: World, owner: ReplicaSetRecord, pods: Collection[PodRecord], rule: Rebalance) -> Left | None:
    """Why no pod of the workload may be moved now, as far as the state shows it; `pods` are its active."""
    since = world.now() - rule.settle.seconds
    return unsettled(world, owner, pods, since) or _cannot(world, owner, pods, rule)


def _cannot(world: World, owner: ReplicaSetRecord, pods: Collection[PodRecord], rule: Rebalance) -> Left | None:
    """Why no pod of such a workload can be moved in the way that the rule says."""
    if world.is_exact(owner):
        return Left.EXACT_REPLICAS
    if any(on_held_pool(world, pod) for pod in pods):
        return Left.POOL_HELD
    if rule.by == "Evict":
        return Left.SINGLE_REPLICA if owner.replicas < LEAST_TO_EVICT else None
    return None if workload_of(owner).kind in CAN_SURGE else Left.CANNOT_SURGE
