"""The controller of the soft taint: it keeps the taint on elastic nodes, and off all others.

The webhook taints a node in the write that creates it. This controller repairs missed nodes, follows changes of labels
and policies, and removes the taint when its policy is deleted, is in mode Recommend, or no longer selects the node.
"""

from collections.abc import Iterable
from typing import ClassVar

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import NodeRecord
from spillway.domain.nodes.taints import is_elastic, plan_taint
from spillway.kube.protocols import ObjectWriter
from spillway.kube.writer import REFUSED_SECONDS
from spillway.state.catalog import Kind


class TaintController(Controller):
    """The controller of the soft taint, with one key per node."""

    name: ClassVar = "taints"
    workers: ClassVar = 16

    def __init__(self, world: World, writer: ObjectWriter) -> None:
        super().__init__(world)
        self._writer = writer

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.state.subscribe(NodeRecord, self._changed)
        yield self.world.catalog.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return list(self.world.state.nodes)

    async def reconcile(self, key: str) -> float | None:
        node = self.world.state.nodes.get(NodeName(key))
        if node is None:
            return None
        plan = plan_taint(node, self.world.governance.elastic_owner(node))
        if plan is None or self._of_unreadable(node):
            return None
        written = await self._writer.patch_node(node, taints=(node.taints, plan.wanted))
        self.log.info("elastic taint added" if plan.added else "elastic taint removed", key=key, written=written)
        return None if written else REFUSED_SECONDS

    def _of_unreadable(self, node: NodeRecord) -> bool:
        """Whether the node's taint names an existing policy that cannot be read and may still require it."""
        unreadable = self.world.catalog.unreadable(Kind.ELASTIC_POLICY)
        return any(is_elastic(taint) and taint.value in unreadable for taint in node.taints)

    def _changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        if new is not None and (old is None or old.taints != new.taints or old.labels != new.labels):
            self.queue.add(new.name)
