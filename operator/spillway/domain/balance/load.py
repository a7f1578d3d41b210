"""The real load of nodes: one reading after the other, checked and smoothed.

Contract: pure. The load of a node is the weighted mean of its shares of CPU and memory in use, in percent of what it
can allocate. A reading counts if it has a believable value for at least `LEAST_SHARE` of the nodes; another one changes
nothing, and the loads of the last good reading stay until they are older than the caller allows. Then there are no
loads: whoever compares nodes finds all of them equal, and whoever acts on them waits. The next good reading ends that.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from types import MappingProxyType
from typing import Final

from spillway.api.zonalbalance import Load
from spillway.domain.model.names import NodeName
from spillway.domain.model.usage import Usage

LEAST_SHARE: Final = 0.8
"""The part of the nodes that a reading must have."""
MOST: Final = 2.0
"""A larger share in use is no load: a node may use a little more than it can allocate, but never twice as much."""
SMOOTHING_SECONDS: Final = 60.0
"""After so long a change of the load shows to two thirds: a peak of seconds makes no node hot."""
COUNTED_SECONDS: Final = 5 * SMOOTHING_SECONDS
"""A change that came so long before a reading shows in it, but for less than one percent."""
YOUNG_SECONDS: Final = 120.0
"""A node that is younger need not have a value: its kubelet has been measured once or never."""


@dataclass(frozen=True, slots=True)
class NodeShare:
    """The shares of one node's allocatable amounts that are in use, 0 to 1, at a time in Unix seconds."""

    cpu: float
    at: float
    memory: float | None = None
    """None where only CPU is read."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight of each resource; at least one is above 0."""

    cpu: float = 70.0
    memory: float = 30.0


def weights_of(load: Load) -> Weights:
    """The weights of a ZonalBalance's load; CPU alone where its queries do not ask for memory."""
    if load.queries is not None and load.queries.memory is None:
        return Weights(1, 0)
    found = load.effective_weights
    return Weights(found.cpu, found.memory)


@dataclass(frozen=True, slots=True)
class LoadProblem:
    """Why the newest reading does not count: a word for a condition, and a sentence without a full stop."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Loads:
    """What is known of the load of a set of nodes."""

    percent: Mapping[NodeName, float] = field(default_factory=lambda: MappingProxyType({}))
    """The smoothed load of each node that the last good reading had."""
    at: float = 0.0
    """Unix seconds of the last good reading; 0.0 if there was none."""
    problem: LoadProblem | None = None
    """Of the newest reading; None if it was good."""
    first: Mapping[NodeName, float] = field(default_factory=lambda: MappingProxyType({}))
    """Unix seconds of the measurement with which the smoothing of a node began; only of the last `COUNTED_SECONDS`."""

    def current(self, now: float, stale_after: float) -> Mapping[NodeName, float]:
        """The loads to act on; empty if they are older than `stale_after` seconds."""
        return self.percent if self.at and now - self.at <= stale_after else MappingProxyType({})


def following(before: Loads, shares: Mapping[NodeName, NodeShare], weights: Weights, *, now: float) -> Loads:
    """The loads after a good reading; a node that is not in it has none any more."""
    kept = math.exp(-max(now - before.at, 0.0) / SMOOTHING_SECONDS)
    found: dict[NodeName, float] = {}
    first: dict[NodeName, float] = {}
    for name, share in shares.items():
        new = percent_of(share.cpu, share.memory, weights)
        old = before.percent.get(name)
        found[name] = new if old is None else new + (old - new) * kept
        began = share.at if old is None else before.first.get(name, -math.inf)
        if now - began < COUNTED_SECONDS:
            first[name] = began
    return Loads(MappingProxyType(found), now, first=MappingProxyType(first))


def checked(
    shares: Mapping[NodeName, NodeShare], wanted: Collection[NodeName], *, now: float, stale_after: float
) -> Mapping[NodeName, NodeShare] | LoadProblem:
    """The believable values of the wanted nodes, or why the reading does not count."""
    if not wanted:
        return LoadProblem("NoNodes", "no ready node is selected, or all of them joined less than two minutes ago")
    present = {name: shares[name] for name in wanted if name in shares}
    fresh = {name: share for name, share in present.items() if now - share.at <= stale_after}
    good = {name: share for name, share in fresh.items() if _believable(share)}
    if len(good) >= LEAST_SHARE * len(wanted):
        return good
    counted = f"{len(good)} of {len(wanted)} nodes have a usable value, and {LEAST_SHARE:.0%} of them must"
    if len(good) < LEAST_SHARE * len(fresh):
        example = min(name for name in fresh if name not in good)
        return LoadProblem("AbsurdLoad", f"{counted}: that of {example} is negative, no number or above {MOST:.0%}")
    if len(fresh) < LEAST_SHARE * len(present):
        example = min(name for name in present if name not in fresh)
        return LoadProblem("OldLoad", f"{counted}: that of {example} is {now - present[example].at:.0f} s old")
    return LoadProblem("PartialLoad", counted)


@dataclass(frozen=True, slots=True)
class Evenness:
    """How even the load of a set of nodes is."""

    zones: Mapping[str, float]
    """The mean load of each zone's nodes, in percent; only zones with a known load."""
    imbalance: float | None
    """Percentage points between the most and the least loaded node; None if no load is known."""


def evenness(percent: Mapping[NodeName, float], zone_of: Mapping[NodeName, str]) -> Evenness:
    """How even the loads of the nodes in `zone_of` are."""
    by_zone: dict[str, list[float]] = {}
    for name, zone in zone_of.items():
        if name in percent:
            by_zone.setdefault(zone, []).append(percent[name])
    known = [load for loads in by_zone.values() for load in loads]
    return Evenness({zone: fmean(loads) for zone, loads in by_zone.items()}, max(known) - min(known) if known else None)


def percent_of(cpu: float, memory: float | None, weights: Weights) -> float:
    """The load of these shares in percent; that of CPU alone where memory is not read."""
    if memory is None:
        return 100 * cpu
    return 100 * (weights.cpu * cpu + weights.memory * memory) / (weights.cpu + weights.memory)


def load_points(cpu_millis: float, memory_bytes: float, allocatable: Usage, weights: Weights) -> float:
    """What so much use adds to the load of a node, in percentage points; a resource that it does not have adds none."""
    cpu = cpu_millis / allocatable.cpu_millis if allocatable.cpu_millis else 0.0
    memory = memory_bytes / allocatable.memory_bytes if allocatable.memory_bytes else 0.0
    return percent_of(cpu, memory, weights)


def _believable(share: NodeShare) -> bool:
    return all(0 <= value <= MOST for value in (share.cpu, share.memory) if value is not None)
