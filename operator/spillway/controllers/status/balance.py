"""The status of a ZonalBalance: which zones there are, and how even its workloads stand in them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from spillway.api.conditions import READY, Condition
from spillway.api.zonalbalance import ZonalBalance, ZonalBalanceStatus, ZoneState
from spillway.controllers.status.conditions import Findings, conditions
from spillway.domain.model.records import NodeRecord

ZONES_MAX = 64


def balance_status(
    balance: ZonalBalance,
    *,
    current: ZonalBalanceStatus,
    nodes: Iterable[NodeRecord],
    workloads: Mapping[str, Counter[str]],
    findings: Findings,
    now: datetime,
) -> ZonalBalanceStatus:
    """What the status should be; `nodes` are those selected, `workloads` their pods by zone."""
    key = balance.spec.zone_key
    node_zones = Counter(node.labels.get(key, "") for node in nodes)
    zones = [zone for zone in node_zones if zone]
    skews = [_skew(pods, zones) for pods in workloads.values()]
    pod_zones: Counter[str] = Counter()
    for pods in workloads.values():
        pod_zones.update(pods)
    uneven = sum(skew > balance.spec.max_skew for skew in skews)
    return current.model_copy(
        update={
            "observed_generation": balance.metadata.generation,
            "workloads": len(workloads),
            "uneven_workloads": uneven,
            "max_skew": max(skews, default=0),
            "zones": tuple(
                ZoneState(name=zone, nodes=node_zones[zone], pods=pod_zones[zone])
                for zone in sorted(node_zones)[:ZONES_MAX]
            ),
            "conditions": conditions(
                current.conditions, findings, _ready(now), generation=balance.metadata.generation, now=now
            ),
        }
    )


def _skew(pods: Counter[str], zones: Iterable[str]) -> int:
    counts = [pods[zone] for zone in zones]
    return max(counts) - min(counts) if counts else 0


def _ready(now: datetime) -> Condition:
    message = "A scale-down keeps the zones of the governed workloads within maxSkew."
    return Condition.make(READY, holds=True, reason="Balancing", message=message, now=now)
