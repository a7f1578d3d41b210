"""The nodes of each pool, and since when each that is not ready has not been.

Contract: follows the state and the resources; whoever asked is told which pool changed. A node is seen to fall; of one
that was found down, its own condition tells since when, so that a new leader does not begin to count anew. A pool is a
VirtualNodeBudget, and a node is in the oldest that selects it.
"""

from collections.abc import Collection, Iterable, Iterator

from spillway.controllers.base import Unsubscribe, World
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import NodeRecord
from spillway.state.signal import Signal


class PoolNodes:
    """Nodes by pool. `subscribe` first."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pools: dict[str, dict[NodeName, NodeRecord]] = {}
        self._pool_of: dict[NodeName, str] = {}
        self.unready_since: dict[NodeName, float] = {}
        """Unix seconds, of every node of a pool that is not ready."""
        self.changed: Signal[str] = Signal("PoolNodes", key=str)
        """Emitted with the name of a pool whose nodes have changed."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        """Follow from now on; everybody is told of every pool."""
        yield self._world.state.subscribe(NodeRecord, self._changed)
        yield self._world.catalog.subscribe(self._read_all)
        self._read_all()

    def nodes(self, pool: str) -> Collection[NodeRecord]:
        """The pool's nodes that are not on their way out."""
        return self._pools.get(pool, {}).values()

    def everywhere(self) -> Iterator[tuple[str | None, NodeRecord]]:
        """Every node of the cluster with its pool."""
        return ((self._pool_of.get(node.name), node) for node in self._world.state.nodes.values())

    def down_since(self, pool: str) -> float | None:
        """Since when no node of the pool is ready; None where one is, or where there is no node."""
        nodes = self.nodes(pool)
        if not nodes or any(node.ready for node in nodes):
            return None
        return max(self.unready_since.get(node.name, self._world.now()) for node in nodes)

    def _read_all(self) -> None:
        pools = {*self._pools, *self._world.governance.budgets}
        self._pools.clear()
        self._pool_of.clear()
        for node in self._world.state.nodes.values():
            self._put(node)
        self.unready_since = {name: since for name, since in self.unready_since.items() if name in self._pool_of}
        for pool in pools:
            self._tell(pool)

    def _changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        before = self._pool_of.pop(old.name, None) if old is not None else None
        if old is not None and before is not None:
            self._pools[before].pop(old.name, None)
        after = self._put(new, fell=old is not None and old.ready) if new is not None else None
        if old is not None and after is None:
            self.unready_since.pop(old.name, None)
        told = old is None or new is None or _counts_differently(old, new)
        for pool in {before, after}:
            if pool is not None and (told or before != after):
                self._tell(pool)

    def _put(self, node: NodeRecord, *, fell: bool = False) -> str | None:
        pool = None if node.deleting else self._world.governance.budget_of(node)
        if pool is None:
            return None
        self._pools.setdefault(pool, {})[node.name] = node
        self._pool_of[node.name] = pool
        if node.ready:
            self.unready_since.pop(node.name, None)
        elif node.name not in self.unready_since:
            now = self._world.now()
            self.unready_since[node.name] = now if fell else min(node.unready_since or now, now)
        return pool

    def _tell(self, pool: str) -> None:
        self.changed.emit(pool)


def _counts_differently(old: NodeRecord, new: NodeRecord) -> bool:
    return (old.ready, old.unschedulable, old.deleting) != (new.ready, new.unschedulable, new.deleting)
