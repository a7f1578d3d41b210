"""The controller of zone loads: it reads how loaded each workload is in each zone.

Contract: one key for each ZonalBalance with `zonePreference`, read every `load.refresh`. What is published is which
zones a new replica of each workload prefers. A reading that fails publishes nothing, so the one before ends when it is
older than `load.staleAfter`; then all zones count as equal.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import ClassVar

from spillway.api.zonalbalance import Load, ZonalBalance, ZonePreference
from spillway.controllers.balance.load import LEAST_REFRESH_SECONDS
from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.domain.balance.zones import ZoneReading, zone_weights
from spillway.domain.model.owners import workload_of
from spillway.domain.model.records import OwnerRecord, PodRecord
from spillway.kube.client import Transport
from spillway.kube.errors import RequestError
from spillway.kube.resource_metrics import PodUsage, pod_usage
from spillway.kube.slices import in_slices
from spillway.sources.connection import Connection
from spillway.sources.prometheus import NoPrometheusError, Prometheus, PrometheusError
from spillway.sources.zone_load import zone_loads
from spillway.state.claims import balance_of

LEAST_MEASURED: float = 0.8
"""The part of a workload's ready pods that must have been measured."""
Loads = Mapping[str, Mapping[str, float]]
"""By workload (`namespace/name`) and zone."""


class ZoneLoadController(Controller):
    """The controller of zone loads, with one key per ZonalBalance."""

    name: ClassVar = "zone-load"

    def __init__(self, world: World, client: Transport, prometheus: Connection | None) -> None:
        super().__init__(world)
        self._client = client
        self._prometheus = prometheus
        self._read: dict[str, tuple[float, ZonePreference]] = {}
        """When each ZonalBalance was last read, and by which section."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(self.add_all)

    def all_keys(self) -> Iterable[str]:
        return {*self.world.governance.balances, *self._read}

    async def reconcile(self, key: str) -> float | None:
        balance = self.world.governance.balances.get(key)
        preference = None if balance is None else balance.spec.zone_preference
        if balance is None or preference is None:
            self._read.pop(key, None)
            self.world.board.set_zone_reading(key, None)
            return None
        now = self.world.now()
        refresh = float(max((balance.spec.load or Load()).refresh.seconds, LEAST_REFRESH_SECONDS))
        last, by = self._read.get(key, (0.0, None))
        if by == preference and last <= now < last + refresh:
            return last + refresh - now
        self._read[key] = now, preference
        try:
            loads = await self._loads(balance, preference, now)
        except (RequestError, PrometheusError) as error:
            self.log.warning("the load by zone cannot be read", key=key, error=str(error))
            return refresh
        percent = float(preference.when_differs_by_percent)
        weights = {name: found for name, zones in loads.items() if (found := zone_weights(zones, percent))}
        self.world.board.set_zone_reading(key, ZoneReading(now, weights))
        return refresh

    async def _loads(self, balance: ZonalBalance, preference: ZonePreference, now: float) -> Loads:
        if preference.from_ is None:
            return await self._measured(balance)
        if self._prometheus is None:
            raise NoPrometheusError("the operator has no Prometheus (--prometheus-url)")
        async with Prometheus(self._prometheus) as prometheus:
            return await zone_loads(prometheus, preference.from_.query, now=now)

    async def _measured(self, balance: ZonalBalance) -> Loads:
        """The mean CPU of the ready pods of each workload by zone, as metrics.k8s.io reports it."""
        state, governance = self.world.state, self.world.governance
        covered: dict[str, list[OwnerRecord]] = defaultdict(list)
        async for one in in_slices(list(state.replicasets.values())):
            if one.replicas and balance_of(state, governance, one) == balance.metadata.name:
                covered[one.namespace].append(one)
        found: dict[str, Mapping[str, float]] = {}
        for namespace, owners in covered.items():
            used = await pod_usage(self._client, namespace)
            pods: dict[str, list[PodRecord]] = defaultdict(list)
            for owner in owners:
                pods[f"{namespace}/{workload_of(owner).name}"] += state.pods_of(owner.uid)
            async for name, members in in_slices(list(pods.items())):
                found[name] = self._by_zone(members, used, balance.spec.zone_key)
        return found

    def _by_zone(self, pods: Iterable[PodRecord], used: Mapping[str, PodUsage], zone_key: str) -> Mapping[str, float]:
        """The mean CPU by zone; of a zone in which too few pods were measured it is not known."""
        nodes = self.world.state.nodes
        by_zone: dict[str, list[float | None]] = defaultdict(list)
        for pod in pods:
            node = nodes.get(pod.node)
            if node is not None and pod.ready and pod.active and (zone := node.labels.get(zone_key)):
                by_zone[zone].append(used[pod.name].cpu_millis if pod.name in used else None)
        means: dict[str, float] = {}
        for zone, values in by_zone.items():
            known = [value for value in values if value is not None]
            enough = known and len(known) >= LEAST_MEASURED * len(values)
            means[zone] = sum(known) / len(known) if enough else math.nan
        return means
