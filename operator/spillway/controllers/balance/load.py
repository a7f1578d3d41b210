"""The controller of loads: it reads the real load of the nodes that each ZonalBalance selects.

Contract: one key for each ZonalBalance, read every `load.refresh`. A ZonalBalance that nothing needs the load for sends
no request. The loads are published on the board, also when a reading failed, so that whoever acts on them sees their
age.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

from spillway.api.zonalbalance import Load, ZonalBalance
from spillway.controllers.balance.readings import MetricsError, Readings, Refreshes, problem_of
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.surge.room import physical_nodes
from spillway.domain.balance.load import (
    YOUNG_SECONDS,
    Evenness,
    LoadProblem,
    Loads,
    NodeShare,
    checked,
    evenness,
    following,
    weights_of,
)
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.selectors import Selector
from spillway.kube.resource_metrics import NodeMetrics
from spillway.kube.slices import in_slices
from spillway.sources.node_load import node_shares
from spillway.sources.prometheus import PrometheusError
from spillway.telemetry import balance as metrics


class LoadController(Controller):
    """The controller of loads, with one key per ZonalBalance."""

    name: ClassVar = "load"

    def __init__(self, world: World, readings: Readings) -> None:
        super().__init__(world)
        self._readings = readings
        self._refreshes = Refreshes()
        self._even: dict[str, Evenness] = {}

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return {*self.world.governance.balances, *self._refreshes.keys}

    async def reconcile(self, key: str) -> float | None:
        balance = self.world.governance.balances.get(key)
        if balance is None or not balance.spec.reads_load:
            self._refreshes.forget(key)
            self.world.board.withdraw_loads(key)
            self._show(key, None)
            return None
        load, now = balance.spec.effective_load, self.world.now()
        if left := self._refreshes.seconds_left(key, load, load, now):
            return left
        same = self._refreshes.begin(key, load, now)
        before = self.world.board.loads.get(key, Loads()) if same else Loads()
        nodes = await nodes_of(self.world, balance)
        loads = await self._reading(load, before, nodes, now)
        self.world.board.set_loads(key, loads)
        metrics.READINGS.labels(key, loads.problem.reason if loads.problem else "Good").inc()
        zone_of = {node.name: node.zone_by(balance.spec.zone_key) for node in nodes}
        self._show(key, evenness(loads.current(now, load.stale_after.seconds), zone_of))
        return load.refresh_seconds

    async def _reading(self, load: Load, before: Loads, nodes: Iterable[NodeRecord], now: float) -> Loads:
        try:
            shares = await self._shares(load, now)
        except (MetricsError, PrometheusError) as error:
            return replace(before, problem=problem_of(error))
        # A node that has just joined counts once it has been measured.
        wanted = [
            node.name for node in nodes if node.ready and (node.name in shares or now - node.created >= YOUNG_SECONDS)
        ]
        found = checked(shares, wanted, now=now, stale_after=float(load.stale_after.seconds))
        if isinstance(found, LoadProblem):
            return replace(before, problem=found)
        return following(before, found, weights_of(load), now=now)

    async def _shares(self, load: Load, now: float) -> Mapping[NodeName, NodeShare]:
        if load.queries is None:
            usage = await self._readings.nodes()
            nodes = self.world.state.nodes
            return {name: _share(nodes[name], used) for name, used in usage.items() if name in nodes}
        async with self._readings.prometheus() as prometheus:
            stale_after = float(load.stale_after.seconds)
            return await node_shares(
                prometheus, load.queries.cpu, load.queries.memory, now=now, stale_after=stale_after
            )

    def _show(self, balance: str, even: Evenness | None) -> None:
        """Replace the values of the metrics of one ZonalBalance."""
        if even is None:
            self._even.pop(balance, None)
        else:
            self._even[balance] = even
        shown = self._even.items()
        metrics.ZONE_LOAD.replace({(name, zone): load / 100 for name, one in shown for zone, load in one.zones.items()})
        metrics.IMBALANCE.replace({(name,): one.imbalance / 100 for name, one in shown if one.imbalance is not None})
        metrics.READ_AT.replace({(name,): loads.at for name, loads in self.world.board.loads.items() if loads.at})


def current_loads(world: World, balance: ZonalBalance) -> Mapping[NodeName, float]:
    """The present load of each node of a ZonalBalance in percent; empty while it is not known, or too old."""
    known = world.board.loads.get(balance.metadata.name, Loads())
    return known.current(world.now(), balance.spec.effective_load.stale_after.seconds)


async def nodes_of(world: World, balance: ZonalBalance) -> list[NodeRecord]:
    """The nodes that a ZonalBalance keeps even: those that it selects, without virtual nodes."""
    selector, nodes = Selector.of(balance.spec.node_selector), await physical_nodes(world)
    return [node async for node in in_slices(nodes) if selector.matches(node.labels)]


def _share(node: NodeRecord, used: NodeMetrics) -> NodeShare:
    """The shares of a node; one that can allocate nothing has no believable value."""
    cpu = used.cpu_millis / node.cpu_millis if node.cpu_millis else math.nan
    memory = used.memory_bytes / node.memory_bytes if node.memory_bytes else math.nan
    return NodeShare(cpu, used.at, memory)
