"""The size of a policy's headroom in units, and their spread over zones.

Contract: pure; the same plan in production and in a backtest. The units are enough for every replica that the governed
workloads are expected to start while a node starts, less those that find room on fixed nodes on which they may run.
Free room on elastic nodes is not taken off: the units are held there first, and only those that find none make an
autoscaler add a node.
`max`, the elastic tier's `maxNodes` and `MOST_UNITS` bound whatever is asked for. Each zone gets as many units as any
other, or one more.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from spillway.api.headroom import Headroom, HeadroomAmount, HeadroomSchedule
from spillway.domain.headroom.shape import Shape, units_for
from spillway.domain.model.names import Zone
from spillway.domain.model.usage import Usage

MOST_UNITS: Final = 1000
"""More units than this are never asked for, whatever a policy or a forecast says."""
_OPEN_UNITS: Final = 32
"""Units that are filled at a time; the fullest is given up, which wastes a little room and bounds the work."""


class HeadroomReason(StrEnum):
    """What the size follows from."""

    NOTHING = "NoRise"
    """No rise is expected, and nothing else asks for headroom."""
    FORECAST = "Forecast"
    FORECAST_STALE = "ForecastStale"
    """The forecasts are out of date: what they asked for before is kept."""
    MINIMUM = "Minimum"
    SCHEDULE = "Schedule"
    MAXIMUM = "Maximum"
    """More is needed than the bounds allow."""
    HELD = "Held"
    """Less is needed, but not for long enough."""


class Replica(NamedTuple):
    """A replica, as far as the room for it goes."""

    shape: Shape
    node_rules: str | None = ""
    """What its template says about nodes, as `ReplicaSetRecord.node_rules`."""


@dataclass(frozen=True, slots=True)
class FixedRooms:
    """The free room of fixed nodes, and which replicas may run on which of them."""

    free: Sequence[Usage] = ()
    """One entry a node."""
    open_to: Mapping[str, int] = field(default_factory=dict)
    """By `node_rules`: bit `i` is set if replicas with them may run on the node of `free[i]`."""

    def nodes(self, rules: str | None) -> int:
        """The nodes on which replicas with these `node_rules` may run; none where this is not known."""
        if rules == "":
            return (1 << len(self.free)) - 1
        return self.open_to.get(rules, 0) if rules is not None else 0


@dataclass(frozen=True, slots=True)
class HeadroomNeeds:
    """Everything that a size follows from."""

    spec: Headroom
    unit: Shape
    rising: Mapping[Replica, int] = field(default_factory=dict)
    """The replicas that governed workloads are expected to start."""
    active: Sequence[HeadroomSchedule] = ()
    """The schedules that hold now."""
    fixed: FixedRooms = field(default_factory=FixedRooms)
    waiting: Mapping[Replica, int] = field(default_factory=dict)
    """Pods that wait for a node already; they are served from this room first."""
    node: Shape | None = None
    """What one elastic node has for pods, without those of DaemonSets; None while no elastic node has been seen."""
    max_nodes: int | None = None
    """`maxNodes` of the elastic tier."""

    @property
    def units_per_node(self) -> int:
        """The units that one elastic node holds; 1 while its size is not known, so that the first node tells it."""
        return max(1, self.unit.fits(self.node)) if self.node is not None else 1


@dataclass(frozen=True, slots=True)
class HeadroomSize:
    """The size of a policy's headroom."""

    pods: int
    reason: HeadroomReason
    schedule: str = ""
    """The schedule that gives the size, for the reason SCHEDULE."""
    forecast: int = 0
    """The units that the expected rise alone would take, also where other bounds count."""


def size(needs: HeadroomNeeds, forecast: int, *, stale: bool = False) -> HeadroomSize:
    """The units that are wanted now, given the last of `rise_units`; `stale` if it comes from past forecasts."""
    found = [(forecast, HeadroomReason.FORECAST_STALE if stale else HeadroomReason.FORECAST, "")]
    if needs.spec.min is not None:
        found.append((amount(needs.spec.min, needs.units_per_node), HeadroomReason.MINIMUM, ""))
    found.extend(
        (amount(one, needs.units_per_node), HeadroomReason.SCHEDULE, one.name)
        for one in sorted(needs.active, key=lambda one: one.name)
    )
    pods, reason, schedule = max(found, key=lambda one: one[0])
    most = most_units(needs)
    if pods > most:
        return HeadroomSize(most, HeadroomReason.MAXIMUM, forecast=forecast)
    return HeadroomSize(pods, reason if pods else HeadroomReason.NOTHING, schedule if pods else "", forecast)


def most_units(needs: HeadroomNeeds) -> int:
    """The bound of the size."""
    most = MOST_UNITS
    if needs.spec.max is not None:
        most = min(most, amount(needs.spec.max, needs.units_per_node))
    if needs.max_nodes is not None:
        most = min(most, needs.max_nodes * needs.units_per_node)
    return most


