"""The plan of moves of one ZonalBalance, from the state, the loads on the board, and what pods use.

Contract: reads and never writes. The load of a node counts with the pods that have come and gone since the reading,
and with the moves that other resources have asked for; those also count in the bound for each node.
Workloads whose zones differ by more than `maxSkew`, and whose pods may run in another zone, come first; only without
such moves are there moves for the load of nodes, without these for the requests on nodes that are little used, and
without these for crowded load classes. The last two have no elastic node as a target, because a node autoscaler would
have to keep it, and relieve none. No pod is moved to a node that its own constraints exclude, also those about other
pods, and none of a workload against which its own object speaks (`WorkloadLooks`). Pods leave and come to selected
nodes with a measured load alone, but the zones of a workload are counted over all nodes that are not virtual. While a
zone is down, or has come back less than `settle` ago, there is none.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, TypeVar

from spillway.api.zonalbalance import BalanceTarget, Rebalance, ZonalBalance
from spillway.controllers.balance.class_use import class_use
from spillway.controllers.balance.emptiable import leaving
from spillway.controllers.balance.in_transit import PodsInTransit
from spillway.controllers.balance.load import current_loads, nodes_of
from spillway.controllers.balance.look_turns import LookTurns
from spillway.controllers.balance.movable import Movable, movable_pods, unsettled
from spillway.controllers.balance.readings import Readings
from spillway.controllers.balance.under_way import MovesUnderWay, MoveUnderWay
from spillway.controllers.balance.workload_looks import WorkloadLooks
from spillway.controllers.base import World
from spillway.controllers.surge.moves import SurgeMovesController, incoming
from spillway.controllers.surge.room import physical_nodes
from spillway.domain.balance.class_moves import crowded_nodes, plan_class_moves
from spillway.domain.balance.load import weights_of
from spillway.domain.balance.move_board import Admits, LoadedNode, MovablePod, MoveLimits
from spillway.domain.balance.moves import Move, MovePlan, Reason, busy_nodes, plan_moves
from spillway.domain.balance.request_moves import plan_request_moves, reserved_nodes
from spillway.domain.balance.zone_loads import pods_by_zone
from spillway.domain.balance.zone_moves import ZoneMove, fullest_zone, open_zones, plan_zone_moves
from spillway.domain.balance.zone_watch import WatchedNode, ZoneWatch
from spillway.domain.fit.node_fit import takes_pods
from spillway.domain.model.names import NodeName, OwnerUid, Zone
from spillway.domain.model.owners import workload_of
from spillway.domain.model.records import NodeRecord, PodRecord
from spillway.domain.surge.hindrance import Left
from spillway.kube.slices import in_slices
from spillway.state.neighbours import NO_POD
from spillway.state.nodes_left import nodes_left

PLANNED_MOST: Final = 50
"""Moves in one plan."""
_AGAINST_EVICTION: Final = frozenset({Left.PAUSED, Left.DO_NOT_DISRUPT, Left.VOLUMES, Left.UNREAD})
"""What was read of a workload, or not, that also keeps its pods from being evicted; the rest is about surges."""
_NONE: Final = Movable((), {})


@dataclass(frozen=True, slots=True)
class ZonePlan:
    """The moves that bring the zones of workloads within `maxSkew`."""

    moves: tuple[ZoneMove, ...]
    reason: ClassVar[Reason] = Reason.ZONES


Plan = MovePlan | ZonePlan
P = TypeVar("P", ZonePlan, MovePlan)
NO_PLAN: Final = MovePlan((), 0.0, 0.0)
COMPARED_ROUNDS: Final = 3
"""Plans in one pass that are compared with other pods; the next one has moves of the compared ReplicaSets alone."""
LeftTo = dict[tuple[OwnerUid, NodeName], frozenset[NodeName] | None]
"""By ReplicaSet and, where the pod is evicted first, its node, the nodes to which other pods let it move; None for
all."""
FindMovable = Callable[[Callable[[Collection[PodRecord]], list[PodRecord]]], Awaitable[Movable]]
"""Finds the pods that may be moved, of those that are chosen of each workload's."""


