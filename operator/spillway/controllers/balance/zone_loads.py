"""The controller of zone loads: it reads how loaded each workload is in each zone.

Contract: one key for each ZonalBalance with `zonePreference`, read every `load.refresh`. What is published is which
zones a new replica of each workload on physical nodes prefers. Pods on virtual nodes, and zones that have only such
nodes, do not count. The zones of a workload are equal if its load is not known in one of those in which it has ready
pods. A reading that fails publishes nothing, so the one before ends when it is older than `load.staleAfter`; then all
zones count as equal. What is wrong with the newest reading is on the board.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from spillway.api.zonalbalance import ZonalBalance, ZonePreference
from spillway.controllers.balance.readings import MetricsError, Readings, Refreshes, problem_of
from spillway.controllers.balance.selected import owners_by_namespace, ready_by_workload
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.controllers.surge.room import physical_nodes
from spillway.domain.balance.load import LoadProblem
from spillway.domain.balance.reading_state import Measure
from spillway.domain.balance.zone_loads import PodsByZone, checked_zones, mean_cpu, with_gaps
from spillway.domain.balance.zones import ZoneReading, zone_weights
from spillway.domain.model.names import NodeName, Zone
from spillway.kube.slices import in_slices
from spillway.sources.prometheus import PrometheusError
from spillway.sources.zone_load import zone_loads

Loads = Mapping[str, Mapping[str, float]]
"""By workload (`namespace/name`) and zone; nan where it is not known."""


class ZoneLoadController(Controller):
    """The controller of zone loads, with one key per ZonalBalance."""

    name: ClassVar = "zone-load"

    def __init__(self, world: World, readings: Readings) -> None:
        super().__init__(world)
        self._readings = readings
        self._refreshes = Refreshes()

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return {*self.world.governance.balances, *self._refreshes.keys}

    async def reconcile(self, key: str) -> float | None:
        balance = self.world.governance.balances.get(key)
        preference = None if balance is None else balance.spec.zone_preference
        if balance is None or preference is None:
            self._refreshes.forget(key)
            self.world.board.set_zone_reading(key, None)
            self.world.board.forget_readings(key, Measure.ZONE_LOAD)
            return None
        load, now = balance.spec.effective_load, self.world.now()
        if left := self._refreshes.seconds_left(key, preference, load, now):
            return left
        self._refreshes.begin(key, preference, now)
        board, stale_after = self.world.board, float(load.stale_after.seconds)
        try:
            loads, problem = await self._loads(balance, preference, now)
        except (MetricsError, PrometheusError) as error:
            self.log.warning("the load by zone cannot be read", key=key, error=str(error))
            board.note_reading(key, Measure.ZONE_LOAD, problem_of(error))
            if (kept := board.zone_readings.get(key)) is not None:
                # `staleAfter` may have changed since.
                board.set_zone_reading(key, replace(kept, stale_after=stale_after, nodes=await self._nodes(balance)))
            return load.refresh_seconds
        percent = float(preference.when_differs_by_percent)
        weights = {name: found for name, zones in loads.items() if (found := zone_weights(zones, percent))}
        board.set_zone_reading(key, ZoneReading(now, weights, stale_after, await self._nodes(balance)))
        board.note_reading(key, Measure.ZONE_LOAD, problem)
        return load.refresh_seconds

    async def _nodes(self, balance: ZonalBalance) -> Mapping[Zone, Sequence[NodeName]]:
        """The physical nodes of each zone, whether the ZonalBalance selects them or not: a replica may go there."""
        found: dict[Zone, list[NodeName]] = defaultdict(list)
        for node in await physical_nodes(self.world):
            if zone := node.zone_by(balance.spec.zone_key):
                found[zone].append(node.name)
        return found

    async def _loads(
        self, balance: ZonalBalance, preference: ZonePreference, now: float
    ) -> tuple[Loads, LoadProblem | None]:
        """The loads, and what is wrong with them as a whole."""
        workloads, loads = await self._workloads(balance), {}
        if preference.from_ is None:
            for namespace, members in workloads.items():
                used = await self._readings.pods(namespace, balance.spec.effective_load)
                async for name, pods in in_slices(list(members.items())):
                    loads[name] = mean_cpu(pods, used)
            self._readings.check(workloads.keys())
            return loads, checked_zones(loads)
        # A pod on physical nodes can come to no other zone.
        nodes = await physical_nodes(self.world)
        zones = {zone for node in nodes if (zone := node.zone_by(balance.spec.zone_key))}
        async with self._readings.prometheus() as prometheus:
            stale_after = float(balance.spec.effective_load.stale_after.seconds)
            found, invalid = await zone_loads(
                prometheus, preference.from_.query, zones=zones, now=now, stale_after=stale_after
            )
        for members in workloads.values():
            async for name, pods in in_slices(list(members.items())):
                loads[name] = with_gaps(found.get(name, {}), pods)
        # The query may be about some of the workloads alone.
        answered = {name: load for name, load in loads.items() if name in found}
        return {**found, **loads}, checked_zones(answered or loads, invalid)

    async def _workloads(self, balance: ZonalBalance) -> Mapping[str, Mapping[str, PodsByZone]]:
        """The ready pods by zone of the workloads that a ZonalBalance selects, by namespace and `namespace/name`."""
        owners = await owners_by_namespace(self.world, balance.metadata.name)
        return {one: await ready_by_workload(self.world, balance, members) for one, members in owners.items()}
