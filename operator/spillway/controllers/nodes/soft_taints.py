"""The writes of a soft taint that one resource puts on nodes, told apart by its key.

Contract: a node is written only if its taint differs, and all of its other taints stay. A taint whose value names a
resource that exists and cannot be read stays.
"""

from collections.abc import Callable, Iterable

import structlog

from spillway.controllers.base import World
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import NodeRecord, Taint
from spillway.domain.nodes.taints import taints_with
from spillway.kube.protocols import ObjectWriter
from spillway.state.catalog import Kind


class SoftTaints:
    """The taints with one key; `owner` is the kind of the resources that their values name."""

    def __init__(self, world: World, writer: ObjectWriter, key: str, owner: Kind, *, name: str) -> None:
        """`name` is that of the controller."""
        self._world = world
        self._writer = writer
        self._key = key
        self._owner = owner
        self._log = structlog.get_logger(f"spillway.controllers.{name}")

    async def give(self, nodes: Iterable[NodeRecord], wanted: Callable[[NodeName], Taint | None]) -> bool:
        """Give each node the wanted taint, or none; False if one of them has changed in the meantime."""
        done = True
        for node in nodes:
            done &= await self._write(node, wanted(node.name))
        return done

    async def remove_orphans(self, kept: Callable[[NodeRecord], str | None]) -> bool:
        """Remove the taint where its value is not `kept` of the node; False if a node has changed in the meantime."""
        done = True
        unreadable = self._world.catalog.unreadable(self._owner)
        for node in list(self._world.state.nodes.values()):
            values = {taint.value for taint in node.taints if taint.key == self._key}
            if values and not values & unreadable and values != {kept(node)}:
                done &= await self._write(node, None)
        return done

    def carried(self, node: NodeRecord) -> bool:
        """Whether the node carries the taint, for whatever resource."""
        return any(taint.key == self._key for taint in node.taints)

    async def _write(self, node: NodeRecord, wanted: Taint | None) -> bool:
        taints = taints_with(node, self._key, wanted)
        if taints is None:
            return True
        written = await self._writer.patch_node(node, taints=(node.taints, taints))
        self._log.info("taint added" if wanted else "taint removed", key=node.name, taint=self._key, written=written)
        return written
