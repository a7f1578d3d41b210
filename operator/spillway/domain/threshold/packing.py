"""The packing of large pods onto nodes: how many replicas of a plan find a node, and not only room in the sum.

Contract: pure. A pod is large where fewer than `SMALL_FROM` of its kind fit on the emptiest node, or where these would
leave more than a ninth of all nodes empty; all others count as fluid, because what they leave of a node is small. At
each step of the cycle minima are placed first and replicas beyond the cycle last; workloads of a higher priority before
others; and larger pods before smaller ones (first fit decreasing). Thresholds are only lowered, never below the
minimum, so `lowered` may be applied to any plan. Where there are so many large workloads and nodes that each step would
take too long, the steps of a stretch of the day are placed together with the most that each workload needs there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spillway.domain.threshold.demand import SLACK, Demand
from spillway.domain.threshold.node_groups import NodeGroup

SMALL_FROM: Final = 8
"""From so many on a node, pods count as fluid: what they leave of a node is at most a ninth."""
_CELLS: Final = 10_000_000
"""Workloads x nodes x steps that are placed within a second or so."""
_FEWEST_STEPS: Final = 12
_AGAIN: Final = 20

_Table = NDArray[np.float64]


class Requests(NamedTuple):
    """The requests of one replica; 0 for none."""

    cores: float
    gib: float = 0.0


def fitting(requests: Requests, room: NodeGroup, *, memory: bool = True) -> float:
    """How many replicas fit on an empty node with this room; infinite for one that requests nothing."""
    by_cores = math.floor(room.cores / requests.cores + SLACK) if requests.cores > 0 else math.inf
    by_memory = math.floor(room.gib / requests.gib + SLACK) if memory and requests.gib > 0 else math.inf
    return min(by_cores, by_memory)


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """The nodes that a plan may use."""

    rooms: tuple[NodeGroup, ...]

    @property
    def memory(self) -> bool:
        """Whether the memory of the nodes is known."""
        return any(0 < room.gib < math.inf for room in self.rooms)

    def places(self, requests: Requests) -> float:
        """The most replicas of one workload that fit on all nodes together."""
        return sum(room.count * fitting(requests, room, memory=self.memory) for room in self.rooms)

    def is_large(self, requests: Requests) -> bool:
        """Whether pods of this size have to be placed node by node."""
        most = max((fitting(requests, room, memory=self.memory) for room in self.rooms), default=0.0)
        return most < SMALL_FROM or self._filled(requests) < SMALL_FROM / (SMALL_FROM + 1)

    def _filled(self, requests: Requests) -> float:
        """The part of the cores, or of the memory if that is more, that pods of this size alone could fill."""
        places = self.places(requests)
        if math.isinf(places):
            return 1.0
        cores = sum(room.count * room.cores for room in self.rooms)
        gib = sum(room.count * room.gib for room in self.rooms)
        return max(
            places * requests.cores / cores if cores > 0 else 0.0, places * requests.gib / gib if gib > 0 else 0.0
        )


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Thresholds whose replicas all find a node, as far as minima leave it possible."""

    thresholds: Mapping[str, int]
    unplaced_cores: float
    """Cores of minima that find no node, at the worst step."""
    unplaced: tuple[str, ...] = ()
    """The workloads of these minima."""


