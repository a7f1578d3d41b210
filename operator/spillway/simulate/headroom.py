"""The headroom of a replay: sized by the production planner, and held by a model of balloons.

Contract: one pass a step, after the scheduler's. How many units are wanted and for how long, the zones that get them,
which balloons leave first, and which node they leave so that it can go, is decided as in production. Balloons are a
number on each elastic node, and in each zone a number of those that wait for a node; the node autoscaler orders nodes
for these. A balloon goes to the node of its zone with most pods that has room, and leaves for any pod that finds no
room elsewhere. Left out: CapacityBuffers, zones that have no elastic node to offer, and the seconds within which a
balloon is deleted and created.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spillway.api.headroom import Headroom
from spillway.domain.headroom.hold import HOLD_SECONDS, Hold
from spillway.domain.headroom.leaving import MOVED_SECONDS, BalloonNode, leaving_key, nodes_to_empty
from spillway.domain.headroom.shape import Shape, common_unit, in_units
from spillway.domain.headroom.size import (
    FixedRooms,
    HeadroomNeeds,
    Replica,
    most_units,
    rise_units,
    size,
    spread,
)
from spillway.domain.model.names import NodeName, Zone
from spillway.domain.model.recurring import Timetable
from spillway.domain.model.units import GIB
from spillway.simulate.cluster import SimCluster, SimPod
from spillway.simulate.hpa import Ints
from spillway.simulate.scenario import ZONES, Scenario


@dataclass(frozen=True, slots=True, eq=False)
class HeadroomRules:
    """How a contender keeps headroom."""

    spec: Headroom
    rises: Callable[[int, Ints], Mapping[int, int]]
    """Given a step and the replicas that each workload requests: the replicas that workloads are expected to start
    while a node starts, for each workload that is expected to start any."""


class SimHeadroom:
    """The headroom of one replay."""

    def __init__(self, scenario: Scenario, cluster: SimCluster, rules: HeadroomRules) -> None:
        self._scenario = scenario
        self._cluster = cluster
        self._rules = rules
        self._timetable = Timetable(rules.spec.schedules)
        self._zones = sorted({cluster.zone_of(slot) for slot in cluster.elastic_slots})
        self._shapes = [Shape(round(one.cpu * 1000), round(one.memory * GIB)) for one in scenario.workloads]
        self._node: Shape | None = None
        self._unit: Shape | None = None
        self._hold = Hold()
        self._moved: dict[NodeName, float] = {}

    def keep(self, step: int, replicas: Ints, waiting: Sequence[SimPod], order: Mapping[NodeName, int]) -> None:
        """Keep what is wanted at this step; `order` is the emptying order of elastic nodes."""
        now = self._scenario.time_of(step)
        wanted = self._wanted(step, now, replicas, waiting)
        there = self._count()
        for zone, names in enumerate(ZONES):
            surplus = there[zone] - wanted.get(Zone(names), 0)
            if surplus > 0:
                self._leave(zone, surplus, order)
            self._cluster.balloons_waiting[zone] += max(-surplus, 0)
        self._place()
        self._compact(now, order)

    # The size

    def _wanted(self, step: int, now: float, replicas: Ints, waiting: Sequence[SimPod]) -> Mapping[Zone, int]:
        """The units of each zone."""
        rises = self._rules.rises(step, replicas)
        requests, rising, requested = Counter[Shape](), Counter[Replica](), Counter[Shape]()
        for index, (shape, count, asked) in enumerate(
            zip(self._shapes, self._cluster.of_workload.sum(axis=1).tolist(), replicas.tolist(), strict=True)
        ):
            rise = rises.get(index, 0)
            requests[shape] += count + rise
            rising[Replica(shape)] += rise
            requested[shape] += asked
        cluster, scenario = self._cluster, self._scenario
        if self._node is None and any(cluster.alive[slot] for slot in cluster.elastic_slots):
            self._node = Shape(round(scenario.node_cpu * 1000), round(scenario.node_memory * GIB))
        unit = common_unit(requests, self._unit, node=self._node)
        if self._rules.spec.unit is not None:
            unit = Shape(self._rules.spec.unit.cpu.millis, self._rules.spec.unit.memory.bytes)
        if unit is None or not unit.known:
            return {}
        self._resize(unit)
        needs = HeadroomNeeds(
            spec=self._rules.spec,
            unit=unit,
            rising=rising,
            active=self._timetable.at(now)[0] if self._rules.spec.schedules else (),
            fixed=FixedRooms([cluster.free_on(node) for node in range(scenario.fixed_nodes)] if rises else ()),
            waiting=Counter(Replica(self._shapes[pod.workload]) for pod in waiting),
            node=self._node,
            max_nodes=scenario.elastic_max,
        )
        forecast = 0
        for forecast in rise_units(needs):  # noqa: B007 - the last one counts
            pass
        self._hold = self._hold.then(
            size(needs, forecast).pods, now, seconds=HOLD_SECONDS, replicas=in_units(requested, unit)
        )
        return spread(self._hold.pods(most_units(needs)), self._zones)

    # The balloons

    def _resize(self, unit: Shape) -> None:
        """A new unit replaces every balloon."""
        if unit == self._unit:
            return
        self._unit = unit
        for slot in self._with_balloons():
            self._cluster.evict_balloons(slot)
        self._cluster.balloon_cpu, self._cluster.balloon_memory = unit.cpu_millis / 1000, unit.memory_bytes / GIB

    def _with_balloons(self) -> list[int]:
        return [int(slot) for slot in np.flatnonzero(self._cluster.balloons)]

    def _count(self) -> list[int]:
        """The balloons of each zone."""
        cluster = self._cluster
        found = list(cluster.balloons_waiting)
        for slot in self._with_balloons():
            found[cluster.zone[slot]] += int(cluster.balloons[slot])
        return found

    def _leave(self, zone: int, surplus: int, order: Mapping[NodeName, int]) -> None:
        """Delete balloons: those that wait first, then by their deletion costs."""
        cluster = self._cluster
        first = min(surplus, cluster.balloons_waiting[zone])
        cluster.balloons_waiting[zone] -= first
        left = surplus - first
        nodes = {cluster.names[slot]: slot for slot in self._with_balloons() if cluster.zone[slot] == zone}
        known = {name: self._as_node(slot, order) for name, slot in nodes.items()}
        for name in sorted(nodes, key=lambda name: (leaving_key(known[name]), name)):
            count = min(left, int(cluster.balloons[nodes[name]]))
            cluster.hold_balloons(nodes[name], -count)
            left -= count

    def _place(self) -> None:
        cluster = self._cluster
        for zone in range(len(ZONES)):
            if not cluster.balloons_waiting[zone]:
                continue
            nodes = [
                slot
                for slot in cluster.elastic_slots
                if cluster.alive[slot] and cluster.zone[slot] == zone and slot not in cluster.emptying
            ]
            for slot in sorted(nodes, key=lambda slot: (-int(cluster.pods_on[slot]), slot)):
                count = min(self._room(slot), cluster.balloons_waiting[zone])
                cluster.balloons_waiting[zone] -= count
                cluster.hold_balloons(slot, count)

    def _room(self, slot: int) -> int:
        """The units that fit on a node."""
        return self._unit.fits_free(self._cluster.free_on(slot)) if self._unit is not None else 0

    def _compact(self, now: float, order: Mapping[NodeName, int]) -> None:
        """Move balloons off nodes that could go without them, as long as there are any."""
        cluster, unit = self._cluster, self._unit
        self._moved = {name: at for name, at in self._moved.items() if now - at < MOVED_SECONDS}
        while unit is not None and not any(cluster.balloons_waiting):
            slots = {cluster.names[slot]: slot for slot in cluster.elastic_slots if cluster.alive[slot]}
            if not any(cluster.balloons[slot] and not cluster.on_node[slot] for slot in slots.values()):
                return
            nodes = [self._as_node(slot, order) for slot in slots.values()]
            emptied = nodes_to_empty(nodes, unit, self._moved.keys())
            if not emptied:
                return
            for name in emptied:
                self._moved[name] = now
                cluster.evict_balloons(slots[name])
            self._place()

    def _as_node(self, slot: int, order: Mapping[NodeName, int]) -> BalloonNode:
        cluster = self._cluster
        return BalloonNode(
            name=cluster.names[slot],
            zone=cluster.zone_of(slot),
            order=order.get(cluster.names[slot], 0),
            free=cluster.free_on(slot),
            balloons=int(cluster.balloons[slot]),
            others=len(cluster.on_node[slot]),
            open=slot not in cluster.emptying,
        )
