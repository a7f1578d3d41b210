"""Hot nodes: which nodes have been too busy for too long, and which of them carry the soft taint.

Contract: pure. A node becomes hot once its load has been above the limit for the whole time that is asked for, and
stops being hot once the load has fallen `HYSTERESIS_POINTS` below it. Of the hot nodes of one zone the hottest are
tainted, never more than `MOST_SHARE` of the zone's nodes that take pods, because a taint on all of them would say
nothing to the scheduler. A hot node that takes no pods keeps its taint, and counts for none of this. A hot node without
a load stays hot, and for any other one the time begins again with its next load.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spillway.domain.model.names import HOT_TAINT, NodeName, Zone
from spillway.domain.model.records import Taint
from spillway.domain.nodes.taints import SOFT

HYSTERESIS_POINTS: Final = 10.0
"""Percentage points below the limit at which a node has cooled."""
MOST_SHARE: Final = 1 / 3
"""The part of a zone's nodes that take pods that may be tainted; one node may be wherever there are two."""


@dataclass(frozen=True, slots=True)
class HotRule:
    """When a node is hot."""

    above: float
    """Percent of load."""
    seconds: float
    """How long the load has to be above it."""

    @property
    def cooled(self) -> float:
        """The load at which a hot node has cooled; half the limit where that is low."""
        return max(self.above - HYSTERESIS_POINTS, self.above / 2)


@dataclass(frozen=True, slots=True)
class HotPlan:
    """The nodes that are hot now."""

    since: Mapping[NodeName, float]
    """Unix seconds since when each node has been above the limit, or has been hot and has not cooled."""
    hot: tuple[NodeName, ...]
    """The hot nodes, the hottest first."""
    tainted: frozenset[NodeName]
    """Those of them that carry the taint."""


def plan_hot(
    zones: Mapping[NodeName, Zone],
    loads: Mapping[NodeName, float],
    rule: HotRule,
    *,
    since: Mapping[NodeName, float],
    tainted: Collection[NodeName],
    taking: Collection[NodeName],
    now: float,
) -> HotPlan:
    """The plan for these nodes; `since` is that of the plan before, `tainted` are the nodes with the taint.

    `taking` are those of them to which the scheduler may bring pods.

    A node with the taint is hot until it has cooled, also if nothing is known of the time before (another leader).
    """
    counting: dict[NodeName, float] = {}
    hot: list[NodeName] = []
    for name in zones:
        load = loads.get(name)
        # A node with the taint has been hot for long enough, whoever found that.
        began = min(since.get(name, now), now - rule.seconds if name in tainted else now)
        was_hot = name in tainted or (name in since and now - began >= rule.seconds)
        if was_hot if load is None else load > (rule.cooled if was_hot else rule.above):
            counting[name] = began
            if was_hot or now - began >= rule.seconds:
                hot.append(name)
    hot.sort(key=lambda name: (-loads.get(name, 0.0), name))
    return HotPlan(counting, tuple(hot), _chosen(hot, zones, tainted, taking))


def _chosen(
    hot: Sequence[NodeName],
    zones: Mapping[NodeName, Zone],
    tainted: Collection[NodeName],
    taking: Collection[NodeName],
) -> frozenset[NodeName]:
    """The hot nodes that carry the taint: first those that do already, so that it does not move back and forth."""
    counts = Counter(zone for name, zone in zones.items() if name in taking)
    left = {zone: max(int(count * MOST_SHARE), 1 if count > 1 else 0) for zone, count in counts.items()}
    chosen = {name for name in hot if name in tainted and name not in taking}
    for name in sorted(hot, key=lambda one: one not in tainted):
        if name in taking and left[zones[name]]:
            left[zones[name]] -= 1
            chosen.add(name)
    return frozenset(chosen)


def hot_taint(balance: str) -> Taint:
    """The taint of a node that is hot in this ZonalBalance."""
    return Taint(key=HOT_TAINT, effect=SOFT, value=balance)
