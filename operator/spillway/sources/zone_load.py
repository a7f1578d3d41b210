"""The load of workloads by zone from Prometheus: one value by the labels `zone`, `namespace` and `workload`."""

import math
from collections.abc import Mapping

import numpy as np

from spillway.sources.prometheus_replicas import namespace_of
from spillway.sources.queries import Queries
from spillway.sources.selectors import with_matchers


async def zone_loads(
    prometheus: Queries, query: str, *, now: float, stale_after: float
) -> Mapping[str, Mapping[str, float]]:
    """The load by workload (`namespace/name`) and zone; a series without one of the labels is left out.

    Of several series of a workload in one zone the highest value counts. Samples that are older than `stale_after`
    seconds are not read.

    Raises:
        PrometheusError: the query has no answer.
    """
    found: dict[str, dict[str, float]] = {}
    asked = with_matchers(query, prometheus.connection)
    for series in await prometheus.instant(asked, now, lookback_seconds=stale_after):
        zone, workload = series.labels.get("zone", ""), series.labels.get("workload", "")
        namespace = namespace_of(series.labels)
        if zone and workload and namespace and series.values.size:
            zones = found.setdefault(f"{namespace}/{workload}", {})
            # Unlike `max`, `fmax` keeps nan only where there is no other value.
            zones[zone] = float(np.fmax(zones.get(zone, math.nan), series.values[-1]))
    return found
