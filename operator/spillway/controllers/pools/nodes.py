"""The nodes of each pool that are not being deleted, and since when each that is not ready has not been.

Contract: which pool a node is in, `PoolMembership` knows; `changed` is emitted with the name of a pool whose nodes
count differently. The time at which a node stopped being ready is when this process saw it; for a node that was already
not ready, it is what its condition says, so that a new leader does not start from zero.
"""

from collections.abc import Collection, Iterable, Iterator

from spillway.controllers.base import Unsubscribe, World
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import NodeRecord
from spillway.state.pool_membership import NodeChange
from spillway.state.signal import Signal


class PoolNodes:
    """Nodes by pool, and since when they are not ready. `subscribe` first."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pools: set[str] = set()
        """The pools of the last signals, so that one that is gone is signalled as well."""
        self.unready_since: dict[NodeName, float] = {}
        """Unix seconds since when a node of a pool has not been ready."""
        self.changed: Signal[str] = Signal("PoolNodes", key=str)
        """Emitted with the name of a pool whose nodes have changed."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        """Follow from now on; `changed` is emitted for every pool."""
        yield self._world.membership.changed.subscribe(self._node_changed)
        yield self._world.catalog.subscribe(self._read_all)
        self._read_all()

    def nodes(self, pool: str) -> Collection[NodeRecord]:
        """The pool's nodes that are not being deleted."""
        return [node for node in self._world.membership.nodes(pool) if not node.deleting]

    def everywhere(self) -> Iterator[tuple[str | None, NodeRecord]]:
        """Every node of the cluster with its pool; one that is being deleted is in none."""
        return ((None if node.deleting else pool or None, node) for pool, node in self._world.membership.every_node())

    def down_since(self, pool: str) -> float | None:
        """Since when no node of the pool is ready; None if one is, or if there is no node."""
        nodes = self.nodes(pool)
        if not nodes or any(node.ready for node in nodes):
            return None
        return max(self.unready_since.get(node.name, self._world.now()) for node in nodes)

    def _read_all(self) -> None:
        in_pools = {node.name: node for pool, node in self.everywhere() if pool is not None}
        for node in in_pools.values():
            self._note(node)
        self.unready_since = {name: since for name, since in self.unready_since.items() if name in in_pools}
        pools = {*self._pools, *self._world.governance.budgets}
        self._pools = set(self._world.governance.budgets)
        for pool in pools:
            self.changed.emit(pool)

    def _node_changed(self, change: NodeChange) -> None:
        old, new = change.old, change.new
        before = "" if old is None or old.deleting else change.before
        after = "" if new is None or new.deleting else change.after
        if new is not None and after:
            self._note(new, fell=old is not None and old.ready)
        else:
            self.unready_since.pop(change.name, None)
        differs = before != after or old is None or new is None or _counts_differently(old, new)
        for pool in {before, after} - {""}:
            if differs:
                self.changed.emit(pool)

    def _note(self, node: NodeRecord, *, fell: bool = False) -> None:
        if node.ready:
            self.unready_since.pop(node.name, None)
        elif node.name not in self.unready_since:
            now = self._world.now()
            self.unready_since[node.name] = now if fell else min(node.unready_since or now, now)


def _counts_differently(old: NodeRecord, new: NodeRecord) -> bool:
    return (old.ready, old.unschedulable, old.deleting) != (new.ready, new.unschedulable, new.deleting)
