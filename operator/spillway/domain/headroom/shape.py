"""The shape of a pod or of a unit of headroom: what it requests, and how many fit where.

Contract: pure. Amounts are millicores and bytes. A shape of zero in one resource is limited by the other alone; one of
zero in both fits nowhere, because nothing is known of it.
"""

from collections.abc import Mapping
from typing import Final

from spillway.domain.model.pod_size import PodSize
from spillway.domain.model.usage import Usage

COMMON_SHARE: Final = 0.05
"""The share of all replicas from which a request is common: the largest of a single pod would make every unit large."""
_KEPT_UP_TO: Final = 1.5
"""A unit that still covers what is common stays until it is larger than that by this factor."""


class Shape(PodSize):
    """What one pod requests."""

    __slots__ = ()

    @property
    def known(self) -> bool:
        """Whether it requests anything."""
        return self.cpu_millis > 0 or self.memory_bytes > 0

    def fits(self, into: "Shape") -> int:
        """How many of this shape fit into the other."""
        limits = [there // one for one, there in zip(self, into, strict=True) if one > 0]
        return max(0, min(limits, default=0))

    def fits_free(self, free: Usage) -> int:
        """How many of this shape fit into the free room of a node."""
        return max(0, min(self.fits(Shape(free.cpu_millis, free.memory_bytes)), free.pods))


def units_for(shape: Shape, unit: Shape) -> int:
    """The units that one pod takes that does not fit into one; at least 1."""
    return max((-(-one // there) for one, there in zip(shape, unit, strict=True) if there > 0), default=1) or 1


def in_units(requests: Mapping[Shape, int], unit: Shape) -> int:
    """How many units all of these replicas take, in the resource of which each takes most."""
    return round(sum(replicas * _part(shape, unit) for shape, replicas in requests.items()))


def _part(shape: Shape, unit: Shape) -> float:
    return max((one / there for one, there in zip(shape, unit, strict=True) if there > 0), default=0.0)


def common_unit(
    requests: Mapping[Shape, int], before: Shape | None = None, *, node: Shape | None = None
) -> Shape | None:
    """The largest common request of workloads, given as the replicas with each request, each resource by itself.

    A pod of any workload whose request is common fits into one unit. `before` is the present unit, which is kept while
    it fits nearly as well, because a new unit replaces every balloon. What no elastic node of the size `node` holds is
    not considered while anything else is known. None where nothing is known.
    """
    counted = {shape: replicas for shape, replicas in requests.items() if shape.known}
    if node is not None:
        counted = {shape: replicas for shape, replicas in counted.items() if node.covers(shape)} or counted
    enough = COMMON_SHARE * sum(counted.values())
    common = [shape for shape, replicas in counted.items() if replicas >= enough]
    if not common:
        # Many workloads of different shapes: each of them is rare.
        common = [shape for shape, replicas in counted.items() if replicas]
    if not common:
        return before
    unit = Shape(max(one.cpu_millis for one in common), max(one.memory_bytes for one in common))
    if before is not None and before.covers(unit):
        widest = Shape(int(unit.cpu_millis * _KEPT_UP_TO), int(unit.memory_bytes * _KEPT_UP_TO))
        if widest.covers(before):
            return before
    return unit
