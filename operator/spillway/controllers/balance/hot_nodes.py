"""The controller of hot nodes: it puts the soft taint on nodes that are too busy, and takes it off again.

Contract: a node belongs to the oldest ZonalBalance with `hotNodes` that selects it. The taint of one that is gone, or
no longer selects the node or asks for the taint, is removed. While the load is not known, no taint of a selected node
changes. An existing ZonalBalance that cannot be read keeps its taints.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import ClassVar, Final

from spillway.api.zonalbalance import HotNodes, ZonalBalance
from spillway.controllers.balance.load import current_loads
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.nodes.soft_taints import SoftTaints
from spillway.domain.balance.hot_nodes import HotPlan, HotRule, hot_taint, plan_hot
from spillway.domain.fit.node_fit import takes_pods
from spillway.domain.model import event_reasons
from spillway.domain.model.names import HOT_TAINT, NodeName
from spillway.domain.model.owners import reference_to
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.wording import first_names
from spillway.kube.protocols import ObjectWriter, Recorder
from spillway.kube.slices import in_slices
from spillway.kube.writer import REFUSED_SECONDS
from spillway.state.catalog import Kind
from spillway.state.signal import Signal
from spillway.telemetry import balance as metrics

ORPHANS: Final = "*"
"""The key of a check of every taint; any other key is the name of a ZonalBalance."""
_NAMED: Final = 5
"""Nodes that an Event names."""


class HotNodesController(Controller):
    """The controller of hot nodes, with one key per ZonalBalance and one for taints that none asks for."""

    name: ClassVar = "hot-nodes"

    def __init__(self, world: World, writer: ObjectWriter, events: Recorder) -> None:
        super().__init__(world)
        self._taints = SoftTaints(world, writer, HOT_TAINT, Kind.ZONAL_BALANCE, name=self.name)
        self._events = events
        self._since: dict[str, Mapping[NodeName, float]] = {}
        self.hot: dict[str, tuple[NodeName, ...]] = {}
        """The hot nodes of each ZonalBalance, the hottest first."""
        self.changed: Signal[()] = Signal("HotNodes")
        """Emitted when the hot nodes of a ZonalBalance have changed."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.board.loads_changed.subscribe(self._loads_changed)
        yield self.world.catalog.subscribe(self.add_all)
        yield self.world.state.subscribe(NodeRecord, self._node_changed)

    def all_keys(self) -> Iterable[str]:
        return {ORPHANS, *self.world.governance.balances, *self.hot}

    async def reconcile(self, key: str) -> float | None:
        if key == ORPHANS:
            return await self._remove_orphans()
        balance = self.world.governance.balances.get(key)
        rule = None if balance is None else balance.spec.hot_nodes
        if balance is None or rule is None:
            self._since.pop(key, None)
            self._set_hot(key, None)
            return await self._remove_orphans()
        governance, every = self.world.governance, list(self.world.state.nodes.values())
        nodes = {node.name: node async for node in in_slices(every) if governance.hot_balance_of(node) == key}
        loads = current_loads(self.world, balance)
        tainted = {name for name, node in nodes.items() if hot_taint(key) in node.taints}
        plan = self._plan(balance, rule, nodes, loads, tainted)
        self._since[key] = plan.since
        self._announce(balance, [name for name in plan.hot if name not in tainted])
        self._set_hot(key, plan.hot)
        if rule.soft_taint and not loads:
            return None
        wanted = plan.tainted if rule.soft_taint else frozenset()
        done = await self._taints.give(nodes.values(), lambda name: hot_taint(key) if name in wanted else None)
        return None if done else REFUSED_SECONDS

    def _plan(
        self,
        balance: ZonalBalance,
        rule: HotNodes,
        nodes: Mapping[NodeName, NodeRecord],
        loads: Mapping[NodeName, float],
        tainted: Collection[NodeName],
    ) -> HotPlan:
        zones = {name: node.zone_by(balance.spec.zone_key) for name, node in nodes.items()}
        since = self._since.get(balance.metadata.name, {})
        hot = HotRule(rule.above, rule.for_.seconds)
        taking = {name for name, node in nodes.items() if takes_pods(node)}
        return plan_hot(zones, loads, hot, since=since, tainted=tainted, taking=taking, now=self.world.now())

    async def _remove_orphans(self) -> float | None:
        done = await self._taints.remove_orphans(self.world.governance.hot_balance_of)
        return None if done else REFUSED_SECONDS

    def _announce(self, balance: ZonalBalance, hot: Iterable[NodeName]) -> None:
        """Record an Event about nodes that have become hot; `hot` are those without the taint."""
        before = frozenset(self.hot.get(balance.metadata.name, ()))
        new = [name for name in hot if name not in before]
        if not new:
            return
        reference = reference_to(balance)
        rule = balance.spec.hot_nodes or HotNodes()
        message = f"The load of {first_names(new, most=_NAMED)} has been above {rule.above} % for {rule.for_}."
        self._events.record(reference, "Warning", event_reasons.NODES_HOT, message)

    def _set_hot(self, balance: str, hot: tuple[NodeName, ...] | None) -> None:
        before = self.hot.get(balance)
        if hot is None:
            self.hot.pop(balance, None)
        else:
            self.hot[balance] = hot
        if before != hot:
            metrics.HOT_NODES.replace({(name,): len(nodes) for name, nodes in self.hot.items()})
            self.changed.emit()

    def _loads_changed(self) -> None:
        for balance in self.world.board.loads:
            self.queue.add(balance)

    def _node_changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        if new is None or not new.hot:
            return
        if old is None or old.labels != new.labels or old.taints != new.taints:
            self.queue.add(ORPHANS)
