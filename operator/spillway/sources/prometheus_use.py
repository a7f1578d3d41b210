"""The demand of workloads from Prometheus: the CPU or memory that their pods use, or the value of a user's query.

Contract: amounts are cores, bytes, or the query's own unit, by workload and step of five minutes; each is the highest
of the step's five values of a minute, so that a spike survives. A workload's use is read from the recording rules that
the chart brings, and where they have nothing, from the kubelets' metrics of containers, summed over the pods that have
a name of the workload's. A container that is scraped twice counts once. Use of CPU is the rate between the last two
scrapes, as metrics-server computes it; a counter that begins again is not taken for use, and two scrapes are less than
two minutes apart. A workload that fails has a problem, and the others of its batch do not.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, NamedTuple

from spillway.domain.forecast.refresh import DemandSource
from spillway.domain.forecast.spec import STEP_SECONDS
from spillway.domain.model.owners import WorkloadKey
from spillway.domain.threshold.history import NO_POINTS, History
from spillway.sources.batches import Batches
from spillway.sources.connection import Connection, quoted
from spillway.sources.pod_names import PodNames, pod_names
from spillway.sources.points import MARK, QUERY_BATCH, RESOLUTION_SECONDS, Points, add_points, points_of_queries
from spillway.sources.prometheus import Series
from spillway.sources.queries import Queries
from spillway.sources.selectors import any_of

USE_BATCH: Final = 100
"""Workloads per request for their use."""
_TOLERATED_STEPS: Final = 2
"""So many may be missing in the rules' answer before the containers' metrics are asked, but not the last one."""
CONTAINERS: Final = 'container!="",container!="POD"'


class _Used(NamedTuple):
    rule: str
    """The recording rule of the chart."""
    containers: str
    """The same by container; the braces are the place of a selector."""


USED: Final[Mapping[DemandSource, _Used]] = {
    DemandSource.CPU: _Used(
        "namespace_workload:spillway_used_cpu_cores:sum", "irate(container_cpu_usage_seconds_total{}[2m])"
    ),
    DemandSource.MEMORY: _Used(
        "namespace_workload:spillway_used_memory_bytes:sum", "container_memory_working_set_bytes{}"
    ),
}


@dataclass(frozen=True, slots=True)
class DemandQuery:
    """What is to be read of one workload."""

    workload: str
    """Its key, Kind/namespace/name."""
    source: DemandSource
    query: str = ""
    """PromQL, for the source QUERY."""


async def demands(
    prometheus: Queries,
    batches: Batches[DemandQuery],
    wanted: Iterable[DemandQuery],
    first: int,
    end: int,
    *,
    business: Queries | None = None,
) -> AsyncIterator[Sequence[History]]:
    """The demand of the steps `first` to `end - 1` (step n begins n x 300 s after 1970), in batches.

    The time of a value is the end of its step. Each requested workload occurs once. With `business`, users' queries are
    sent by that client, one at a time.

    Raises:
        PrometheusError: Prometheus does not answer.
    """
    span = _Span(prometheus, (first + 1) * STEP_SECONDS, end * float(STEP_SECONDS))
    named = [(pod_names(one.workload), one) for one in wanted]
    ordered = sorted(named, key=lambda pair: (pair[1].source, pair[0].suffix, pair[1].workload.partition("/")[2]))
    for (source, _), group in groupby(ordered, key=_batched_by):
        members = [one for _, one in group]
        by_query = source is DemandSource.QUERY
        size, ask = (QUERY_BATCH, span.by_query) if by_query else (USE_BATCH, span.by_use)
        if by_query and business is not None:
            size, ask = 1, replace(span, prometheus=business).by_query
        for start in range(0, len(members), size):
            yield await batches.read(members[start : start + size], ask)


def _batched_by(pair: tuple[PodNames, DemandQuery]) -> tuple[DemandSource, str]:
    names, one = pair
    return one.source, "" if one.source is DemandSource.QUERY else names.suffix


@dataclass(frozen=True, slots=True)
class _Span:
    """A server and the ends of the first and the last step that are read from it."""

    prometheus: Queries
    first: float
    last: float

    async def by_query(self, batch: Sequence[DemandQuery], seconds: float) -> list[History]:
        queries, span = {one.workload: one.query for one in batch}, (self.first, self.last)
        found = await points_of_queries(self.prometheus, queries, span=span, step_seconds=STEP_SECONDS, seconds=seconds)
        return [_history(one, found) for one in batch]

    async def by_use(self, batch: Sequence[DemandQuery], seconds: float) -> list[History]:
        """The use of workloads of one source, whose pods' names have one suffix."""
        used, named = USED[batch[0].source], {one.workload: pod_names(one.workload) for one in batch}
        found: dict[str, Points] = {}
        by_rule = {(_namespace(key), names.rule): key for key, names in named.items() if names.rule}
        if by_rule:
            asked = rule_query(self.prometheus.connection, used.rule, [rule for _, rule in by_rule])
            for series in await self._ask(asked, seconds):
                add_points(
                    found, by_rule.get((series.labels.get("namespace", ""), series.labels.get("workload", ""))), series
                )
        lacking = [key for key in named if not self._complete(found.get(key))]
        if lacking:
            by_stem = {(_namespace(key), named[key].stem): key for key in lacking}
            for series in await self._ask(use_query(self.prometheus.connection, used.containers, lacking), seconds):
                add_points(found, by_stem.get(_labels(series, MARK)), series)
        return [_history(one, found) for one in batch]

    def _complete(self, points: Points | None) -> bool:
        steps = (self.last - self.first) / STEP_SECONDS + 1
        if points is None or not points[0].size:
            return False
        return bool(points[0][-1] == self.last and points[0].size >= steps - _TOLERATED_STEPS)

    async def _ask(self, query: str, seconds: float) -> list[Series]:
        return await self.prometheus.range(query, self.first, self.last, STEP_SECONDS, seconds=seconds)


def rule_query(connection: Connection, rule: str, workloads: Iterable[str]) -> str:
    """The highest value of a recording rule in each step; a workload is named as in `PodNames.rule`."""
    selected = f"workload=~{quoted(any_of(workloads))},{connection.selected}"
    return f"max by (namespace, workload) (max_over_time({rule}{{{selected}}}[{STEP_SECONDS}s]))"


def use_query(connection: Connection, containers: str, workloads: Sequence[str]) -> str:
    """The highest use in each step, from the metrics of containers; the pods' names have one suffix."""
    names = [pod_names(one) for one in workloads]
    pods = f"({any_of(one.stem for one in names)}){names[0].suffix}"
    namespaces = any_of(_namespace(one) for one in workloads)
    selected = f"{CONTAINERS},namespace=~{quoted(namespaces)},pod=~{quoted(pods)},{connection.selected}"
    by_container = f"max by (namespace, pod, container) ({containers.replace('{}', f'{{{selected}}}')})"
    by_pod = f"sum by (namespace, pod) ({by_container})"
    marked = f'label_replace({by_pod}, "{MARK}", "$1", "pod", {quoted(pods)})'
    highest = f"(sum by (namespace, {MARK}) ({marked}))[{STEP_SECONDS}s:{RESOLUTION_SECONDS:g}s]"
    return f"max_over_time({highest})"


def _labels(series: Series, label: str) -> tuple[str, str]:
    return series.labels.get("namespace", ""), series.labels.get(label, "")


def _namespace(workload: str) -> str:
    return WorkloadKey.parse(workload).namespace


def _history(wanted: DemandQuery, found: Mapping[str, Points]) -> History:
    return History(wanted.workload, *found.get(wanted.workload, (NO_POINTS, NO_POINTS)))
