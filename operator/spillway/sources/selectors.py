"""The text of queries: selectors of several workloads, limited to one cluster's series.

Contract: pure. Every selector that Spillway builds itself carries the matchers of the connection. A user's own PromQL
is not parsed and is sent as written: it names them with `$(matchers)`.
"""

import re
from collections.abc import Iterable
from typing import Final

from spillway.sources.connection import Connection, quoted
from spillway.telemetry.prerendered import workload_labels

MATCHERS: Final = "$(matchers)"


def selector(connection: Connection, metric: str, label: str = "", values: Iterable[str] = ()) -> str:
    """The series of a metric in this cluster; with a label, those with one of these values."""
    chosen = f"{label}=~{quoted(any_of(values))}," if label else ""
    return f"{metric}{{{chosen}{connection.selected}}}"


def filled_in(query: str, workload: str) -> str:
    """The query with $(namespace) and $(workload) replaced by the workload's."""
    namespace, _, name = workload_labels(workload)
    return query.replace("$(namespace)", namespace).replace("$(workload)", name)


def with_matchers(query: str, connection: Connection) -> str:
    """The query with $(matchers) replaced by those of the connection."""
    return query.replace(MATCHERS, connection.selected)


def highest_of_query(
    connection: Connection, query: str, mark: tuple[str, str], step_seconds: float, resolution_seconds: float
) -> str:
    """The highest value of a user's query within each step, as one series with this label and its value."""
    # Each query is on a line of its own, because it may end with a comment.
    value = f"sum(\n{with_matchers(query, connection)}\n)"
    highest = f"max_over_time({value}[{step_seconds:g}s:{resolution_seconds:g}s])"
    return f'label_replace({highest}, "{mark[0]}", "{mark[1]}", "", "")'


def any_of(values: Iterable[str]) -> str:
    """A regular expression that matches these texts alone, without quotes around it."""
    return "|".join(sorted({re.escape(value).replace("\\-", "-") for value in values}))
