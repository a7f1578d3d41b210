"""The check of Prometheus: whether it has the series that policies, balances and reports are computed from.

Contract: pure. `needed` says which series the resources read; whoever asks Prometheus says for each what is wrong with
it. A query with `$(workload)` or `$(namespace)` has as many values as there are workloads, and is not checked.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Final

import msgspec

from spillway.api import ElasticPolicy, ZonalBalance
from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.overview.attention import Severity

PROMETHEUS: Final = "Prometheus"
"""What a finding about the server as a whole is about."""
_BY_WORKLOAD: Final = ("$(workload)", "$(namespace)")


class KnownSeries(Enum):
    """Series that Spillway itself asks for."""

    OPERATOR = "spillway_build_info"
    REPLICAS = "spillway_workload_replicas or kube_deployment_spec_replicas"
    CPU = "container_cpu_usage_seconds_total"
    MEMORY = "container_memory_working_set_bytes"


class Needed(msgspec.Struct, frozen=True):
    """The series that a part of a resource reads, Spillway's own or PromQL of the user's, and what fails without it."""

    object: str
    """The kind and the name of the resource: Kind/name."""
    part: str
    """The class of a policy, or the field of a ZonalBalance."""
    series: KnownSeries | str
    otherwise: str
    by_zone: bool = False
    """Whether the values are by the zones of nodes, in the label `zone`."""


def needed(policies: Iterable[ElasticPolicy], balances: Iterable[ZonalBalance]) -> Iterator[Needed]:
    """What these resources read from Prometheus."""
    yield from _of_policies(policies)
    for balance in balances:
        about, spec = f"ZonalBalance/{balance.metadata.name}", balance.spec
        queries = spec.effective_load.queries if spec.reads_load else None
        if queries is not None:
            yield Needed(about, "load.queries.cpu", queries.cpu, "the load of the nodes is not known")
            if queries.memory is not None:
                yield Needed(about, "load.queries.memory", queries.memory, "the load of the nodes is not known")
        if spec.zone_preference is not None and spec.zone_preference.from_ is not None:
            query = spec.zone_preference.from_.query
            otherwise = "zones are not preferred by their load"
            yield Needed(about, "zonePreference.from.query", query, otherwise, by_zone=True)


def _of_policies(policies: Iterable[ElasticPolicy]) -> Iterator[Needed]:
    for policy in policies:
        about = f"ElasticPolicy/{policy.metadata.name}"
        for one in policy.spec.workloads:
            part = f"class {one.name}"
            if one.plans_threshold:
                yield Needed(about, part, KnownSeries.REPLICAS, "no threshold is planned")
            target = None if one.scaling is None or not one.scaling.forecasts else one.scaling.target
            if target is None:
                continue
            series = target.query or (KnownSeries.MEMORY if target.metric == "memory" else KnownSeries.CPU)
            if isinstance(series, KnownSeries) or not any(part in series for part in _BY_WORKLOAD):
                yield Needed(about, part, series, "no demand is forecast")


def check_series(needs: Iterable[Needed], problems: Mapping[KnownSeries | str, str]) -> Iterator[Finding]:
    """A finding for each need whose series has a problem, and one if the operator is not scraped."""
    if KnownSeries.OPERATOR in problems:
        yield Finding(
            Severity.WARNING,
            Check.PROMETHEUS,
            PROMETHEUS,
            f"{problems[KnownSeries.OPERATOR]}: Prometheus does not scrape the operator, so savings, reports, "
            "dashboards and alerts have no data",
            "Set metrics.serviceMonitor.enabled or metrics.podMonitor.enabled of the chart, or add a scrape "
            "configuration for the metrics port. If it holds several clusters, check --prometheus-matcher.",
        )
    for need in needs:
        if need.series in problems:
            own = isinstance(need.series, KnownSeries)
            yield Finding(
                Severity.WARNING,
                Check.PROMETHEUS,
                need.object,
                f"{need.part}: {need.otherwise}: {problems[need.series]}",
                "Let Prometheus scrape what exports this series."
                if own
                else "Run the query in Prometheus, and correct it in the resource.",
            )
