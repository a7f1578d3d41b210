"""The physical nodes, and their free room for the additional replica of a surge.

Contract: it reads only the state. Pods that wait for a node, and cannot start on a pool of virtual nodes alone, are
served first.
"""

from collections.abc import Collection, Iterable

from spillway.controllers.base import World
from spillway.domain.fit.node_fit import takes_pods
from spillway.domain.fit.room import NodeRoom, waiting_requests
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import NodeRecord, PodRecord
from spillway.domain.model.usage import Usage
from spillway.kube.slices import in_slices


async def physical_nodes(world: World) -> list[NodeRecord]:
    """The nodes that are not virtual, whether a ZonalBalance selects them or not."""
    nodes, governance = list(world.state.nodes.values()), world.governance
    return [node async for node in in_slices(nodes) if governance.budget_of(node) is None]


async def physical_room(world: World, waiting: Iterable[PodRecord], *, without: Collection[NodeName] = ()) -> NodeRoom:
    """The free room on nodes that are virtual for no policy; `waiting` are the pods without a node."""
    free: dict[NodeName, Usage] = {}
    async for pool, node in in_slices(list(world.membership.every_node())):
        if takes_pods(node) and not pool and node.name not in without:
            free[node.name] = world.state.node_usage.free_on(node)
    others = (pod for pod in waiting if not world.membership.needs_pool(pod))
    return NodeRoom(free, waiting_requests(others, world.now()))