class MovePlanner:
    """The planner of all ZonalBalances."""

    def __init__(self, world: World, readings: Readings, surges: SurgeMovesController) -> None:
        self._world = world
        self._readings = readings
        self._arrivals = surges.arrivals
        self.transit = PodsInTransit(world, readings)
        self.under_way = MovesUnderWay(world, surges)
        self._looks = WorkloadLooks(surges, world.now)

    async def plan(
        self, balance: ZonalBalance, watch: ZoneWatch, resting: Mapping[str, float], paused: Collection[Reason] = ()
    ) -> tuple[Plan, Mapping[str, Left]] | None:
        """The present plan, and why workloads are left; None while the load is not known.

        `watch` is what is remembered of its zones; `resting` says until when a workload is left, and `paused` for which
        reasons, beside zones and the load, no moves are planned now.

        Raises:
            RequestError: what pods use could not be read.
        """
        spec, now, rule = balance.spec, self._world.now(), balance.spec.rebalance or Rebalance()
        selected, zone_key = await nodes_of(self._world, balance), spec.zone_key
        lasting = self._lasting(selected)
        watch.look(
            (WatchedNode(node.name, node.zone_by(zone_key), takes_pods(node), node.ready) for node in lasting), now
        )
        down = watch.unsettled(now, rule.settle.seconds)
        if down:
            return NO_PLAN, {f"Zone/{zone}": Left.ZONE_DOWN for zone in down}
        if not current_loads(self._world, balance):
            return None
        others = self.under_way.of_others(balance.metadata.name)
        percent = await self.transit.expected(balance, {node.name: node for node in selected}, others)
        nodes = {node.name: node for node in selected if node.name in percent}
        planned = _beside([self._node(node, percent[name], zone_key) for name, node in nodes.items()], others)
        # A replica on a node that is not selected, or not measured, is a replica of its zone all the same.
        counted = {node.name: node for node in await physical_nodes(self._world)}

        async def movable(chosen_of: Callable[[Collection[PodRecord]], list[PodRecord]]) -> Movable:
            return await movable_pods(
                self._world,
                self._readings,
                balance,
                counted,
                chosen_of=chosen_of,
                resting=resting,
                arrivals=self._arrivals,
            )

        zones = open_zones(planned)
        uneven = await movable(_in_fullest_zone(nodes, counted, zones, balance)) if len(zones) > 1 else _NONE
        await self._looks.refresh()
        even, left = await self._admitted(
            balance,
            uneven,
            lambda pods, admits: ZonePlan(
                plan_zone_moves(planned, pods, max_skew=spec.max_skew, most=PLANNED_MOST, admits=admits)
            ),
        )
        if even.moves:
            return even, left
        target = float((spec.target or BalanceTarget()).max_imbalance_percent)
        limits = MoveLimits(weights_of(spec.effective_load), target, spec.max_skew, PLANNED_MOST, lambda _, __: True)
        # A node that a node autoscaler is removing is left to it.
        busy = {name for name in busy_nodes(percent, limits) if not nodes[name].leaves}
        found = await movable(lambda pods: [pod for pod in pods if pod.node in busy]) if busy else _NONE
        load, busy_left = await self._admitted(
            balance, found, lambda pods, admits: plan_moves(planned, pods, replace(limits, admits=admits))
        )
        left.update(busy_left)
        if load.moves:
            return load, left
        elastic = self._world.governance.elastic_owner
        closed = [one if elastic(nodes[one.name]) is None else replace(one, accepts=False) for one in planned]
        for reason, stage in ((Reason.REQUESTS, self._free_requests), (Reason.CLASSES, self._spread_classes)):
            if reason not in paused:
                plan, more = await stage(balance, closed, movable, limits)
                left.update(more)
                if plan.moves:
                    return plan, left
        return load, left

    async def _free_requests(
        self, balance: ZonalBalance, nodes: Sequence[LoadedNode], movable: FindMovable, limits: MoveLimits
    ) -> tuple[MovePlan, Mapping[str, Left]]:
        """The moves off a node with little load of which too much is requested, and why workloads there are left."""
        reserved = set(reserved_nodes(nodes, limits))
        found = await movable(lambda pods: [pod for pod in pods if pod.node in reserved]) if reserved else _NONE
        return await self._admitted(
            balance,
            found,
            lambda pods, admits: plan_request_moves(nodes, pods, replace(limits, admits=admits)),
        )

    async def _spread_classes(
        self, balance: ZonalBalance, nodes: Sequence[LoadedNode], movable: FindMovable, limits: MoveLimits
    ) -> tuple[MovePlan, Mapping[str, Left]]:
        """The moves that spread load classes, and why workloads of crowded ones are left."""
        if not balance.spec.spreads_classes:
            return NO_PLAN, {}
        # What runs on the other nodes is not moved, so it counts for nothing: the measure of an effect could not fall.
        staying = {node.name for node in self._lasting(self._world.state.nodes.values()) if not node.leaves}
        measured = {node.name: node for node in nodes if node.name in staying}
        use = await class_use(self._world, self._readings, balance, measured)
        crowded = crowded_nodes(nodes, use.shares, limits.max_imbalance)

        def chosen(pods: Collection[PodRecord]) -> list[PodRecord]:
            return [pod for pod in pods if (use.classes.get(pod.uid), pod.node) in crowded]

        found = await movable(chosen) if crowded else _NONE

        def planned(pods: Sequence[MovablePod], admits: Admits) -> MovePlan:
            classed = [(use.classes[pod.uid], pod) for pod in pods]
            return plan_class_moves(nodes, classed, use.shares, replace(limits, admits=admits))

        return await self._admitted(balance, found, planned)

    async def settled_zones(
        self, balance: ZonalBalance, workloads: Collection[str]
    ) -> Mapping[str, Mapping[Zone, int] | None]:
        """Of these workloads those that exist: their pods by zone, or None for one that has not settled yet."""
        world, spec = self._world, balance.spec
        since = world.now() - (spec.rebalance or Rebalance()).settle.seconds
        nodes = {node.name: node for node in await physical_nodes(world)}
        found: dict[str, Mapping[Zone, int] | None] = {}
        async for owner in in_slices(list(world.state.replicasets.values())):
            key = workload_of(owner).key
            if owner.replicas and key in workloads:
                pods = world.state.active_pods_of(owner.uid)
                waits = unsettled(world, owner, pods, since) or any(pod.ready_since > since for pod in pods)
                found[key] = None if waits else pods_by_zone(pods, nodes, spec.zone_key)
        return found

    def left_by_look(self, balance: ZonalBalance, owner: OwnerUid) -> Left | None:
        """Why no pod of a ReplicaSet is moved for this ZonalBalance, as far as its workload was read."""
        return _counted(balance, self._looks.reason(owner))

    async def _admitted(
        self, balance: ZonalBalance, movable: Movable, planned: Callable[[Sequence[MovablePod], Admits], P]
    ) -> tuple[P, dict[str, Left]]:
        """The plan of moves of these pods to nodes that they may use, and why workloads are left.

        A workload that was not read yet is left to the next pass. The plan is computed in a thread, because admission
        requests are answered in the event loop.

        Raises:
            RequestError: a workload of the plan could not be read.
        """
        state, turns, rounds = self._world.state, LookTurns(self._looks), COMPARED_ROUNDS
        left_to: LeftTo = {}

        def admits(pod: MovablePod, name: NodeName) -> bool:
            known, node = state.pods.get(pod.uid), state.nodes.get(name)
            if known is None or node is None:
                return False
            key = _compared_key(balance, known)
            if not rounds and key not in left_to:
                return False
            others = left_to.get(key)
            return self._looks.admits(known.owner_uid, node) and (others is None or name in others)

        def compute() -> tuple[P, dict[str, Left]]:
            pods, left = self._without_left(balance, movable, turns)
            return planned(pods, admits), left

        while True:
            plan, left = await asyncio.to_thread(compute)
            moved = {pod.owner_uid: pod for move in plan.moves if (pod := state.pods.get(move.pod)) is not None}
            owners = ((state.replicasets.get(uid), pod) for uid, pod in moved.items())
            if await turns.read([(owner, pod) for owner, pod in owners if owner is not None]):
                continue
            if not rounds or await self._compared(balance, plan.moves, left_to):
                return plan, left
            rounds -= 1

    async def _compared(self, balance: ZonalBalance, moves: Sequence[ZoneMove | Move], left_to: LeftTo) -> bool:
        """Compare the pods of a plan with other pods; False if these do not leave a target to one of them.

        At most `PLANNED_MOST` pods are compared for one plan; of the others the scheduler decides.
        """
        agrees = True
        async for move in in_slices(moves):
            pod = self._world.state.pods.get(move.pod)
            if pod is None or ((key := _compared_key(balance, pod)) not in left_to and len(left_to) == PLANNED_MOST):
                continue
            if key not in left_to:
                left_to[key] = self._left_to(balance, pod)
            left = left_to[key]
            agrees = agrees and (left is None or move.target in left)
        return agrees

    def _left_to(self, balance: ZonalBalance, pod: PodRecord) -> frozenset[NodeName] | None:
        """The nodes to which other pods let a pod move; None for all. By Surge it is there itself meanwhile."""
        state, look = self._world.state, self._looks.get(pod.owner_uid)
        owner = state.replicasets.get(pod.owner_uid)
        if look is None or look.fit is None or owner is None:
            return None
        may_run = filter(look.fit.admits, state.nodes.values())
        without = pod.uid if _evicts(balance) else NO_POD
        return nodes_left(state, incoming(look.fit, owner), may_run, without=without)

    def _without_left(
        self, balance: ZonalBalance, movable: Movable, turns: LookTurns
    ) -> tuple[list[MovablePod], dict[str, Left]]:
        """The pods without those of workloads against which their own objects speak, and why workloads are left."""
        state, pods, left = self._world.state, list[MovablePod](), dict(movable.left)
        for pod in movable.pods:
            known = state.pods.get(pod.uid)
            owner = None if known is None else state.replicasets.get(known.owner_uid)
            # Of a ReplicaSet that is gone, nothing can be read.
            if known is None or owner is None or not turns.is_known(owner):
                continue
            reason = _counted(balance, turns.reason(owner, known))
            if reason is None:
                pods.append(pod)
            else:
                left[pod.workload] = reason
        return pods, left

    def _lasting(self, nodes: Iterable[NodeRecord]) -> Iterable[NodeRecord]:
        """The nodes that no node autoscaler adds and removes: elastic ones may leave a zone that is not down."""
        return (node for node in nodes if self._world.governance.elastic_owner(node) is None)

    def _node(self, node: NodeRecord, percent: float, zone_key: str) -> LoadedNode:
        usage = self._world.state.node_usage
        found = LoadedNode.of(
            node,
            usage.free_on(node),
            zone_key,
            percent=percent,
            extended=usage.all_extended_free_on(node),
            host_ports=tuple(usage.ports_on(node.name)),
        )
        # A pod that went to an empty elastic node would keep it from the node autoscaler.
        idle = self._world.governance.elastic_owner(node) is not None and not leaving(self._world, node.name)
        return replace(found, accepts=False) if idle else found


