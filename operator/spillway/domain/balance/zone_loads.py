"""The pods and the load of a workload in each of its zones, and whether a reading of such loads is good.

Contract: pure. The load of a zone is nan where it is not known, and then all zones of the workload count as equal
(`zones.zone_weights`).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from spillway.api.common import is_label_value
from spillway.domain.balance.load import LEAST_SHARE, LoadProblem
from spillway.domain.balance.zones import usable_load
from spillway.domain.model.names import NodeName, Zone
from spillway.domain.model.records import NodeRecord, PodRecord

LEAST_MEASURED: Final = 0.8
"""The part of a workload's ready pods that must have been measured."""
_SHOWN: Final = 63
"""The most characters of a label's value that a message shows."""
PARTIAL_ZONE_LOAD: Final = "PartialZoneLoad"
"""The reason if the load of too many workloads is not known; that of the others is used."""
INVALID_ZONE: Final = "InvalidZone"
"""The reason if the answer has zones that no node can be in; they are ignored, and the others are used."""
PodsByZone = Mapping[str, list[PodRecord]]


class CpuUse(Protocol):
    """What one pod uses."""

    @property
    def cpu_millis(self) -> float:
        """CPU in use, in thousandths of a core."""


def pods_by_zone(pods: Iterable[PodRecord], nodes: Mapping[NodeName, NodeRecord], zone_key: str) -> Mapping[Zone, int]:
    """The number of these pods in each zone; those on no such node, or on one without a zone, are left out."""
    zones = (nodes[pod.node].zone_by(zone_key) for pod in pods if pod.node in nodes)
    return Counter(zone for zone in zones if zone)


def ready_by_zone(pods: Iterable[PodRecord], nodes: Mapping[NodeName, NodeRecord], zone_key: str) -> PodsByZone:
    """Those of the pods that are ready, by the zone of their node; pods in no zone are left out."""
    found: dict[str, list[PodRecord]] = defaultdict(list)
    for pod in pods:
        node = nodes.get(pod.node)
        if node is not None and pod.ready and pod.active and (zone := node.zone_by(zone_key)):
            found[zone].append(pod)
    return found


def mean_cpu(pods: PodsByZone, used: Mapping[str, CpuUse]) -> Mapping[str, float]:
    """The mean CPU by zone; nan for a zone in which too few of the pods were measured. `used` is by the pod's name."""
    means: dict[str, float] = {}
    for zone, there in pods.items():
        known = [used[pod.name].cpu_millis for pod in there if pod.name in used]
        enough = known and len(known) >= LEAST_MEASURED * len(there)
        means[zone] = sum(known) / len(known) if enough else math.nan
    return means


def with_gaps(loads: Mapping[str, float], zones: Iterable[str]) -> Mapping[str, float]:
    """The loads of a workload that has replicas in these zones: nan for one of them that has no value."""
    return {**dict.fromkeys(zones, math.nan), **loads}


def invalid_zone(series: Iterable[Mapping[str, str]]) -> str:
    """What is wrong with the label `zone` of these series; empty if each value can be that of a node's label."""
    invalid = min((one for labels in series if not is_label_value(one := labels.get("zone", ""))), default="")
    return invalid and f"the query has the value {invalid[:_SHOWN]!r} of the label zone, which no node can have"


def checked_zones(workloads: Mapping[str, Mapping[str, float]], invalid: str = "") -> LoadProblem | None:
    """What is wrong with the loads of these workloads as a whole; None if nothing is.

    Of the workloads with replicas in several zones, `LEAST_SHARE` must have a usable load in each of their zones.
    `invalid` is what `invalid_zone` found.
    """
    several = {name: loads for name, loads in workloads.items() if len(loads) > 1}
    bad = {
        name: zones
        for name, loads in several.items()
        if (zones := [zone for zone in loads if not usable_load(loads[zone])])
    }
    good = len(several) - len(bad)
    if good >= LEAST_SHARE * len(several):
        return LoadProblem(INVALID_ZONE, invalid) if invalid else None
    name = min(bad)
    return LoadProblem(
        PARTIAL_ZONE_LOAD,
        f"{len(bad)} of {len(several)} workloads with replicas in several zones have no usable value in one or more of "
        f"these, and at most {1 - LEAST_SHARE:.0%} of them may: {name} has none in {min(bad[name])}"
        + (f"; {invalid}" if invalid else ""),
    )
