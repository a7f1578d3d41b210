"""The demand histories of workloads from Prometheus, read with a few queries for thousands of workloads.

Contract: each workload has one series on a regular grid with the highest value within each step, so that a spike of a
minute is not lost between two points. The value is the number of replicas that the workload requested (Spillway's own
gauge; where that is too young, the metric of kube-state-metrics for Deployments), or, if its class names a query, the
value of the query divided by the load of one replica. Batches are read one after the other and are not kept. A user's
query that is refused leaves only its own workload without history.
"""

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
import structlog

from spillway.domain.threshold.history import STEP_SECONDS, History
from spillway.sources.prometheus import Prometheus, RefusedError, Series
from spillway.telemetry.prerendered import workload_labels
from spillway.telemetry.threshold import WORKLOAD_REPLICAS

log: Final = structlog.get_logger(__name__)

BATCH: Final = 100
"""Workloads per request: 14 days of them are 9 MB of JSON."""
QUERY_BATCH: Final = 16
"""Users' queries per request; each costs Prometheus five times its own evaluation."""
QUERY_RESOLUTION_SECONDS: Final = 60
ENOUGH_SECONDS: Final = 2 * 86_400.0
"""With so much history no other source is needed."""
OTHER_SOURCE: Final = "kube_deployment_spec_replicas"
_MARK: Final = "spillway_workload"
_EMPTY: Final = np.empty(0)


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """A request for the history of one workload."""

    workload: str
    """Kind/namespace/name, for example Deployment/shop/cart."""
    seconds: float
    """The length of the history in seconds."""
    query: str = ""
    """PromQL for its demand, with $(namespace) and $(workload) filled in; empty for its number of replicas."""
    per_replica: float = 1.0
    """The part of the query's value that one replica carries."""


def filled_in(query: str, workload: str) -> str:
    """The query with $(namespace) and $(workload) replaced by the workload's."""
    namespace, _, name = workload_labels(workload)
    return query.replace("$(namespace)", namespace).replace("$(workload)", name)


async def histories(
    prometheus: Prometheus, wanted: Iterable[HistoryRequest], *, now: float, step_seconds: float = STEP_SECONDS
) -> AsyncIterator[Sequence[History]]:
    """The histories up to `now`, in batches; each requested workload occurs once, without points if it has no history.

    Raises:
        PrometheusError: Prometheus does not answer, or refuses one of Spillway's own queries.
    """
    end = now // step_seconds * step_seconds
    # Workloads of the same name are put together, because a batch selects by name.
    ordered = sorted(wanted, key=lambda one: (bool(one.query), one.seconds, workload_labels(one.workload)[2]))
    for (by_query, seconds), group in groupby(ordered, key=lambda one: (bool(one.query), one.seconds)):
        start = end - max(seconds // step_seconds, 1) * step_seconds
        span = _Span(start, end, step_seconds)
        members = list(group)
        size = QUERY_BATCH if by_query else BATCH
        for first in range(0, len(members), size):
            batch = members[first : first + size]
            yield await (_by_query(prometheus, batch, span) if by_query else _by_count(prometheus, batch, span))


@dataclass(frozen=True, slots=True)
class _Span:
    start: float
    end: float
    step_seconds: float

    async def ask(self, prometheus: Prometheus, query: str) -> list[Series]:
        return await prometheus.range(query, self.start, self.end, self.step_seconds)

    def highest(self, selector: str, *labels: str) -> str:
        """A query for the highest value within each step, grouped by these labels."""
        return f"max by ({', '.join(labels)}) (max_over_time({selector}[{self.step_seconds:g}s]))"


async def _by_count(prometheus: Prometheus, batch: Sequence[HistoryRequest], span: _Span) -> list[History]:
    keys = {workload_labels(one.workload): one.workload for one in batch}
    ours = span.highest(
        f"{WORKLOAD_REPLICAS.name}{{workload=~{_any_of(name for _, _, name in keys)}}}",
        *("namespace", "exported_namespace", "kind", "workload"),
    )
    found: dict[str, Series] = {}
    for series in await span.ask(prometheus, ours):
        labels = series.labels
        workload = keys.get((_namespace(labels), labels.get("kind", ""), labels.get("workload", "")))
        if workload is not None:
            found[workload] = series
    young = {
        key: workload
        for key, workload in keys.items()
        if key[1] == "Deployment" and _seconds(found.get(workload)) < ENOUGH_SECONDS
    }
    if young:
        theirs = span.highest(
            f"{OTHER_SOURCE}{{deployment=~{_any_of(name for _, _, name in young)}}}",
            *("namespace", "exported_namespace", "deployment"),
        )
        for series in await span.ask(prometheus, theirs):
            workload = young.get((_namespace(series.labels), "Deployment", series.labels.get("deployment", "")))
            if workload is not None and _seconds(series) > _seconds(found.get(workload)):
                found[workload] = series
    return [_history(one, [found[one.workload]] if one.workload in found else []) for one in batch]


async def _by_query(prometheus: Prometheus, batch: Sequence[HistoryRequest], span: _Span) -> list[History]:
    try:
        answer = await span.ask(prometheus, "\nor ".join(_marked(one, span) for one in batch))
    except RefusedError as error:
        if len(batch) == 1:
            log.warning("the query of a workload is refused", key=batch[0].workload, error=str(error))
            return [History(batch[0].workload, _EMPTY, _EMPTY, str(error))]
        return [one for part in batch for one in await _by_query(prometheus, [part], span)]
    found: dict[str, list[Series]] = {}
    for series in answer:
        found.setdefault(series.labels.get(_MARK, ""), []).append(series)
    return [_history(one, found.get(one.workload, [])) for one in batch]


def _marked(wanted: HistoryRequest, span: _Span) -> str:
    # Each query is on a line of its own, because it may end with a comment.
    highest = f"max_over_time(sum(\n{wanted.query}\n)[{span.step_seconds:g}s:{QUERY_RESOLUTION_SECONDS}s])"
    return f'label_replace({highest}, "{_MARK}", "{wanted.workload}", "", "")'


def _history(wanted: HistoryRequest, found: Sequence[Series]) -> History:
    if not found:
        return History(wanted.workload, _EMPTY, _EMPTY)
    times, values = found[0].times, found[0].values / wanted.per_replica
    known = np.isfinite(values)
    return History(wanted.workload, times[known], np.maximum(values[known], 0.0))


def _namespace(labels: Mapping[str, str]) -> str:
    """The namespace of the workload; a scrape without `honor_labels` renames it, as it sets the exporter's own."""
    return labels.get("exported_namespace") or labels.get("namespace", "")


def _any_of(names: Iterable[str]) -> str:
    pattern = "|".join(sorted({re.escape(name).replace("\\-", "-") for name in names}))
    return '"' + pattern.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _seconds(series: Series | None) -> float:
    return float(series.times[-1] - series.times[0]) if series is not None and series.times.size else 0.0
