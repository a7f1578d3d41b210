"""The nodes as one pass of headroom sees them, and what is remembered of elastic ones.

Contract: reads and never writes, in slices of time: one walk over all nodes a pass, and one over the elastic nodes of a
policy where its balloons have to leave some. What is known of elastic nodes (their zones, size and taints) is
remembered while none of them exists, because in the valley there may be none.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from spillway.controllers.base import World
from spillway.controllers.threshold.observe import owned_by_all
from spillway.domain.fit.node_fit import takes_pods
from spillway.domain.fit.taint_toleration import hard_taints, lasting_taints
from spillway.domain.headroom.leaving import BalloonNode
from spillway.domain.headroom.open_nodes import open_nodes, rules_to_compare
from spillway.domain.headroom.shape import Shape
from spillway.domain.headroom.size import FixedRooms, Replica
from spillway.domain.model.names import NodeName, Tier, Zone
from spillway.domain.model.owners import comes_with_node, is_balloon
from spillway.domain.model.records import NodeRecord, PodRecord, Taint
from spillway.domain.model.usage import Usage
from spillway.kube.slices import in_slices


@dataclass(slots=True)
class ElasticNodes:
    """The elastic nodes of one policy."""

    nodes: list[NodeRecord] = field(default_factory=list)
    zones: set[Zone] = field(default_factory=set)
    sizes: Counter[Shape] = field(default_factory=Counter)
    """What each of them has for pods."""
    taints: dict[Taint, None] = field(default_factory=dict)
    """Their lasting taints."""
    open: dict[Zone, list[NodeName]] = field(default_factory=lambda: defaultdict(list))
    """By zone: those that take pods now."""


@dataclass(frozen=True, slots=True)
class NodesNow:
    """The nodes at the time of a pass."""

    elastic: Mapping[str, ElasticNodes]
    """By policy."""
    free_fixed: Sequence[tuple[NodeRecord, Usage]]
    """The fixed nodes that take pods, with their free room."""
    free_elastic: dict[NodeName, Usage]
    """The free room of elastic nodes that take pods, without what `take_room` has given away."""

    def take_room(self, policy: str, unit: Shape, zone: Zone, most: int) -> int:
        """Take the room of up to `most` units on a policy's nodes in a zone, the empty zone standing for all of them.

        Returns how many there were. Policies that share nodes do not count their room twice.
        """
        zones, taken = self.elastic[policy].open, 0
        for node in chain.from_iterable([zones.get(zone, ())] if zone else zones.values()):
            units = min(unit.fits_free(self.free_elastic[node]), most - taken)
            self.free_elastic[node] -= Usage(1, unit.cpu_millis, unit.memory_bytes) * units
            taken += units
        return taken


@dataclass(slots=True)
class ElasticMemory:
    """What is known of the elastic nodes of one policy."""

    zones: set[Zone] = field(default_factory=set)
    node: Shape | None = None
    taints: tuple[Taint, ...] = ()
    unit: Shape | None = None
    moved: dict[NodeName, float] = field(default_factory=dict)
    """When balloons were moved from a node."""

    def take(self, elastic: ElasticNodes, zones: Iterable[Zone]) -> None:
        """Note what the elastic nodes tell, and the zones in which pods of governed workloads run."""
        self.zones.update(elastic.zones, zones)
        self.zones.discard(Zone(""))
        if elastic.nodes:
            self.node = max(elastic.sizes, key=lambda shape: (elastic.sizes[shape], shape))
            self.taints = tuple(elastic.taints)


async def nodes_now(world: World, policies: Collection[str]) -> NodesNow:
    """The nodes, as these policies see them."""
    elastic = {policy: ElasticNodes() for policy in policies}
    free_fixed: list[tuple[NodeRecord, Usage]] = []
    free_elastic: dict[NodeName, Usage] = {}
    async for node in in_slices(list(world.state.nodes.values())):
        for policy, found in elastic.items():
            place = world.places.place(policy, node)
            if place.tier is Tier.ELASTIC:
                found.nodes.append(node)
                found.zones.add(place.zone)
                found.sizes[_for_pods(world, node)] += 1
                lasting = lasting_taints(node)
                found.taints.update(dict.fromkeys(lasting))
                if takes_pods(node) and lasting == hard_taints(node):
                    found.open[place.zone].append(node.name)
                    free_elastic[node.name] = world.state.node_usage.free_on(node)
        if node.ready and owned_by_all(world, node):
            free_fixed.append((node, world.state.node_usage.free_on(node)))
    return NodesNow(elastic, free_fixed, free_elastic)


async def fixed_rooms(
    free_fixed: Sequence[tuple[NodeRecord, Usage]],
    rising: Iterable[Mapping[Replica, int]],
    waiting: Iterable[Mapping[Replica, int]],
) -> FixedRooms:
    """The free room of fixed nodes, as it is for the replicas that rise or wait in all policies."""
    all_rising, all_waiting = Counter[Replica](), Counter[Replica]()
    for counts, replicas in ((all_rising, rising), (all_waiting, waiting)):
        async for some in in_slices(replicas):
            counts.update(some)
    found: Mapping[str, int] = {}
    rules, nodes = rules_to_compare(all_rising, all_waiting), [node for node, _ in free_fixed]
    async for found in in_slices(open_nodes(rules, nodes)):  # noqa: B007 - the last one is complete
        pass
    return FixedRooms([free for _, free in free_fixed], found)


def _for_pods(world: World, node: NodeRecord) -> Shape:
    """What a node has for pods, without those that come with it."""
    own = [pod for pod in world.state.pods_on(node.name) if comes_with_node(pod) and not pod.finished]
    return Shape(
        node.cpu_millis - sum(pod.cpu_millis for pod in own),
        node.memory_bytes - sum(pod.memory_bytes for pod in own),
    )


async def balloon_nodes(
    world: World, policy: str, elastic: Iterable[NodeRecord], taints: Collection[Taint], balloons: Sequence[PodRecord]
) -> Mapping[NodeName, BalloonNode]:
    """The elastic nodes of a policy with what its balloons, which tolerate these taints, have to know of them."""
    order = world.places.order(policy)
    mine = {pod.uid for pod in balloons}
    here = Counter(pod.node for pod in balloons if pod.node and pod.active)
    found: dict[NodeName, BalloonNode] = {}
    async for node in in_slices(elastic):
        others = sum(
            pod.uid not in mine and not comes_with_node(pod) and not pod.finished
            for pod in world.state.pods_on(node.name)
        )
        found[node.name] = BalloonNode(
            name=node.name,
            zone=world.places.place(policy, node).zone,
            order=order.get(node.name, 0),
            free=world.state.node_usage.free_on(node),
            balloons=here[node.name],
            others=others,
            open=takes_pods(node) and set(hard_taints(node)) <= set(taints),
        )
    return found


def balloons_by_name(world: World, namespace: str) -> Mapping[str, Sequence[PodRecord]]:
    """The balloons that are not being deleted, by the name of the object that holds them."""
    found: dict[str, list[PodRecord]] = defaultdict(list)
    for pod in world.state.pods_in(namespace):
        if is_balloon(pod) and pod.active:
            # A ReplicaSet is named after its Deployment.
            found[pod.owner_name.rpartition("-")[0]].append(pod)
    return found
