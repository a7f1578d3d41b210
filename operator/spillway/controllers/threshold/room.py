"""The room of the owned nodes: what they have, and what pods request there that the plan does not place.

Contract: walks nodes in slices of time. Governed pods that run do not count, because
the plan decides on them; those of policies in Recommend are told apart, because no plan moves them. A pod that
terminates still takes its room.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from spillway.controllers.base import World
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.owners import comes_with_node
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.units import GIB
from spillway.domain.model.usage import NOTHING, Usage
from spillway.domain.threshold.node_groups import NodeGroup, dominant_cores
from spillway.kube.slices import in_slices


@dataclass(frozen=True, slots=True)
class OwnedRoom:
    """The owned nodes together."""

    nodes: tuple[NodeGroup, ...]
    """The room of each node; nodes that are alike are one entry."""
    cores: float
    """Allocatable, less what pods request that no policy governs."""
    gib: float
    node_cores: float
    """Allocatable of one node, on average; 0 without nodes."""
    node_gib: float
    per_node_cores: float
    """Requested on each node, on average, by pods that come with a node: those of DaemonSets, and static pods. More
    where they take a larger part of the memory than of the cores."""
    other_cores: float
    """Requested on all nodes together by the other pods that no policy governs, counted in the same way."""


async def owned_room(
    world: World, owned: Iterable[NodeRecord], *, governed: Collection[OwnerUid], watched: Collection[OwnerUid]
) -> OwnedRoom:
    """The room of these nodes; `governed` owners have their pods planned, `watched` are those in Recommend."""
    rooms: Counter[NodeGroup] = Counter()
    total = per_node = other = NOTHING
    nodes = list(owned)
    async for node in in_slices(nodes):
        with_node = elsewhere = held = NOTHING
        for pod in world.state.pods_on(node.name):
            if pod.finished:
                continue
            usage = pod.requests
            if comes_with_node(pod):
                with_node += usage
            elif pod.owner_uid not in governed or not pod.active:
                elsewhere += usage
            elif pod.owner_uid in watched:
                held += usage
        rooms[
            NodeGroup(
                count=1,
                cores=_left(node.cpu_millis, with_node.cpu_millis + elsewhere.cpu_millis) / 1000,
                gib=_left(node.memory_bytes, with_node.memory_bytes + elsewhere.memory_bytes) / GIB,
                watched_cores=held.cpu_millis / 1000,
                watched_gib=held.memory_bytes / GIB,
            )
        ] += 1
        total += Usage(1, node.cpu_millis, node.memory_bytes)
        per_node, other = per_node + with_node, other + elsewhere
    free_millis = _left(total.cpu_millis, per_node.cpu_millis + other.cpu_millis)
    free_bytes = _left(total.memory_bytes, per_node.memory_bytes + other.memory_bytes)
    return OwnedRoom(
        nodes=tuple(room.times(count) for room, count in rooms.items()),
        # Cores without memory are of no use.
        cores=free_millis / 1000 if free_bytes or not total.memory_bytes else 0.0,
        gib=free_bytes / GIB,
        node_cores=total.cpu_millis / 1000 / len(nodes) if nodes else 0.0,
        node_gib=total.memory_bytes / GIB / len(nodes) if nodes else 0.0,
        per_node_cores=_cores(per_node, total) / len(nodes) if nodes else 0.0,
        other_cores=_cores(other, total),
    )


def _left(allocatable: int, requested: int) -> int:
    return max(0, allocatable - requested)


def _cores(usage: Usage, total: Usage) -> float:
    """The cores, or those that belong to the same part of the memory if these are more."""
    return (
        dominant_cores(usage.cpu_millis, usage.memory_bytes, of_cores=total.cpu_millis, of_memory=total.memory_bytes)
        / 1000
    )
