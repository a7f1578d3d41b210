"""A series from a CSV file: what may be in it, what a gap is, and what an error says."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from spillway.sources.csv_rules import CsvError
from spillway.sources.csv_series import CsvSeries, csv_series, series_of

NOW = 1_780_000_000.0
START = 1_770_000_000.0


def read(*lines: str, column: str = "value") -> CsvSeries:
    return series_of(["ts,value", *lines], column, now=NOW)


def test_samples_stay_and_the_grid_has_the_highest_of_each_step() -> None:
    found = read(f"{START + 60},3", f"{START},1", f"{START + 300},2")

    assert found.times.tolist() == [START, START + 60, START + 300]
    assert found.values.tolist() == [1, 3, 2]
    assert (found.grid_times - START).tolist() == [0, 300]
    assert found.grid_values.tolist() == [3, 2]


def test_a_level_of_an_hour_holds_until_the_next() -> None:
    found = read(f"{START},4", f"{START + 3600},8", f"{START + 7200},6")

    assert found.usual_seconds == 3600
    assert found.grid_values.tolist() == [4] * 12 + [8] * 12 + [6] * 12


@pytest.mark.parametrize("gap", ["", "NaN", "nan"])
def test_an_empty_value_and_nan_are_gaps(gap: str) -> None:
    later = [f"{START + step * 300},5" for step in range(2, 5)]

    found = read(f"{START},4", f"{START + 300},{gap}", *later)

    assert (found.grid_times - START).tolist() == [0, 600, 900, 1200]


def test_times_of_any_clock_are_taken() -> None:
    assert read("0,1", "300,2", "1970-01-01T00:10:00Z,3").times.tolist() == [0, 300, 600]


def test_other_columns_are_ignored() -> None:
    found = series_of(["host, ts ,cpu,load", f"a,{START},1,0.5", f"b,{START + 300},x,0.7"], "load", now=NOW)

    assert found.values.tolist() == [0.5, 0.7]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_may_be_gzipped_and_have_a_byte_order_mark(tmp_path: Path, zipped: bool, mark: bytes) -> None:  # noqa: FBT001  # parameters of the test
    text = mark + f"ts,value\r\n{START},3\r\n{START + 300},1e-9\r\n".encode()
    path = tmp_path / "load.csv"
    path.write_bytes(gzip.compress(text) if zipped else text)

    assert csv_series(path, "value", now=NOW).values.tolist() == [3, 1e-9]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param([], 'line 1: .* ts, value.*missing: ts, value; found: ""', id="nothing"),
        pytest.param(["ts,load", "1,2"], "line 1: .*missing: value; found: ", id="another column"),
        pytest.param(["time;value", "1;2"], "line 1: .*separated by commas", id="semicolons"),
        pytest.param(["ts,value"], "column value: has no value", id="no lines"),
        pytest.param(["ts,value", "0,", "300,nan"], "column value: has no value", id="gaps alone"),
        pytest.param(["ts,value", "noon,2"], 'line 2, column ts: must be RFC 3339 or Unix.*not "noon"', id="time"),
        pytest.param(["ts,value", "nan,2"], "line 2, column ts: must be RFC 3339", id="time that is no number"),
        pytest.param(["ts,value", f"{START * 1000:.0f},2"], "line 2, column ts: .*milliseconds", id="milliseconds"),
        pytest.param(["ts,value", f"{NOW + 1e6},2"], "line 2, column ts: .*in the future", id="future"),
        pytest.param(["ts,value", "0,1", f"{START},2"], r"line 2, column ts: is \d+ days before", id="far apart"),
        pytest.param(["ts,value", "0,1", "300,many"], 'line 3, column value: must be a number.*"many"', id="text"),
        pytest.param(["ts,value", "0,-1"], "line 2, column value: must be a number from 0", id="negative"),
        pytest.param(["ts,value", "0,inf"], "line 2, column value: must be a number from 0", id="infinite"),
        pytest.param(["ts,value", "0,1,5"], "line 2: has 3 values, the header names 2", id="decimal comma"),
        pytest.param(["ts,value", "0,1", "86400,1", "172800,1"], "column ts: .*24.0 hours apart", id="daily"),
    ],
)
def test_an_error_says_where_and_what_is_expected(lines: list[str], message: str) -> None:
    with pytest.raises(CsvError) as caught:
        series_of(lines, "value", now=NOW)

    assert re.search(message, str(caught.value)), caught.value


def test_the_time_is_no_column_of_values() -> None:
    with pytest.raises(CsvError, match="column ts: is the time"):
        read("0,1", column="ts")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(gzip.compress(b"ts,value\n" + b"0,1\n" * 9999)[:-20], "not a complete gzip file", id="cut off"),
        pytest.param(b"\x1f\x8bnot gzip at all", "not a complete gzip file", id="no gzip"),
        pytest.param("ts,value\n0,1\n".encode("utf-16"), "line 1: the file is UTF-16", id="UTF-16"),
        pytest.param(b"ts,value\n0,\xff\n", "line 2: byte 3 is not UTF-8", id="no text"),
    ],
)
def test_a_file_that_is_not_text_is_told_as_such(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "load.csv"
    path.write_bytes(content)

    with pytest.raises(CsvError, match=rf"load\.csv: {message}"):
        csv_series(path, "value", now=NOW)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CsvError, match=r"gone\.csv cannot be read: No such file"):
        csv_series(tmp_path / "gone.csv", "value", now=NOW)


def test_the_order_of_the_lines_does_not_matter() -> None:
    lines = [f"{START + step * 300},{step % 7}" for step in range(50)]

    one, other = read(*lines), read(*reversed(lines))

    assert np.array_equal(one.grid_values, other.grid_values)
    assert np.array_equal(one.times, other.times)