class Packing:
    """The large workloads of a plan and the nodes that they share."""

    def __init__(self, demands: Sequence[Demand], requests: Mapping[str, Requests], nodes: Nodes) -> None:
        """`requests` by workload."""
        large = [one for one in demands if nodes.is_large(requests[one.workload])]
        self._large = sorted(large, key=lambda one: _order(one, requests[one.workload], nodes))
        self._requests = [requests[one.workload] for one in self._large]
        self._per_replica = np.array([one.cpu_cores for one in self._large])
        # The smallest node first: a large one stays free for what fits on no other.
        rooms = sorted(nodes.rooms, key=lambda room: (room.cores, room.gib))
        counts = [room.count for room in rooms]
        self._cores = np.repeat([room.cores for room in rooms], counts)
        self._gib = np.repeat([room.gib if nodes.memory else math.inf for room in rooms], counts)

    def lowered(self, thresholds: Mapping[str, int]) -> Packed:
        """These thresholds, each as high as its replicas find nodes."""
        found = dict(thresholds)
        if not self._large:
            return Packed(MappingProxyType(found), 0.0)
        unplaced = np.zeros((len(self._large), 1))
        for _ in range(_AGAIN):
            wanted, placed, unplaced = self._place(found)
            lower = {
                one.workload: _fewer(one, found[one.workload], wanted[row], placed[row])
                for row, one in enumerate(self._large)
                if (placed[row] < wanted[row]).any()
            }
            if all(found[name] <= count for name, count in lower.items()):
                break
            found |= {name: min(found[name], count) for name, count in lower.items()}
        whose = tuple(one.workload for row, one in enumerate(self._large) if (unplaced[row] > 0).any())
        return Packed(MappingProxyType(found), float((self._per_replica @ unplaced).max()), whose)

    def _place(self, thresholds: Mapping[str, int]) -> tuple[_Table, _Table, _Table]:
        """By workload and step: the replicas that are wanted, those that found a node, and minima that found none."""
        counts = [thresholds[one.workload] for one in self._large]
        levels = self._stretched(np.array([one.whole_replicas() for one in self._large]))
        levels = np.minimum(levels, np.array(counts)[:, None])
        wanted = levels + np.array([one.beyond(count) for one, count in zip(self._large, counts, strict=True)])[:, None]
        minima = np.minimum(levels, np.array([one.minimum for one in self._large])[:, None])
        free = (
            np.tile(self._cores, (wanted.shape[1], 1)),
            np.tile(self._gib, (wanted.shape[1], 1)),
        )
        placed = np.zeros_like(wanted)
        # Replicas beyond the cycle have what all others leave.
        for part in (minima, levels, wanted):
            for row, requests in enumerate(self._requests):
                missing = part[row] - placed[row]
                if (missing > 0).any():
                    placed[row] += _first_fit(missing, requests, *free)
            if part is minima:
                unplaced = minima - placed
        return wanted, placed, unplaced

    def _stretched(self, wanted: _Table) -> _Table:
        """The most of each stretch of steps that is placed together."""
        workloads, steps = wanted.shape
        most = max(_CELLS // (workloads * max(1, self._cores.size)), _FEWEST_STEPS)
        parts = max((part for part in range(1, steps + 1) if steps % part == 0 and part <= most), default=1)
        stretched: _Table = wanted.reshape(workloads, parts, -1).max(axis=2)
        return stretched


def _first_fit(missing: _Table, requests: Requests, cores: _Table, gib: _Table) -> _Table:
    """Place so many replicas at each step on the first nodes with room, which is taken; return how many found one."""
    fits = np.full(cores.shape, np.inf)
    if requests.cores > 0:
        fits = np.floor(cores / requests.cores + SLACK)
    if requests.gib > 0:
        fits = np.minimum(fits, np.floor(gib / requests.gib + SLACK))
    before = np.cumsum(fits, axis=1) - fits
    taken = np.clip(missing[:, None] - before, 0.0, fits)
    cores -= taken * requests.cores
    if requests.gib > 0:
        gib -= taken * requests.gib
    found: _Table = taken.sum(axis=1)
    return found


def _order(demand: Demand, requests: Requests, nodes: Nodes) -> tuple[int, float, float, str]:
    """Higher priorities first, then what fewer fit of on a node, then what is needed for longer."""
    most = max((fitting(requests, room, memory=nodes.memory) for room in nodes.rooms), default=0.0)
    return -demand.priority, most, -float(demand.whole_replicas().mean()) * demand.cpu_cores, demand.workload


def _fewer(demand: Demand, threshold: int, wanted: _Table, placed: _Table) -> int:
    """The threshold without what finds no node; what is beyond the cycle goes first."""
    missing = wanted - placed
    beyond = demand.beyond(threshold)
    if beyond:
        return threshold - min(beyond, int(missing.max()))
    return max(demand.minimum, int(placed[missing > 0].min()))
