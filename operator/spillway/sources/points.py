"""The samples of workloads, gathered from the series of one or more answers."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from spillway.domain.threshold.history import Floats, merged
from spillway.sources.prometheus import Series
from spillway.sources.queries import Queries
from spillway.sources.selectors import highest_of_query

QUERY_BATCH: Final = 16
"""Users' queries per request for long histories; each costs Prometheus five times its own evaluation."""
RESOLUTION_SECONDS: Final = 60.0
"""The distance of the values of which the highest in a step counts."""
MARK: Final = "spillway_workload"
"""The label by which an answer says of which workload a series is."""

Points = tuple[Floats, Floats]
"""Times and values, without what is no finite number."""


def add_points(found: dict[str, Points], workload: str | None, series: Series) -> None:
    """Add what a series knows of a workload at the steps of which nothing is known yet; None is no workload."""
    if workload is None:
        return
    known = np.isfinite(series.values)
    points = (series.times[known], series.values[known])
    found[workload] = merged(found[workload], points) if workload in found else points


async def points_of_queries(
    prometheus: Queries,
    queries: Mapping[str, str],
    *,
    span: tuple[float, float],
    step_seconds: float,
    seconds: float,
) -> dict[str, Points]:
    """The highest values of users' queries, by workload, in the steps that end in `span`, first and last included.

    Raises:
        PrometheusError: there is no answer within `seconds`.
    """
    asked = "\nor ".join(
        highest_of_query(prometheus.connection, query, (MARK, workload), step_seconds, RESOLUTION_SECONDS)
        for workload, query in queries.items()
    )
    found: dict[str, Points] = {}
    for series in await prometheus.range(asked, *span, step_seconds, seconds=seconds):
        add_points(found, series.labels.get(MARK), series)
    return found
