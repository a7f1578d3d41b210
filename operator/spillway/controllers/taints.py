"""Keeps our soft taint on elastic nodes, and off all others.

The webhook taints a node in the write that creates it; this repairs what it missed, follows changes of labels and
policies, and takes the taint off when its policy goes, recommends, or no longer selects the node.
"""

from collections.abc import Iterable
from typing import ClassVar

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.domain.names import NodeName
from spillway.domain.records import NodeRecord
from spillway.domain.taints import plan_taint
from spillway.kube.writer import Writer


class TaintController(Controller):
    """One key a node."""

    name: ClassVar = "taints"
    workers: ClassVar = 16

    def __init__(self, world: World, writer: Writer) -> None:
        super().__init__(world)
        self._writer = writer

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.state.subscribe(NodeRecord, self._changed)
        yield self.world.catalog.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return list(self.world.state.nodes)

    async def reconcile(self, key: str) -> None:
        node = self.world.state.nodes.get(NodeName(key))
        if node is None:
            return
        plan = plan_taint(node, self.world.governance.elastic_owner(node))
        if plan is None:
            return
        written = await self._writer.patch_node(node, taints=(node.taints, plan.wanted))
        self.log.info("elastic taint put on" if plan.added else "elastic taint taken off", key=key, written=written)

    def _changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        if new is not None and (old is None or old.taints != new.taints or old.labels != new.labels):
            self.queue.add(new.name)
