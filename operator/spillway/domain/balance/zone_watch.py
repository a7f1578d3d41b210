"""Zones that are down: while one is, and for a while after it has come back, no pod is moved.

Contract: no clock of its own. A zone is down once none of its nodes takes pods although some did: they are not ready,
or gone. At the first look, of which nothing is known from before, a zone is down that has nodes of which none is ready;
one whose nodes are only cordoned is not. A zone whose nodes are gone is forgotten after `GONE_SECONDS`, because it may
not come back; one whose nodes are all there under the name of another zone was renamed, and is forgotten at once.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from spillway.domain.model.names import NodeName, Zone

GONE_SECONDS: Final = 3600.0


class WatchedNode(NamedTuple):
    """One node, as far as it says whether its zone is down."""

    name: NodeName
    zone: Zone
    takes_pods: bool
    ready: bool


@dataclass(slots=True)
class ZoneWatch:
    """What is remembered of the zones of one ZonalBalance."""

    _looked: bool = False
    """Whether any nodes were seen yet."""
    _open: set[Zone] = field(default_factory=set)
    _nodes: dict[Zone, set[NodeName]] = field(default_factory=dict)
    """The nodes with which each of the zones that are open, or down, was last seen."""
    _down: dict[Zone, float] = field(default_factory=dict)
    """When a zone that is down was last seen with nodes, in Unix seconds; it is forgotten `GONE_SECONDS` later."""
    _back: dict[Zone, float] = field(default_factory=dict)
    """Since when a zone that was down takes pods again."""

    def look(self, nodes: Iterable[WatchedNode], now: float) -> None:
        """Take note of the zones of these nodes."""
        nodes = list(nodes)
        found = [node for node in nodes if node.zone]
        present, taking = {node.zone for node in found}, {node.zone for node in found if node.takes_pods}
        expected = self._open if self._looked else present - {node.zone for node in found if node.ready}
        self._looked = self._looked or bool(found)
        renamed = self._renamed(nodes, present)
        self._down = {zone: since for zone, since in self._down.items() if zone not in renamed}
        for zone in expected - taking - renamed:
            self._down[zone] = now
        for zone in taking & self._down.keys():
            self._back[zone] = now
        known = self._down.items()
        self._down = {
            zone: now if zone in present else since
            for zone, since in known
            if zone not in taking and (zone in present or now - since < GONE_SECONDS)
        }
        # A time in the future, after the clock was set back, would keep the zone from settling.
        self._back = {zone: min(since, now) for zone, since in self._back.items() if zone in taking}
        self._open = taking
        self._remember_nodes(found)

    def _renamed(self, nodes: Iterable[WatchedNode], present: Collection[Zone]) -> set[Zone]:
        """The zones that are not there, while all of their nodes are."""
        names = {node.name for node in nodes}
        return {zone for zone, had in self._nodes.items() if zone not in present and had <= names}

    def _remember_nodes(self, found: Iterable[WatchedNode]) -> None:
        seen: dict[Zone, set[NodeName]] = defaultdict(set)
        for node in found:
            seen[node.zone].add(node.name)
        self._nodes = {zone: had for zone, had in self._nodes.items() if zone in self._down} | seen

    def unsettled(self, now: float, settle_seconds: float) -> tuple[Zone, ...]:
        """The zones that are down, or came back less than `settle_seconds` ago."""
        recent = {zone for zone, since in self._back.items() if now - since < settle_seconds}
        return tuple(sorted(recent | self._down.keys()))
