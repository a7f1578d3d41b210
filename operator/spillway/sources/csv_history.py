"""Demand histories from a CSV file, for a plan without a cluster or a Prometheus.

Contract: the file has a header and one line for each workload and time: `workload,time,replicas`, with columns and
lines in any order, read by the rules of `csv_rules`: data of every 15 minutes or every hour covers all steps. A plan
looks at no time before the year 2000, and at 400 days at most.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from spillway.api.common import MOST_REPLICAS
from spillway.domain.threshold.history import History, HistoryProblem
from spillway.sources.csv_rules import (
    YEAR_2000_SECONDS,
    CsvError,
    Span,
    TimeColumn,
    add_to_step,
    held,
    number,
    quoted,
    read_file,
    rows,
    too_coarse,
    usual_distance,
)

COLUMNS: Final = ("workload", "time", "replicas")
MOST_DAYS: Final = 400.0
"""The longest time from the first value of a file to its last."""


def csv_file(path: Path, *, now: float) -> list[History]:
    """The histories of the workloads in a file, in order of their names.

    Raises:
        CsvError: it cannot be read, or is not valid.
    """
    return read_file(path, lambda lines: csv_histories(lines, now=now))


def csv_histories(lines: Iterable[str], *, now: float) -> list[History]:
    """The histories of the workloads in these lines, in order of their names; no time may be later than `now`.

    Raises:
        CsvError: a column is missing, or a line has no such time or number.
    """
    times, span = TimeColumn("time", now, YEAR_2000_SECONDS, "before the year 2000"), Span("time", MOST_DAYS)
    highest: dict[str, dict[float, float]] = {}
    for line, (workload, moment, replicas) in rows(lines, COLUMNS):
        if not workload:
            raise CsvError(f"line {line}, column workload: is empty, write for example Deployment/shop/cart")
        count = number(replicas)
        # NaN fails this comparison.
        if not 0 <= count <= MOST_REPLICAS:
            raise CsvError(
                f"line {line}, column replicas: must be a number from 0 to {MOST_REPLICAS}, not {quoted(replicas)}"
            )
        time = times.seconds(moment, line)
        span.add(time, line)
        add_to_step(highest.setdefault(workload, {}), time, count)
    span.check()
    return [_history(workload, steps) for workload, steps in sorted(highest.items())]


def _history(workload: str, steps: Mapping[float, float]) -> History:
    usual = usual_distance(steps)
    if message := too_coarse(usual, "a plan"):
        times = np.array(sorted(steps))
        return History(
            workload, times, np.array([steps[time] for time in times]), HistoryProblem("HistoryTooCoarse", message)
        )
    return History(workload, *held(steps, usual))