def _beside(nodes: Sequence[LoadedNode], others: Iterable[MoveUnderWay]) -> Sequence[LoadedNode]:
    """The nodes with how many of the moves of other resources leave and come to each."""
    lately = [one for one in others if one.lately]
    gone, come = Counter(one.pod.node for one in lately), Counter(one.target for one in lately)
    return [replace(one, others_gone=gone[one.name], others_come=come[one.name]) for one in nodes]


def _evicts(balance: ZonalBalance) -> bool:
    return balance.spec.rebalance is not None and balance.spec.rebalance.by == "Evict"


def _counted(balance: ZonalBalance, reason: Left | None) -> Left | None:
    """What was read of a workload, as far as it counts for the moves of this ZonalBalance."""
    return None if _evicts(balance) and reason not in _AGAINST_EVICTION else reason


def _compared_key(balance: ZonalBalance, pod: PodRecord) -> tuple[OwnerUid, NodeName]:
    """What decides where other pods leave a place: by Surge, the pod that is moved stays, so its node does not."""
    return pod.owner_uid, pod.node if _evicts(balance) else NodeName("")


def _in_fullest_zone(
    nodes: Mapping[NodeName, NodeRecord],
    counted: Mapping[NodeName, NodeRecord],
    zones: Collection[Zone],
    balance: ZonalBalance,
) -> Callable[[Collection[PodRecord]], list[PodRecord]]:
    """What chooses, of a workload whose zones differ by more than `maxSkew`, the pods in the fullest zone.

    They are on these `nodes`; the zones are `counted` over more of them.
    """
    zone_key, max_skew = balance.spec.zone_key, balance.spec.max_skew

    def chosen(pods: Collection[PodRecord]) -> list[PodRecord]:
        zone = fullest_zone(pods_by_zone(pods, counted, zone_key), zones, max_skew)
        there = (pod for pod in pods if pod.node in nodes and not nodes[pod.node].leaves)
        return [] if zone is None else [pod for pod in there if nodes[pod.node].zone_by(zone_key) == zone]

    return chosen
