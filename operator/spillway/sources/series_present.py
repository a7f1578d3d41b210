"""What is wrong with the series that Spillway reads from a Prometheus."""

from collections.abc import Container, Iterable
from typing import Final

from spillway.domain.balance.zone_loads import invalid_zone
from spillway.domain.doctor.histories import KnownSeries
from spillway.domain.forecast.refresh import DemandSource
from spillway.sources.prometheus import PrometheusError, PrometheusUnreachableError
from spillway.sources.prometheus_replicas import OTHER_SOURCE
from spillway.sources.prometheus_use import USED
from spillway.sources.queries import Queries
from spillway.sources.selectors import selector, with_matchers
from spillway.telemetry.threshold import WORKLOAD_REPLICAS

_RECENT: Final = "15m"
_METRICS: Final = {
    KnownSeries.OPERATOR: (KnownSeries.OPERATOR.value,),
    KnownSeries.REPLICAS: (WORKLOAD_REPLICAS.name, OTHER_SOURCE),
    KnownSeries.CPU: (USED[DemandSource.CPU].rule, KnownSeries.CPU.value),
    KnownSeries.MEMORY: (USED[DemandSource.MEMORY].rule, KnownSeries.MEMORY.value),
}
"""One of these has to be there."""


async def problems_of(
    prometheus: Queries, wanted: Iterable[KnownSeries | str], *, by_zone: Container[KnownSeries | str], now: float
) -> dict[KnownSeries | str, str]:
    """What is wrong with each of these series that is not as it should be; those `by_zone` have the label `zone`.

    Raises:
        PrometheusUnreachableError: Prometheus does not answer.
    """
    found: dict[KnownSeries | str, str] = {}
    for one in set(wanted):
        try:
            answer = await prometheus.instant(_query(prometheus, one), now)
            if not answer:
                found[one] = _missing(one)
            elif one in by_zone and (invalid := invalid_zone(series.labels for series in answer)):
                found[one] = invalid
        except PrometheusUnreachableError:
            raise
        except PrometheusError as error:
            found[one] = f"{error}"
    return found


def _query(prometheus: Queries, series: KnownSeries | str) -> str:
    if not isinstance(series, KnownSeries):
        return with_matchers(series, prometheus.connection)
    selected = (selector(prometheus.connection, metric) for metric in _METRICS[series])
    return " or ".join(f"group(last_over_time({one}[{_RECENT}]))" for one in selected)


def _missing(series: KnownSeries | str) -> str:
    return f"there is no {series.value}" if isinstance(series, KnownSeries) else f"the query has no value now: {series}"
