"""The load of workloads by zone from Prometheus: one value by the labels `zone`, `namespace` and `workload`."""

import math
from collections.abc import Container, Mapping
from typing import NamedTuple

import numpy as np

from spillway.domain.balance.zone_loads import invalid_zone
from spillway.sources.prometheus_replicas import namespace_of
from spillway.sources.queries import Queries
from spillway.sources.selectors import with_matchers


class ZoneLoads(NamedTuple):
    """The answer of a query for the load by zone."""

    by_workload: Mapping[str, Mapping[str, float]]
    """By workload (`namespace/name`) and zone."""
    invalid: str
    """What is wrong with zones that no node can be in; empty if there are none."""


async def zone_loads(
    prometheus: Queries, query: str, *, zones: Container[str], now: float, stale_after: float
) -> ZoneLoads:
    """The load in these `zones`; a series without one of the labels, or of another zone, is left out.

    Of several series of a workload in one zone the highest value counts. Samples that are older than `stale_after`
    seconds are not read.

    Raises:
        PrometheusError: the query has no answer.
    """
    found: dict[str, dict[str, float]] = {}
    asked = with_matchers(query, prometheus.connection)
    answer = await prometheus.instant(asked, now, lookback_seconds=stale_after)
    for series in answer:
        zone, workload = series.labels.get("zone", ""), series.labels.get("workload", "")
        namespace = namespace_of(series.labels)
        if zone in zones and workload and namespace and series.values.size:
            loads = found.setdefault(f"{namespace}/{workload}", {})
            # Unlike `max`, `fmax` keeps nan only where there is no other value.
            loads[zone] = float(np.fmax(loads.get(zone, math.nan), series.values[-1]))
    return ZoneLoads(found, invalid_zone(series.labels for series in answer))
