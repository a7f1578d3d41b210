"""The size of a policy's headroom in units, and their spread over zones.

Contract: pure; the same plan in production and in a backtest. The units are enough for every replica that the governed
workloads are expected to start while a node starts, less those that find room on fixed nodes. Free room on elastic
nodes is not taken off: the units are held there first, and only those that find none make an autoscaler add a node.
`max`, the elastic tier's `maxNodes` and `MOST_UNITS` bound whatever is asked for. Each zone gets as many units as any
other, or one more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from spillway.api.headroom import Headroom, HeadroomAmount, HeadroomSchedule
from spillway.domain.fit.room import Free
from spillway.domain.headroom.shape import Shape, units_for
from spillway.domain.model.names import Zone

MOST_UNITS: Final = 1000
"""More units than this are never asked for, whatever a policy or a forecast says."""
_OPEN_UNITS: Final = 32
"""Units that are filled at a time; the fullest is given up, which wastes a little room and bounds the work."""


class HeadroomReason(StrEnum):
    """What the size follows from."""

    NOTHING = "NoRise"
    """No rise is expected, and nothing else asks for headroom."""
    FORECAST = "Forecast"
    MINIMUM = "Minimum"
    SCHEDULE = "Schedule"
    MAXIMUM = "Maximum"
    """More is needed than the bounds allow."""
    HELD = "Held"
    """Less is needed, but not for long enough."""


@dataclass(frozen=True, slots=True)
class Rising:
    """A workload and the replicas that it is expected to start."""

    workload: str
    replicas: int
    shape: Shape
    """What one replica requests."""


@dataclass(frozen=True, slots=True)
class HeadroomNeeds:
    """Everything that a size follows from."""

    spec: Headroom
    unit: Shape
    rising: Sequence[Rising] = ()
    active: Sequence[HeadroomSchedule] = ()
    """The schedules that hold now."""
    free_fixed: Sequence[Free] = ()
    """The free room of fixed nodes, one entry a node."""
    waiting: Sequence[Rising] = ()
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


def size(needs: HeadroomNeeds) -> HeadroomSize:
    """The units that are wanted now."""
    forecast = _forecast(needs) if needs.spec.from_ == "Forecast" else 0
    found = [(forecast, HeadroomReason.FORECAST, "")]
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


def _forecast(needs: HeadroomNeeds) -> int:
    rooms = [one for one in needs.free_fixed if one.pods > 0]
    for one in needs.waiting:
        _placed(rooms, one)
    return units_of(needs.rising, needs.unit, rooms)


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


def units_of(rising: Sequence[Rising], unit: Shape, free: Sequence[Free]) -> int:
    """Units whose room holds all of these replicas that find none in `free`; never more than `MOST_UNITS`."""
    largest_first = sorted(
        (one for one in rising if one.replicas > 0 and one.shape.known),
        key=lambda one: (-one.shape.cpu_millis, -one.shape.memory_bytes, one.workload),
    )
    rooms = [one for one in free if one.pods > 0]
    units, started = 0, list[Shape]()
    for one in largest_first:
        left = one.replicas - _placed(rooms, one)
        if not unit.covers(one.shape):
            units += left * units_for(one.shape, unit)
        else:
            left = _filled(started, one.shape, left)
            each = min(one.shape.fits(unit), max(left, 1))
            whole, rest = divmod(left, each)
            units += whole + (rest > 0)
            started.extend(_less(unit, one.shape, each) for _ in range(min(whole, _OPEN_UNITS)))
            if rest:
                started.append(_less(unit, one.shape, rest))
            started = sorted((room for room in started if room.known), reverse=True)[:_OPEN_UNITS]
        if units >= MOST_UNITS:
            return MOST_UNITS
    return units


def spread(pods: int, zones: Sequence[Zone]) -> Mapping[Zone, int]:
    """The units of each zone; a zone that gets none is left out. Without zones all are in none in particular."""
    names = sorted(set(zones)) or [Zone("")]
    each, more = divmod(pods, len(names))
    found = {zone: each + (index < more) for index, zone in enumerate(names)}
    return MappingProxyType({zone: count for zone, count in found.items() if count})


def _placed(rooms: list[Free], one: Rising) -> int:
    """How many replicas find room in `rooms`, which is taken off."""
    left = one.replicas
    for index, room in enumerate(rooms):
        if not left:
            break
        count = min(left, one.shape.fits_free(room))
        if count:
            cpu, memory = count * one.shape.cpu_millis, count * one.shape.memory_bytes
            rooms[index] = Free(room.cpu_millis - cpu, room.memory_bytes - memory, room.pods - count)
            left -= count
    return one.replicas - left


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
