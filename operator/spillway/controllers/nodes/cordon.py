"""The controller of cordons: it closes the nodes of a held pool, and opens the nodes that Spillway closed.

Each node needs one write. All nodes of a pool are written at once, through a separate writer, so that other slow
repairs do not delay an emergency.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.domain.model.names import CORDONED_BY, NodeName
from spillway.domain.model.records import NodeRecord
from spillway.domain.nodes.cordon import BudgetCordon, next_opening, plan_cordon
from spillway.domain.policies.governance import Governance
from spillway.kube.protocols import ObjectWriter
from spillway.kube.writer import REFUSED_SECONDS
from spillway.state.catalog import Kind

LONGEST_SLEEP_SECONDS: Final = 3600.0


def holds_of(governance: Governance) -> Mapping[str, BudgetCordon]:
    """The hold that every budget requests, by the budget's name."""
    return {name: BudgetCordon.of(budget) for name, budget in governance.budgets.items()}


class CordonController(Controller):
    """The controller of cordons, with one key per node."""

    name: ClassVar = "cordon"
    workers: ClassVar = 32

    def __init__(self, world: World, writer: ObjectWriter) -> None:
        super().__init__(world)
        self._writer = writer
        self._alarm: asyncio.TimerHandle | None = None
        self._governance: Governance | None = None
        self._holds: Mapping[str, BudgetCordon] = {}

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.state.subscribe(NodeRecord, self._changed)
        yield self.world.catalog.subscribe(self._resources_changed)
        self._set_alarm()
        yield self._silence_alarm

    def all_keys(self) -> Iterable[str]:
        return list(self.world.state.nodes)

    async def reconcile(self, key: str) -> float | None:
        node = self.world.state.nodes.get(NodeName(key))
        # An existing budget that cannot be read may still hold its pool: the nodes that it closed stay closed.
        if node is None or node.cordoned_by in self.world.catalog.unreadable(Kind.VIRTUAL_NODE_BUDGET):
            return None
        pool = self.world.membership.pool_of_node(node.name) or None
        plan = plan_cordon(node, pool, self._current_holds(), self.world.now())
        if plan is None:
            return None
        written = await self._writer.patch_node(
            node, annotations={CORDONED_BY: plan.mark}, unschedulable=plan.unschedulable
        )
        self.log.info("node closed" if plan.mark else "node opened", key=key, budget=plan.mark or "", written=written)
        return None if written else REFUSED_SECONDS

    def _current_holds(self) -> Mapping[str, BudgetCordon]:
        governance = self.world.governance
        if governance is not self._governance:
            self._governance, self._holds = governance, holds_of(governance)
        return self._holds

    def _changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        if new is not None and (
            old is None
            or old.unschedulable != new.unschedulable
            or old.cordoned_by != new.cordoned_by
            or old.labels != new.labels
        ):
            self.queue.add(new.name)

    def _resources_changed(self) -> None:
        self._set_alarm()
        self.add_all()

    def _set_alarm(self) -> None:
        """Schedule a reconcile for the end of the first hold."""
        self._silence_alarm()
        now = self.world.now()
        opening = next_opening(self._current_holds().values(), now)
        if opening is not None:
            delay = min(max(opening - now, 0.0) + 0.01, LONGEST_SLEEP_SECONDS)
            self._alarm = asyncio.get_running_loop().call_later(delay, self._resources_changed)

    def _silence_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
