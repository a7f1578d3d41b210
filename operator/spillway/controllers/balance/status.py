"""The part of a ZonalBalance's status about zones: which there are, and how evenly its workloads are spread over them.

Contract: pure, except for the contributor that reads the values.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from spillway.api.conditions import READY
from spillway.api.zonalbalance import ZonalBalance, ZonalBalanceStatus, ZoneState
from spillway.controllers.base import World
from spillway.controllers.status.part import ObservedCondition, StatusPart
from spillway.controllers.status.workload_counts import WorkloadCounts
from spillway.domain.model.records import NodeRecord, ReplicaSetRecord
from spillway.domain.model.selectors import selects
from spillway.state.claims import balance_of

ZONES_MAX: Final = 64
_BALANCING: Final = ObservedCondition(
    READY,
    holds=True,
    reason="Balancing",
    message="A scale-down keeps the zones of the governed workloads within maxSkew.",
)


class BalanceContributor:
    """The contributor of zones."""

    def __init__(self, world: World, counts: WorkloadCounts) -> None:
        self._world = world
        self._counts = counts

    def part(self, model: ZonalBalance, _current: ZonalBalanceStatus, _now: datetime) -> StatusPart:
        """The part of one balance."""
        nodes = self._world.state.nodes.values()
        selected = [node for node in nodes if selects(model.spec.node_selector, node.labels)]
        return balance_part(model, selected, self._counts.zones_by_workload(self._covered(model.metadata.name)))

    def _covered(self, balance: str) -> Iterable[ReplicaSetRecord]:
        state, governance = self._world.state, self._world.governance
        return (one for one in state.replicasets.values() if balance_of(state, governance, one) == balance)


def balance_part(
    balance: ZonalBalance, nodes: Iterable[NodeRecord], workloads: Mapping[str, Counter[str]]
) -> StatusPart:
    """The part of a balance that selects these nodes and covers these workloads, with their pods by zone."""
    node_zones = Counter(node.labels.get(balance.spec.zone_key, "") for node in nodes)
    zones = [zone for zone in node_zones if zone]
    skews = [_skew(pods, zones) for pods in workloads.values()]
    pod_zones: Counter[str] = Counter()
    for pods in workloads.values():
        pod_zones.update(pods)
    fields = {
        "workloads": len(workloads),
        "uneven_workloads": sum(skew > balance.spec.max_skew for skew in skews),
        "max_skew": max(skews, default=0),
        "zones": tuple(
            ZoneState(name=zone, nodes=node_zones[zone], pods=pod_zones[zone])
            for zone in sorted(node_zones)[:ZONES_MAX]
        ),
    }
    return StatusPart(fields, (_BALANCING,))


def _skew(pods: Counter[str], zones: Iterable[str]) -> int:
    counts = [pods[zone] for zone in zones]
    return max(counts) - min(counts) if counts else 0
