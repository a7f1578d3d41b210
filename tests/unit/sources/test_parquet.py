"""Parquet files as lines of CSV: which columns are kept, how values are written, and what an error says."""

import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from spillway.sources.csv_rules import CsvError, read_file, rows
from spillway.sources.csv_series import csv_series

NOW = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
START = datetime(2026, 5, 1, tzinfo=UTC)


def written(path: Path, columns: dict[str, Any]) -> Path:
    file = path / "demand.parquet"
    parquet.write_table(pa.table(columns), file, row_group_size=2)
    return file


def read(file: Path, *columns: str) -> list[tuple[int, list[str]]]:
    return read_file(file, lambda lines: list(rows(lines, columns)))


def test_values_are_written_as_the_rules_read_them(tmp_path: Path) -> None:
    columns = {
        "workload": pa.array(["shop,cart", 'the "new" one', None]).dictionary_encode(),
        "count": pa.array([1, None, 2**63], pa.uint64()),
        "cpu": pa.array([Decimal("1.50"), None, Decimal("0.25")]),
        "share": [1e-9, float("nan"), None],
        "half": pa.array([1.5, 2.0, None], pa.float16()),
    }

    found = read(written(tmp_path, columns), *columns)

    assert [line for line, _ in found] == [2, 3, 4]
    assert [values[0] for _, values in found] == ["shop,cart", 'the "new" one', ""]
    assert [values[1] for _, values in found] == ["1", "", str(2**63)]
    numbers = [[float(text) if text else None for text in values[2:]] for _, values in found]
    assert numbers == [[1.5, 1e-9, 1.5], [None, pytest.approx(float("nan"), nan_ok=True), 2.0], [0.25, None, None]]


@pytest.mark.parametrize(
    "times",
    [
        pa.array([START, START + timedelta(minutes=5)], pa.timestamp("ns", tz="UTC")),
        pa.array([START.replace(tzinfo=None), START.replace(tzinfo=None) + timedelta(minutes=5)]),
        pa.array(
            [one.astimezone(timezone(timedelta(hours=8))) for one in (START, START + timedelta(minutes=5))],
            pa.timestamp("ms", tz="Asia/Shanghai"),
        ),
        pa.array([int(START.timestamp()), int(START.timestamp()) + 300]),
        pa.array([START.timestamp(), START.timestamp() + 300]),
        pa.array([START.isoformat(), (START + timedelta(minutes=5)).isoformat()]),
    ],
    ids=["nanoseconds", "no zone", "another zone", "seconds", "fractions", "text"],
)
def test_times_are_understood_in_each_of_their_types(tmp_path: Path, times: Any) -> None:
    series = csv_series(written(tmp_path, {"ts": times, "value": [3.5, 4.5]}), "value", now=NOW)

    assert (series.times - START.timestamp()).tolist() == [0, 300]
    assert series.values.tolist() == [3.5, 4.5]


def test_a_column_without_a_form_in_csv_is_missing(tmp_path: Path) -> None:
    file = written(tmp_path, {"ts": [START], "value": [[1.0, 2.0]], "none": pa.nulls(1)})

    with pytest.raises(CsvError, match=r"demand\.parquet: line 1: the header must name the columns .* missing: value"):
        csv_series(file, "value", now=NOW)


def test_an_error_names_the_row_as_the_line_of_the_csv_file(tmp_path: Path) -> None:
    file = written(tmp_path, {"ts": [START] * 3, "value": [1.0, 2.0, -3.0]})

    with pytest.raises(CsvError, match=r"demand\.parquet: line 4, column value: must be a number from 0"):
        csv_series(file, "value", now=NOW)


@pytest.mark.parametrize("kept", [4, 8, 100, -1])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, kept: int) -> None:
    file = written(tmp_path, {"ts": [START], "value": [1.0]})
    file.write_bytes(file.read_bytes()[:kept])

    with pytest.raises(CsvError, match=r"demand\.parquet: not a complete Parquet file: .+"):
        csv_series(file, "value", now=NOW)


def test_a_file_without_rows_has_no_value(tmp_path: Path) -> None:
    file = written(tmp_path, {"ts": pa.array([], pa.int64()), "value": pa.array([], pa.float64())})

    with pytest.raises(CsvError, match="column value: has no value"):
        csv_series(file, "value", now=NOW)


def test_without_pyarrow_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, {"ts": [START], "value": [1.0]})
    monkeypatch.delitem(sys.modules, "spillway.sources.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(CsvError, match=r"needs pyarrow: pip install pyarrow$"):
        csv_series(file, "value", now=NOW)
