"""Which balloons leave first, and which node is emptied of balloons so that its autoscaler can remove it.

Contract: pure. Balloons never keep a node that could go: when the headroom shrinks, those on the node that empties
first are deleted first; and a node that holds nothing but balloons gives them up when the other elastic nodes of its
zone have room for all of them. One node a zone at a time, and not one from which they have just been moved without
success.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spillway.domain.headroom.shape import Shape
from spillway.domain.model.names import NodeName, Zone
from spillway.domain.model.records import PodRecord
from spillway.domain.model.usage import Usage

MOVED_SECONDS: Final = 600.0
"""The time for which balloons are not moved again from a node that they were moved from."""
BALLOON_COST: Final = -1_000_000
"""The deletion cost of a balloon. Karpenter divides it by 2^27, so it hardly changes which node it disrupts."""
LEAVING_COST: Final = BALLOON_COST - 1
"""That of one that is to be deleted at the next step down."""


@dataclass(frozen=True, slots=True)
class BalloonNode:
    """One elastic node."""

    name: NodeName
    zone: Zone
    order: int
    """Its place in the emptying order; the highest empties first."""
    free: Usage
    """What is free beside its balloons."""
    balloons: int
    others: int
    """Pods that are neither balloons nor of a DaemonSet."""
    open: bool = True
    """Whether it takes pods."""


def leaving_costs(balloons: Sequence[PodRecord], leaving: int, nodes: Mapping[NodeName, BalloonNode]) -> dict[str, int]:
    """The deletion cost that each balloon of one owner needs so that the right `leaving` are deleted, by uid.

    Kubernetes deletes those that wait for a node before all others, whatever their cost.
    """

    def first(pod: PodRecord) -> tuple[bool, tuple[bool, int], str]:
        return bool(pod.node), leaving_key(nodes.get(pod.node)), pod.uid

    ordered = sorted((pod for pod in balloons if pod.active), key=first)
    return {pod.uid: LEAVING_COST if index < leaving else BALLOON_COST for index, pod in enumerate(ordered) if pod.node}


def leaving_key(node: BalloonNode | None) -> tuple[bool, int]:
    """The order in which balloons leave nodes, the lowest first; None for a node that is not known."""
    alone = node is not None and not node.others
    return not alone, -(node.order if node is not None else 0)


def nodes_to_empty(
    nodes: Sequence[BalloonNode], unit: Shape, avoid: Collection[NodeName] = frozenset()
) -> tuple[NodeName, ...]:
    """The nodes whose balloons are to move to others of their zone, one a zone at most."""
    by_zone: dict[Zone, list[BalloonNode]] = defaultdict(list)
    for node in nodes:
        by_zone[node.zone].append(node)
    found: list[NodeName] = []
    for zone in sorted(by_zone):
        candidates = sorted(
            (one for one in by_zone[zone] if one.balloons and not one.others and one.name not in avoid),
            key=lambda one: (one.balloons, -one.order, one.name),
        )
        for candidate in candidates:
            # One that is empty itself is about to go: balloons must not make it stay.
            others = [one for one in by_zone[zone] if one is not candidate and one.open]
            room = sum(unit.fits_free(one.free) for one in others if one.others or one.balloons)
            if room >= candidate.balloons:
                found.append(candidate.name)
                break
    return tuple(found)
