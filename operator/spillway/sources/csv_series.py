"""One series of demand from a CSV file with a column `ts` and a column of values.

Contract: the file is read by the rules of `csv_rules`; it may have further columns, which are ignored, and lines in any
order. A value that is empty or NaN is a gap. The series keeps its samples as they are, and on the grid of five minutes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from spillway.domain.threshold.history import Floats
from spillway.sources.csv_rules import (
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

TIME_COLUMN: Final = "ts"
MOST_DAYS: Final = 2000.0
"""The longest time from the first value of a file to its last."""
LARGEST: Final = 1e100
"""The largest value; far beyond what is demand, and far from what a computer cannot hold."""


@dataclass(frozen=True, slots=True, eq=False)
class CsvSeries:
    """The samples of a file in order of time, and the grid that they cover."""

    times: Floats
    values: Floats
    grid_times: Floats
    """The begin of each step that has a value."""
    grid_values: Floats
    """The highest sample of each step, or the last one before it while that holds."""
    usual_seconds: float
    """The usual distance of two values, the step of the grid at least."""


def csv_series(path: Path, column: str, *, now: float) -> CsvSeries:
    """The series in a column of a file.

    Raises:
        CsvError: it cannot be read or is not valid; without a path for a file without values.
    """
    return read_file(path, lambda lines: series_of(lines, column, now=now))


def series_of(lines: Iterable[str], column: str, *, now: float) -> CsvSeries:
    """The series in a column of these lines; no time may be later than `now`.

    Raises:
        CsvError: a column is missing, a line has no such time or number, or there are too few values.
    """
    if column == TIME_COLUMN:
        raise CsvError(f"column {column}: is the time, name the column that has the values")
    times, span = TimeColumn(TIME_COLUMN, now), Span(TIME_COLUMN, MOST_DAYS)
    samples: list[tuple[float, float]] = []
    steps: dict[float, float] = {}
    for line, (moment, text) in rows(lines, (TIME_COLUMN, column)):
        time = times.seconds(moment, line)
        if text.lower() in ("", "nan"):
            continue
        value = number(text)
        if not 0 <= value <= LARGEST:
            raise CsvError(
                f"line {line}, column {column}: must be a number from 0, or empty or NaN for a gap, not {quoted(text)}"
            )
        span.add(time, line)
        samples.append((time, value))
        add_to_step(steps, time, value)
    span.check()
    if not steps:
        raise CsvError(f"column {column}: has no value; write one line for each time, for example 1767225600,12.5")
    usual = usual_distance(steps)
    if message := too_coarse(usual, "a forecast"):
        raise CsvError(f"column {TIME_COLUMN}: {message}")
    ordered = np.array(sorted(samples))
    return CsvSeries(ordered[:, 0], ordered[:, 1], *held(steps, usual), usual)