def amount(given: HeadroomAmount | HeadroomSchedule, units_per_node: int) -> int:
    """An amount of a spec in units."""
    if given.pods is not None:
        return given.pods
    return (given.nodes or 0) * units_per_node


def rise_units(needs: HeadroomNeeds) -> Iterator[int]:
    """Units whose room holds the expected rise as far as it finds none on fixed nodes; never more than `MOST_UNITS`.

    It looks at one kind of replica after another and gives a number after each, so that the caller may pause in
    between; the last number counts. Nothing is given where no rise counts.
    """
    rising = _largest_first(needs.rising) if needs.spec.from_ == "Forecast" else []
    if not rising:
        return
    waiting = _largest_first(needs.waiting)
    rooms = _Rooms(needs.fixed, [replica.shape for replica, _ in (*waiting, *rising)])
    for replica, count in waiting:
        rooms.place(replica, count)
        yield 0
    units, started = 0, list[Shape]()
    for replica, count in rising:
        shape = replica.shape
        left = count - rooms.place(replica, count)
        if not needs.unit.covers(shape):
            units += left * units_for(shape, needs.unit)
        else:
            left = _filled(started, shape, left)
            each = min(shape.fits(needs.unit), max(left, 1))
            whole, rest = divmod(left, each)
            units += whole + (rest > 0)
            started.extend(_less(needs.unit, shape, each) for _ in range(min(whole, _OPEN_UNITS)))
            if rest:
                started.append(_less(needs.unit, shape, rest))
            started = sorted((room for room in started if room.known), reverse=True)[:_OPEN_UNITS]
        if units >= MOST_UNITS:
            yield MOST_UNITS
            return
        yield units


def _largest_first(counts: Mapping[Replica, int]) -> list[tuple[Replica, int]]:
    known = [(replica, count) for replica, count in counts.items() if count > 0 and replica.shape.known]
    return sorted(known, key=lambda one: (one[0].shape, one[0].node_rules or "", one[1]), reverse=True)


def spread(pods: int, zones: Sequence[Zone]) -> Mapping[Zone, int]:
    """The units of each zone; a zone that gets none is left out. Without zones all are in none in particular."""
    names = sorted(set(zones)) or [Zone("")]
    each, more = divmod(pods, len(names))
    found = {zone: each + (index < more) for index, zone in enumerate(names)}
    return MappingProxyType({zone: count for zone, count in found.items() if count})


class _Rooms:
    """The free room of nodes, one node after another, without those that take none of these shapes."""

    def __init__(self, rooms: FixedRooms, shapes: Iterable[Shape]) -> None:
        cpus, memories = zip(*(_floors(shape) for shape in shapes), strict=True)
        cpu, memory = min(cpus), min(memories)
        usable = [
            (node, free)
            for node, free in enumerate(rooms.free)
            if free.pods > 0 and free.cpu_millis >= cpu and free.memory_bytes >= memory
        ]
        self._rooms = rooms
        self._nodes = [node for node, _ in usable]
        self._cpu = [free.cpu_millis for _, free in usable]
        self._memory = [free.memory_bytes for _, free in usable]
        self._pods = [free.pods for _, free in usable]

    def place(self, replica: Replica, replicas: int) -> int:
        """How many of the replicas find room, which is taken off."""
        shape, rules = replica
        least_cpu, least_memory = _floors(shape)
        cpu, memory = shape
        left = replicas
        nodes = self._rooms.nodes(rules)
        if not nodes:
            return 0
        for index, there in enumerate(self._cpu):
            if there < least_cpu or self._memory[index] < least_memory or not nodes >> self._nodes[index] & 1:
                continue
            count = min(left, self._pods[index])
            if cpu:
                count = min(count, there // cpu)
            if memory:
                count = min(count, self._memory[index] // memory)
            self._cpu[index] -= count * cpu
            self._memory[index] -= count * memory
            self._pods[index] -= count
            left -= count
            if not left:
                break
        return replicas - left


def _floors(shape: Shape) -> tuple[float, float]:
    """The least CPU and memory that a node has to have left; what is not requested is no bound."""
    return (shape.cpu_millis or -math.inf, shape.memory_bytes or -math.inf)


def _filled(started: list[Shape], shape: Shape, replicas: int) -> int:
    """How many replicas are left once the room of started units is used, which is taken off."""
    for index, room in enumerate(started):
        if not replicas:
            break
        count = min(replicas, shape.fits(room))
        started[index] = _less(room, shape, count)
        replicas -= count
    return replicas


def _less(room: Shape, shape: Shape, count: int) -> Shape:
    return Shape(room.cpu_millis - count * shape.cpu_millis, room.memory_bytes - count * shape.memory_bytes)
