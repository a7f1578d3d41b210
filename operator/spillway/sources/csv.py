"""Demand histories from a CSV file, for a plan without a cluster or a Prometheus.

Contract: the file has a header and one line for each workload and time: `workload,time,replicas`, with columns and
lines in any order; `time` is RFC 3339 or Unix seconds. The highest value within each step of five minutes counts, as
with Prometheus. Where the values of a workload are further apart, each one holds until the next: data of every 15
minutes or every hour covers all steps. A value never holds for longer than the usual distance of its workload's values
(and a half of it, because times vary), so a gap remains a gap. An error names its line, its column and the expected
form.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from spillway.domain.threshold.effective import LARGEST
from spillway.domain.threshold.history import STEP_SECONDS, History, Problem

COLUMNS: Final = ("workload", "time", "replicas")
LONGEST_STEP_SECONDS: Final = 3600.0
"""The largest usual distance of two values of a workload: a level of a day says nothing about the day's peak."""
MOST_DAYS: Final = 400.0
"""The longest time from the first value of a file to its last."""
_DAY_SECONDS: Final = 86_400.0
_EARLIEST_SECONDS: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
_JITTER: Final = 1.5
_SHOWN: Final = 64
"""Characters of a bad value that an error repeats."""
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


class CsvError(ValueError):
    """The file is not valid; the message says where, and what is expected."""


class _Row(NamedTuple):
    time: float
    line: int
    workload: str
    replicas: float


def csv_file(path: Path, *, now: float) -> list[History]:
    """The histories of the workloads in a file, in order of their names. The file is UTF-8, with or without a mark.

    Raises:
        CsvError: it cannot be read, or is not valid.
    """
    try:
        with path.open("rb") as raw:
            return csv_histories(_decoded(raw), now=now)
    except OSError as error:
        raise CsvError(f"{path} cannot be read: {error.strerror or error}") from error
    except CsvError as error:
        raise CsvError(f"{path}: {error}") from error


def csv_histories(lines: Iterable[str], *, now: float) -> list[History]:
    """The histories of the workloads in these lines, in order of their names; no time may be later than `now`.

    Raises:
        CsvError: a column is missing, or a line has no such time or number.
    """
    # Strict: a quotation mark that is never closed would swallow the rest of the file.
    reader = csv.DictReader(lines, strict=True)
    highest: dict[str, dict[float, float]] = {}
    first = last = None
    try:
        for row in _rows(reader, now):
            first, last = min(first or row, row), max(last or row, row)
            steps = highest.setdefault(row.workload, {})
            step = row.time // STEP_SECONDS * STEP_SECONDS
            steps[step] = max(row.replicas, steps.get(step, 0.0))
    except csv.Error as error:
        # The reader counts a line when the record that ends there is complete.
        raise CsvError(
            f"line {reader.line_num + 1}: not CSV with commas and double quotation marks: {error}"
        ) from error
    if first is not None and last is not None:
        _check_span(first, last)
    return [_held(workload, steps) for workload, steps in sorted(highest.items())]


def _decoded(raw: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(raw, start=1):
        if number == 1 and line.startswith(_UTF_16):
            raise CsvError("line 1: the file is UTF-16, save it as UTF-8")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise CsvError(f"line {number}: byte {error.start + 1} is not UTF-8 text") from error


def _rows(reader: "csv.DictReader[str]", now: float) -> Iterator[_Row]:
    names = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise CsvError(
            f"line 1: the header must name the columns {', '.join(COLUMNS)}, separated by commas; missing: "
            f"{', '.join(missing)}; found: {_quoted(','.join(names))}"
        )
    twice = sorted({name for name in COLUMNS if names.count(name) > 1})
    if twice:
        raise CsvError(f"line 1: the header names a column twice: {', '.join(twice)}")
    for row in reader:
        line = reader.line_num
        if None in row:
            count = len(names) + len(row[None])  # csv keeps what is too much under None
            raise CsvError(f"line {line}: has {count} values, the header names {len(names)} columns")
        yield _checked(row, line, now)


def _checked(row: Mapping[str, str | None], line: int, now: float) -> _Row:
    workload, moment, replicas = ((row[name] or "").strip() for name in COLUMNS)
    if not workload:
        raise CsvError(f"line {line}, column workload: is empty, write for example Deployment/shop/cart")
    try:
        number = float(replicas)
    except ValueError:
        number = -1.0
    # NaN fails this comparison.
    if not 0 <= number <= LARGEST:
        raise CsvError(f"line {line}, column replicas: must be a number from 0 to {LARGEST}, not {_quoted(replicas)}")
    return _Row(_seconds(moment, line, now), line, workload, number)


def _seconds(text: str, line: int, now: float) -> float:
    seconds = _moment(text)
    if _EARLIEST_SECONDS <= seconds <= now + _DAY_SECONDS:
        return seconds
    expected = "must be RFC 3339 or Unix seconds, for example 2026-01-31T18:00:00Z"
    for unit, factor in (("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)):
        if _EARLIEST_SECONDS <= seconds / factor <= now + _DAY_SECONDS:
            raise CsvError(f"line {line}, column time: {expected}; {_quoted(text)} seems to be in {unit}")
    if now < seconds < float("inf"):
        raise CsvError(f"line {line}, column time: {expected}; {_quoted(text)} is in the future")
    if 0 <= seconds < _EARLIEST_SECONDS:
        raise CsvError(f"line {line}, column time: {expected}; {_quoted(text)} is before the year 2000")
    raise CsvError(f"line {line}, column time: {expected}, not {_quoted(text)}")


def _moment(text: str) -> float:
    """Unix seconds; -1 for a text that is no time."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return -1.0


def _check_span(first: _Row, last: _Row) -> None:
    days = (last.time - first.time) / _DAY_SECONDS
    if days > MOST_DAYS:
        raise CsvError(
            f"line {first.line}, column time: is {days:.0f} days before the last time (line {last.line}); a file may "
            f"hold {MOST_DAYS:g} days"
        )


def _held(workload: str, steps: Mapping[float, float]) -> History:
    """The values on the whole grid: a step without a value has the last one before it, for as long as that holds."""
    times = np.array(sorted(steps))
    values = np.array([steps[time] for time in times])
    distances = np.diff(times)
    usual = float(np.median(distances)) if distances.size else STEP_SECONDS
    if usual > LONGEST_STEP_SECONDS:
        message = f"its values are usually {usual / 3600:.1f} hours apart; a plan needs one at least every hour"
        return History(workload, times, values, Problem("HistoryTooCoarse", message))
    holds = np.where(distances <= usual * _JITTER, distances, usual)
    counts = np.maximum(np.append(holds, usual) // STEP_SECONDS, 1).astype(np.int64)
    begins = np.repeat(np.cumsum(counts) - counts, counts)
    grid = np.repeat(times, counts) + (np.arange(counts.sum()) - begins) * STEP_SECONDS
    return History(workload, grid, np.repeat(values, counts))


def _quoted(text: str) -> str:
    return f'"{text[:_SHOWN]}"'
