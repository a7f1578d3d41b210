"""The demand histories of workloads from Prometheus, read with a few queries for thousands of workloads.

Contract: each workload has one series on a regular grid with the highest value within each step, so that a spike of a
minute is not lost between two points. The value is the number of replicas that the workload requests: that of the
Deployment's `spec.replicas`, also during a rollout, when there are more pods. At each step it is Spillway's own gauge,
and where that has no sample, for Deployments, the metric of kube-state-metrics. If its class names a query, the value
is that of the query divided by the load of one replica. Batches are read one after the other and are not kept. A
workload whose query fails is left without history, and the others are not.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np

from spillway.domain.threshold.history import NO_POINTS, STEP_SECONDS, History, HistoryProblem
from spillway.sources.batches import Batches, Patience
from spillway.sources.points import QUERY_BATCH, Points, add_points, points_of_queries
from spillway.sources.prometheus import Prometheus, Series
from spillway.sources.selectors import selector
from spillway.telemetry.prerendered import workload_labels
from spillway.telemetry.threshold import WORKLOAD_REPLICAS

BATCH: Final = 100
"""Workloads per request: 14 days of them are 9 MB of JSON."""
OTHER_SOURCE: Final = "kube_deployment_spec_replicas"
_TOLERATED_STEPS: Final = 2
"""So many may be missing before the other source is asked, as the first and the last often are."""


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


async def histories(
    prometheus: Prometheus,
    wanted: Iterable[HistoryRequest],
    *,
    now: float,
    step_seconds: float = STEP_SECONDS,
    patience: Patience | None = None,
) -> AsyncIterator[Sequence[History]]:
    """The histories up to `now`, in batches; each requested workload occurs once, without points if it has no history.

    Raises:
        PrometheusError: Prometheus does not answer.
    """
    end = now // step_seconds * step_seconds
    batches = Batches[HistoryRequest](prometheus.check, lambda one: one.workload, patience or Patience())
    # Workloads of the same name are put together, because a batch selects by name.
    ordered = sorted(wanted, key=lambda one: (bool(one.query), one.seconds, workload_labels(one.workload)[2]))
    for (by_query, seconds), group in groupby(ordered, key=lambda one: (bool(one.query), one.seconds)):
        # The value at a time is that of the step before it.
        start = end - (max(seconds // step_seconds, 1) - 1) * step_seconds
        span = _Span(prometheus, start, end, step_seconds)
        members = list(group)
        size = QUERY_BATCH if by_query else BATCH
        for first in range(0, len(members), size):
            ask = span.by_query if by_query else span.by_count
            yield await batches.read(members[first : first + size], ask, own=not by_query)


@dataclass(frozen=True, slots=True)
class _Span:
    """A server and the part of the past that is read from it."""

    prometheus: Prometheus
    start: float
    end: float
    step_seconds: float

    async def by_count(self, batch: Sequence[HistoryRequest], seconds: float) -> list[History]:
        """The histories by the number of replicas."""
        keys = {workload_labels(one.workload): one.workload for one in batch}
        ours = await self._ask(
            self._highest(WORKLOAD_REPLICAS.name, ("kind", "workload"), (name for _, _, name in keys)), seconds
        )
        found: dict[str, Points] = {}
        for series in ours:
            key = (namespace_of(series.labels), series.labels.get("kind", ""), series.labels.get("workload", ""))
            add_points(found, keys.get(key), series)
        most = (self.end - self.start) / self.step_seconds + 1
        lacking = {
            key: workload
            for key, workload in keys.items()
            if key[1] == "Deployment" and (workload not in found or found[workload][0].size < most - _TOLERATED_STEPS)
        }
        if lacking:
            theirs = await self._ask(
                self._highest(OTHER_SOURCE, ("deployment",), (name for _, _, name in lacking)), seconds
            )
            for series in theirs:
                key = (namespace_of(series.labels), "Deployment", series.labels.get("deployment", ""))
                add_points(found, lacking.get(key), series)
        return [_history(one, found.get(one.workload)) for one in batch]

    async def by_query(self, batch: Sequence[HistoryRequest], seconds: float) -> list[History]:
        """The histories by users' queries."""
        queries = {one.workload: one.query for one in batch}
        span = (self.start, self.end)
        found = await points_of_queries(
            self.prometheus, queries, span=span, step_seconds=self.step_seconds, seconds=seconds
        )
        return [_history(one, found.get(one.workload)) for one in batch]

    async def _ask(self, query: str, seconds: float) -> list[Series]:
        return await self.prometheus.range(query, self.start, self.end, self.step_seconds, seconds=seconds)

    def _highest(self, metric: str, labels: Sequence[str], names: Iterable[str]) -> str:
        """A query for the highest value within each step, by namespace and these labels; the names are of the last."""
        series = selector(self.prometheus.connection, metric, labels[-1], names)
        return f"max by ({grouped(labels)}) (max_over_time({series}[{self.step_seconds:g}s]))"


def grouped(labels: Iterable[str]) -> str:
    """The labels by which series of workloads are grouped: these, and those that `namespace_of` reads."""
    return ", ".join(("namespace", "exported_namespace", *labels))


def namespace_of(labels: Mapping[str, str]) -> str:
    """The namespace of the workload; a scrape without `honor_labels` renames it, as it sets the exporter's own."""
    return labels.get("exported_namespace") or labels.get("namespace", "")


def _history(wanted: HistoryRequest, points: Points | None) -> History:
    if points is None:
        return History(wanted.workload, NO_POINTS, NO_POINTS)
    if not points[0].size:
        return History(wanted.workload, *points, HistoryProblem("InvalidDemand", "its demand is never a finite number"))
    with np.errstate(over="ignore"):
        return History(wanted.workload, points[0], points[1] / wanted.per_replica)
