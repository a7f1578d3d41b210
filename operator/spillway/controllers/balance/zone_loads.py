"""The controller of zone loads: it reads how loaded each workload is in each zone.

Contract: one key for each ZonalBalance with `zonePreference`, read every `load.refresh`. What is published is which
zones a new replica of each workload prefers. A reading that fails publishes nothing, so the one before ends when it is
older than `load.staleAfter`; then all zones count as equal.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

from spillway.api.zonalbalance import ZonalBalance, ZonePreference
from spillway.controllers.balance.readings import Readings, Refreshes, refresh_seconds
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.domain.balance.zones import ZoneReading, zone_weights
from spillway.domain.model.names import Zone
from spillway.domain.model.owners import workload_of
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.kube.errors import RequestError
from spillway.kube.resource_metrics import PodMetrics
from spillway.kube.slices import in_slices
from spillway.sources.prometheus import PrometheusError
from spillway.sources.zone_load import zone_loads
from spillway.state.claims import balance_of

LEAST_MEASURED: Final = 0.8
"""The part of a workload's ready pods that must have been measured."""
Loads = Mapping[str, Mapping[str, float]]
"""By workload (`namespace/name`) and zone."""


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
            return None
        load, now = balance.spec.effective_load, self.world.now()
        if left := self._refreshes.seconds_left(key, preference, load, now):
            return left
        self._refreshes.begin(key, preference, now)
        try:
            loads = await self._loads(balance, preference, now)
        except (RequestError, PrometheusError) as error:
            self.log.warning("the load by zone cannot be read", key=key, error=str(error))
            return refresh_seconds(load)
        percent = float(preference.when_differs_by_percent)
        weights = {name: found for name, zones in loads.items() if (found := zone_weights(zones, percent))}
        self.world.board.set_zone_reading(key, ZoneReading(now, weights, float(load.stale_after.seconds)))
        return refresh_seconds(load)

    async def _loads(self, balance: ZonalBalance, preference: ZonePreference, now: float) -> Loads:
        if preference.from_ is None:
            return await self._measured(balance)
        async with self._readings.prometheus() as prometheus:
            return await zone_loads(prometheus, preference.from_.query, now=now)

    async def _measured(self, balance: ZonalBalance) -> Loads:
        """The mean CPU of the ready pods of each workload by zone, as metrics.k8s.io reports it."""
        state = self.world.state
        found: dict[str, Mapping[str, float]] = {}
        for namespace, owners in (await owners_by_namespace(self.world, balance.metadata.name)).items():
            used = await self._readings.pods(namespace)
            pods: dict[str, list[PodRecord]] = defaultdict(list)
            for owner in owners:
                pods[f"{namespace}/{workload_of(owner).name}"] += state.pods_of(owner.uid)
            async for name, members in in_slices(list(pods.items())):
                found[name] = self._by_zone(members, used, balance.spec.zone_key)
        return found

    def _by_zone(self, pods: Iterable[PodRecord], used: Mapping[str, PodMetrics], zone_key: str) -> Mapping[str, float]:
        """The mean CPU by zone; of a zone in which too few pods were measured it is not known."""
        nodes = self.world.state.nodes
        by_zone: dict[Zone, list[float | None]] = defaultdict(list)
        for pod in pods:
            node = nodes.get(pod.node)
            if node is not None and pod.ready and pod.active and (zone := node.zone_by(zone_key)):
                by_zone[zone].append(used[pod.name].cpu_millis if pod.name in used else None)
        means: dict[str, float] = {}
        for zone, values in by_zone.items():
            known = [value for value in values if value is not None]
            enough = known and len(known) >= LEAST_MEASURED * len(values)
            means[zone] = sum(known) / len(known) if enough else math.nan
        return means


async def owners_by_namespace(world: World, balance: str) -> Mapping[str, list[ReplicaSetRecord]]:
    """The ReplicaSets with replicas that a ZonalBalance selects, by namespace."""
    state, governance = world.state, world.governance
    covered: dict[str, list[ReplicaSetRecord]] = defaultdict(list)
    async for one in in_slices(list(state.replicasets.values())):
        if one.replicas and balance_of(state, governance, one) == balance:
            covered[one.namespace].append(one)
    return covered
