"""In which order elastic nodes should empty: one order for every workload, so that all of them leave the same nodes.

Contract: a node's place is a number; **the highest empties first**, place 0 empties last. The newest node of a zone
empties first (last in, first out), and zones are interleaved, so that nodes leave evenly from every zone. A new node
takes a place above the others of its zone and moves nobody, so costs that were stamped with a place stay true. A node
that holds pods that will not leave (bare pods, pods of workloads that nobody governs) could never become empty; it
empties last.

Why last in, first out: see docs/explanation/scale-down-order.md; it was chosen over "fewest pods first" by simulation.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from spillway.domain.names import NodeName, Tier, Zone
from spillway.domain.places import NodePlace
from spillway.domain.records import NodeRecord


def emptying_order(
    nodes: Iterable[NodeRecord],
    places: Mapping[NodeName, NodePlace],
    blocked: Collection[NodeName] | Callable[[NodeName], bool] = frozenset(),
) -> dict[NodeName, int]:
    """Return the place of every elastic node in the emptying order, highest first to go.

    `places` says where a node stands; nodes that it does not call elastic have no place here. `blocked` tells which
    nodes hold pods that will not leave by a scale-down (DaemonSet pods do not count: autoscalers ignore them).
    """
    is_blocked = blocked if callable(blocked) else blocked.__contains__
    by_zone: dict[Zone, list[NodeRecord]] = defaultdict(list)
    for node in nodes:
        place = places.get(node.name)
        if place is not None and place.tier is Tier.ELASTIC:
            by_zone[place.zone].append(node)
    zones = sorted(by_zone)
    order: dict[NodeName, int] = {}
    for index, zone in enumerate(zones):
        oldest_first = sorted(by_zone[zone], key=lambda node: (not is_blocked(node.name), node.created, node.name))
        for rank, node in enumerate(oldest_first):
            order[node.name] = rank * len(zones) + index
    return order
