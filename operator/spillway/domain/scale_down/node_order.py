"""The order in which elastic nodes are emptied: one order for all workloads, so that all of them leave the same nodes.

Contract: a node's place is a number; **the highest empties first**, place 0 empties last. In each zone the node with
the fewest pods empties first, among equals the newest (last in, first out); zones are interleaved, so that nodes leave
evenly from every zone. The order is self-stabilising: the node that every workload leaves has fewer and fewer pods and
keeps its place. A new node takes the place above the others of its zone and moves no other node. A node with pods that
no scale-down deletes (bare pods, pods of workloads without a policy) could never become empty; it empties last.

Why fewest pods and not age alone: docs/explanation/scale-down-order.md has the figures.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from spillway.domain.model.names import NodeName, Tier, Zone
from spillway.domain.model.places import NodePlace
from spillway.domain.model.records import NodeRecord


def emptying_order(
    nodes: Iterable[NodeRecord],
    places: Mapping[NodeName, NodePlace],
    blocked: Collection[NodeName] | Callable[[NodeName], bool] = frozenset(),
    *,
    pods: Mapping[NodeName, int] | None = None,
) -> dict[NodeName, int]:
    """The place of every elastic node in the emptying order, highest first to go.

    `places` gives the place of a node; nodes that are not elastic have no place in this order. `blocked` tells which
    nodes hold pods that will not leave by a scale-down (DaemonSet pods do not count: autoscalers ignore them). `pods`
    counts the pods of each node in any consistent way; without it the newest node empties first. Counts may be a minute
    old, as long as all workloads see the same ones.
    """
    counts = pods or {}
    is_blocked = blocked if callable(blocked) else blocked.__contains__
    by_zone: dict[Zone, list[NodeRecord]] = defaultdict(list)
    for node in nodes:
        place = places.get(node.name)
        if place is not None and place.tier is Tier.ELASTIC:
            by_zone[place.zone].append(node)
    zones = sorted(by_zone)
    order: dict[NodeName, int] = {}
    for index, zone in enumerate(zones):
        last_first = sorted(
            by_zone[zone],
            key=lambda node: (not is_blocked(node.name), -counts.get(node.name, 0), node.created, node.name),
        )
        for rank, node in enumerate(last_first):
            order[node.name] = rank * len(zones) + index
    return order
