"""The rules that every CSV file of demand is read by: its text, its header, its times, and how long a value holds.

Contract: a file is UTF-8 with or without a byte-order mark, plain or gzipped; a Parquet file is read as the CSV file
with the same columns and rows, and its first row is line 2. A file whose name ends with .gz or .parquet must be of that
type. A time is RFC 3339 or Unix seconds, and
not in the future. Of the values within a step of five minutes the highest counts. Where values are further apart, each
one holds until the next, but never for longer than their usual distance (and a half of it, because times vary), so a
gap remains a gap. An error names its line, its column and the expected form.
"""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final, TypeVar

import numpy as np

from spillway.api.scalars import aware
from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.threshold.history import STEP_SECONDS, Floats

_LONGEST_STEP_SECONDS: Final = 3600.0
"""The largest usual distance of two values: a level of a day says nothing about the day's peak."""
YEAR_2000_SECONDS: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
_JITTER: Final = 1.5
_SHOWN: Final = 64
"""Characters of a bad value that an error repeats."""
_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_SIGNS: Final = {".gz": (_GZIP, "gzip"), ".parquet": (_PARQUET, "Parquet")}
"""How a file begins whose name has this ending, and what it is; every other name may have each form."""
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")

Found = TypeVar("Found")


class CsvError(ValueError):
    """The file is not valid; the message says where, and what is expected."""


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """The times that a file may hold."""

    column: str
    now: float
    earliest: float = 0.0
    too_early: str = ""
    """What an error says of a time before the earliest one, for example "before the year 2000"."""

    def seconds(self, text: str, line: int) -> float:
        """Unix seconds.

        Raises:
            CsvError: it is no such time, or one that cannot be.
        """
        seconds, latest = _moment(text), self.now + DAY_SECONDS
        if self.earliest <= seconds <= latest:
            return seconds
        error = f"line {line}, column {self.column}: must be RFC 3339 or Unix seconds, for example 2026-01-31T18:00:00Z"
        for unit, factor in (("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)):
            if max(self.earliest, YEAR_2000_SECONDS) <= seconds / factor <= latest:
                raise CsvError(f"{error}; {quoted(text)} seems to be in {unit}")
        if self.now < seconds < float("inf"):
            raise CsvError(f"{error}; {quoted(text)} is in the future")
        if 0 <= seconds < self.earliest:
            raise CsvError(f"{error}; {quoted(text)} is {self.too_early}")
        raise CsvError(f"{error}, not {quoted(text)}")


def read_file(path: Path, read: Callable[[Iterable[str]], Found]) -> Found:
    """What `read` makes of the lines of a file.

    Raises:
        CsvError: the file cannot be read, or is not valid.
    """
    try:
        with path.open("rb") as raw:
            begin = raw.peek(len(_PARQUET))
            _check_ending(path.name, begin)
            if begin.startswith(_PARQUET):
                return read(_decoded(_lines_of_parquet(raw)))
            return read(_decoded(gzip.open(raw) if begin.startswith(_GZIP) else raw))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CsvError(f"{path}: not a complete gzip file: {error}") from error
    except OSError as error:
        raise CsvError(f"{path} cannot be read: {error.strerror or error}") from error
    except CsvError as error:
        raise CsvError(f"{path}: {error}") from error


def _check_ending(name: str, begin: bytes) -> None:
    for ending, (sign, what) in _SIGNS.items():
        if name.endswith(ending) and not begin.startswith(sign):
            raise CsvError(f"not a {what} file, although its name ends with {ending}")


def _lines_of_parquet(raw: IO[bytes]) -> Iterator[bytes]:
    try:
        from spillway.sources.parquet import ParquetError, parquet_lines  # noqa: PLC0415  # pyarrow is optional
    except ImportError as error:
        raise CsvError("a Parquet file needs pyarrow: pip install pyarrow") from error
    try:
        yield from parquet_lines(raw)
    except ParquetError as error:
        raise CsvError(str(error)) from error


def _decoded(raw: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(raw, start=1):
        if number == 1 and line.startswith(_UTF_16):
            raise CsvError("line 1: the file is UTF-16, save it as UTF-8")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise CsvError(f"line {number}: byte {error.start + 1} is not UTF-8 text") from error


def rows(lines: Iterable[str], columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The number of each line, and its values in these columns without blanks around them.

    Raises:
        CsvError: the header lacks one of the columns, or a line is not CSV or too long.
    """
    # Strict: a quotation mark that is never closed would swallow the rest of the file.
    reader = csv.DictReader(lines, strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        _check_header(names, columns)
        for row in reader:
            line = reader.line_num
            if None in row:
                count = len(names) + len(row[None])  # csv keeps what is too much under None
                raise CsvError(f"line {line}: has {count} values, the header names {len(names)} columns")
            yield line, [(row[name] or "").strip() for name in columns]
    except csv.Error as error:
        # The reader counts a line when the record that ends there is complete.
        raise CsvError(
            f"line {reader.line_num + 1}: not CSV with commas and double quotation marks: {error}"
        ) from error


def _check_header(names: Sequence[str], columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in names]
    if missing:
        raise CsvError(
            f"line 1: the header must name the columns {', '.join(columns)}, separated by commas; missing: "
            f"{', '.join(missing)}; found: {quoted(','.join(names))}"
        )
    twice = sorted({name for name in columns if names.count(name) > 1})
    if twice:
        raise CsvError(f"line 1: the header names a column twice: {', '.join(twice)}")


def number(text: str) -> float:
    """The number, or -1 for a text that is none."""
    try:
        return float(text)
    except ValueError:
        return -1.0


def add_to_step(steps: dict[float, float], time: float, value: float) -> None:
    """Add a value to the step that its time is in, of which the highest counts; `steps` are by their beginning."""
    step = time // STEP_SECONDS * STEP_SECONDS
    steps[step] = max(value, steps.get(step, 0.0))


class Span:
    """The first and the last time of a file, which may not be too far apart."""

    def __init__(self, column: str, most_days: float) -> None:
        self._column = column
        self._most_days = most_days
        self._first = self._last = (0.0, 0)

    def add(self, time: float, line: int) -> None:
        """Note the time of a line."""
        if not self._first[1]:
            self._first = self._last = (time, line)
        self._first, self._last = min(self._first, (time, line)), max(self._last, (time, line))

    def check(self) -> None:
        """Refuse a file that is too long.

        Raises:
            CsvError: its times are too far apart.
        """
        (first, line), (last, last_line) = self._first, self._last
        days = (last - first) / DAY_SECONDS
        if days > self._most_days:
            raise CsvError(
                f"line {line}, column {self._column}: is {days:.0f} days before the last time (line {last_line}); a "
                f"file may hold {self._most_days:g} days"
            )


def usual_distance(steps: Mapping[float, float]) -> float:
    """The median of the distances of these times in seconds."""
    distances = np.diff(sorted(steps))
    return float(np.median(distances)) if distances.size else STEP_SECONDS


def too_coarse(usual: float, reader: str) -> str:
    """Why values at this usual distance are no use to `reader`, for example "a plan"; empty if they are."""
    if usual <= _LONGEST_STEP_SECONDS:
        return ""
    return f"its values are usually {usual / 3600:.1f} hours apart; {reader} needs one at least every hour"


def held(steps: Mapping[float, float], usual: float) -> tuple[Floats, Floats]:
    """The times and values of the whole grid: a step without a value has the last one before it while that holds.

    `usual` is the `usual_distance` of the steps.
    """
    times = np.array(sorted(steps))
    values = np.array([steps[time] for time in times])
    distances = np.diff(times)
    holds = np.where(distances <= usual * _JITTER, distances, usual)
    counts = np.maximum(np.append(holds, usual) // STEP_SECONDS, 1).astype(np.int64)
    begins = np.repeat(np.cumsum(counts) - counts, counts)
    grid = np.repeat(times, counts) + (np.arange(counts.sum()) - begins) * STEP_SECONDS
    return grid, np.repeat(values, counts)


def quoted(text: str) -> str:
    """A value of the file as an error shows it."""
    return f'"{text[:_SHOWN]}"'


def _moment(text: str) -> float:
    """Unix seconds; -1 for a text that is no time."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return aware(datetime.fromisoformat(text)).timestamp()
    except (ValueError, OverflowError):
        return -1.0
