"""Demand histories from a CSV file, for a plan without a cluster or a Prometheus.

Contract: the file has a header and one line for each workload and time: `workload,time,replicas`, with columns and
lines in any order; `time` is RFC 3339 or Unix seconds. The highest value within each step counts, as with Prometheus.
An error names its line and the expected form.
"""

import csv
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import numpy as np

from spillway.domain.threshold.effective import LARGEST
from spillway.domain.threshold.history import STEP_SECONDS, History

COLUMNS: Final = ("workload", "time", "replicas")
LATEST_SECONDS: Final = 253_402_300_799.0
"""The last second of the year 9999: a time beyond it is in other units."""


class CsvError(ValueError):
    """The file is not valid; the message says where, and what is expected."""


def csv_histories(lines: Iterable[str], *, step_seconds: float = STEP_SECONDS) -> list[History]:
    """The histories of the workloads in the file, in order of their names.

    Raises:
        CsvError: a column is missing, or a line has no such time or number.
    """
    try:
        return _histories(csv.DictReader(lines), step_seconds)
    except csv.Error as error:
        raise CsvError(f"this is not a CSV file: {error}") from error


def _histories(reader: "csv.DictReader[str]", step_seconds: float) -> list[History]:
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise CsvError(f"the first line must name the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}")
    highest: dict[str, dict[float, float]] = {}
    for row in reader:
        workload, moment, replicas = _checked(row, reader.line_num)
        steps = highest.setdefault(workload, {})
        step = moment // step_seconds * step_seconds
        steps[step] = max(replicas, steps.get(step, 0.0))
    return [
        History(workload, np.array(sorted(steps)), np.array([steps[step] for step in sorted(steps)]))
        for workload, steps in sorted(highest.items())
    ]


def _checked(row: Mapping[str, str | None], line: int) -> tuple[str, float, float]:
    workload, moment, replicas = ((row[name] or "").strip() for name in COLUMNS)
    if not workload:
        raise CsvError(f"line {line}: the workload is empty, write for example Deployment/shop/cart")
    try:
        number = float(replicas)
    except ValueError:
        number = -1.0
    if not 0 <= number <= LARGEST:
        raise CsvError(f'line {line}: replicas must be a number from 0 to {LARGEST}, not "{replicas[:64]}"')
    return workload, _seconds(moment, line), number


def _seconds(text: str, line: int) -> float:
    seconds = _moment(text)
    # NaN fails this comparison.
    if not 0 <= seconds <= LATEST_SECONDS:
        raise CsvError(
            f'line {line}: time must be RFC 3339 or Unix seconds, for example 2026-01-31T18:00:00Z, not "{text[:64]}"'
        )
    return seconds


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return -1.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
